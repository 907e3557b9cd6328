"""Contenders timed in turn: one at a time, with pauses between, so that no thread pool takes another's cores.

A pool's threads spin for a while after a call; the pause lets them fall asleep. A contender's figure is the median over
the rounds of the medians of short runs; a ratio is the median of the rounds' ratios, with the least and the largest.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from peer_process import openvino_run

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

Call = Callable[[], object]
Feeds = Mapping[str, np.ndarray]

PAUSE_SECONDS = 0.15
SLICE_SECONDS = 0.25
ROUNDS = 7


@dataclass(frozen=True)
class Ratio:
    """Ours over theirs: below 1 we are faster."""

    median: float
    least: float
    largest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} … {self.largest:.2f})"


def run_for(call: Call, seconds: float) -> list[float]:
    """Times of single calls, for about `seconds`; the first two warm caches and threads and are not kept."""
    call()
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not times:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def contend(
    contenders: Mapping[str, Call], rounds: int = ROUNDS, seconds: float = SLICE_SECONDS
) -> dict[str, list[float]]:
    """Each contender's median in each round, in seconds."""
    medians: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            time.sleep(PAUSE_SECONDS)
            medians[name].append(statistics.median(run_for(call, seconds)))
    return medians


def fastest(
    contenders: Mapping[str, Call],
    rounds: int,
    seconds: float,
    *,
    pause: float = PAUSE_SECONDS,
    of_run: Callable[[list[float]], float] = statistics.median,
) -> dict[str, float]:
    """The least over the rounds of one figure of each contender's runs, the median or the fastest call, in ms."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, call in contenders.items():
            time.sleep(pause)
            best[name] = min(best[name], 1e3 * of_run(run_for(call, seconds)))
    return best


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """Round by round."""
    ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
    return Ratio(statistics.median(ratios), ratios[0], ratios[-1])


def fastest_of(*medians: list[float]) -> list[float]:
    """The faster of the others, in each round."""
    return [min(each) for each in zip(*medians, strict=True)]


def error_ratio(ours: list[np.ndarray], theirs: list[np.ndarray], exact: list[np.ndarray]) -> dict[str, float]:
    """Largest errors of both against f64, relative to the largest magnitude, of the output where ours is worst."""
    from support.oracles import LARGEST_ONNXRUNTIME_ERROR

    rows = []
    for our, their, true in zip(ours, theirs, exact, strict=True):
        if true.dtype != np.float64:
            continue
        scale = max(float(np.abs(true).max(initial=0)), 1e-30)
        our_error, their_error = (float(np.abs(one - true).max(initial=0)) / scale for one in (our, their))
        rows.append((our_error / max(their_error, 1e-30), our_error, their_error))
    ratio, our_error, their_error = max(rows)
    if their_error > LARGEST_ONNXRUNTIME_ERROR:
        raise SystemExit(f"ONNX Runtime and the f64 evaluation disagree: {their_error:.1e} of the largest magnitude")
    return {
        "error_ratio": ratio,
        "error": our_error,
        "error_onnxruntime": their_error,
        "error_bound": 2 * their_error + 1e-6,
    }


def onnxruntime_session(path: Path, threads: int):
    """ONNX Runtime with all optimizations; the session reads the file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnxruntime_call(path: Path, feeds: Feeds, threads: int) -> Call:
    """ONNX Runtime with all optimizations, called with arrays."""
    session = onnxruntime_session(path, threads)
    return lambda: session.run(None, dict(feeds))


def onnxruntime_bound_call(path: Path, feeds: Feeds, threads: int) -> Call:
    """The same with inputs and outputs bound once: no arrays are made, nothing is looked up by name."""
    import onnxruntime

    session = onnxruntime_session(path, threads)
    binding = session.io_binding()
    held = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in feeds.items()}
    for name, value in held.items():
        binding.bind_ortvalue_input(name, value)
    for output, array in zip(session.get_outputs(), session.run(None, dict(feeds)), strict=True):
        held[output.name] = onnxruntime.OrtValue.ortvalue_from_numpy(array)
        binding.bind_ortvalue_output(output.name, held[output.name])

    def call() -> object:
        session.run_with_iobinding(binding)
        return held

    return call


def openvino_call(path: Path, feeds: Feeds, threads: int) -> Call | None:
    """OpenVINO computing in f32 (it would take bf16 by itself), for these shapes; None where it is not installed."""
    if find_spec("openvino") is None:
        return None
    run = openvino_run(path, feeds, threads)
    return lambda: [np.array(tensor.data) for tensor in run().output_tensors]
