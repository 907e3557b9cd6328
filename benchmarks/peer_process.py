"""One contender in a process of its own: takes cases and asks for short runs as lines of JSON, answers in the same way.

    python benchmarks/peer_process.py lamina|onnxruntime|openvino|torch|jax|numpy --threads N

Started by `peers.py`; needs NumPy and the contender only. Requests: {"prepare": case} with the case's `model` (a file),
`feeds` (.npz), `torch` and `jax` (expressions in the names of the inputs) and `output` (.npy to be written), and
{"run": seconds}. Answers: {"ms": [fastest, median]} or {"error": text}.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Feeds = Mapping[str, np.ndarray]
Prepared = tuple[Callable[[], object], Callable[[], np.ndarray]]
"""A call, and what gives its result."""


def lamina(case: Mapping[str, Any], feeds: Feeds, threads: int) -> Prepared:
    import lamina

    executable = lamina.compile(case["model"], threads=threads, cache=False)
    arguments = [feeds[name] for name in case["inputs"]]
    # Every call writes to the same memory: no page is new.
    place = [executable.call(arguments)[0].copy()]
    return (lambda: executable.call(arguments, out=place)), lambda: place[0]


def onnxruntime(case: Mapping[str, Any], feeds: Feeds, threads: int) -> Prepared:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = onnxruntime.InferenceSession(case["model"], options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    (output,) = session.get_outputs()
    first = np.asarray(session.run(None, dict(feeds))[0])
    bound = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty_like(first))
    binding.bind_ortvalue_output(output.name, bound)
    return (lambda: session.run_with_iobinding(binding)), bound.numpy


def openvino_run(path: Any, feeds: Feeds, threads: int) -> Callable[[], Any]:
    """A run of a model by OpenVINO in f32 (it would take bf16 by itself), for these shapes; gives the request."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({name: list(array.shape) for name, array in feeds.items()})
    config = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "CACHE_DIR": "",
    }
    request = core.compile_model(model, "CPU", config).create_infer_request()
    tensors = [openvino.Tensor(np.ascontiguousarray(array), shared_memory=True) for array in feeds.values()]
    for name, tensor in zip(feeds, tensors, strict=True):
        request.set_tensor(name, tensor)

    def run() -> Any:
        assert tensors  # in use as long as the request is
        request.infer()
        return request

    return run


def openvino(case: Mapping[str, Any], feeds: Feeds, threads: int) -> Prepared:
    run = openvino_run(case["model"], feeds, threads)
    return run, lambda: np.array(run().get_output_tensor(0).data)


def torch(case: Mapping[str, Any], feeds: Feeds, threads: int) -> Prepared:
    import torch

    torch.set_num_threads(threads)
    inputs = {name: torch.from_numpy(array) for name, array in feeds.items()}
    names = {"torch": torch, "F": torch.nn.functional, **inputs}
    names |= {name: torch.from_numpy(array) for name, array in constants_of(case).items()}
    exec(case.get("setup", ""), names)
    code = compile(case["torch"], "<case>", "eval")
    inference = torch.inference_mode()
    inference.__enter__()
    return (lambda: eval(code, names)), lambda: np.asarray(eval(code, names))


def jax(case: Mapping[str, Any], feeds: Feeds, threads: int) -> Prepared:
    import jax
    import jax.numpy

    inputs = {name: jax.numpy.asarray(array) for name, array in feeds.items()}
    code = compile(case["jax"], "<case>", "eval")
    names = {"jax": jax, "jnp": jax.numpy}
    names |= {name: jax.numpy.asarray(array) for name, array in constants_of(case).items()}
    function = jax.jit(lambda inputs: eval(code, {**names, **inputs}))
    return (lambda: function(inputs).block_until_ready()), lambda: np.asarray(function(inputs))


def numpy(case: Mapping[str, Any], feeds: Feeds, threads: int) -> Prepared:
    """NumPy, and so the BLAS that it was built with (OpenBLAS; its threads are OMP_NUM_THREADS)."""
    names = {"np": np, "jnp": np, **feeds, **constants_of(case)}
    code = compile(case["jax"], "<case>", "eval")
    return (lambda: eval(code, names)), lambda: np.asarray(eval(code, names))


def constants_of(case: Mapping[str, Any]) -> Feeds:
    """What expressions name besides the inputs."""
    if "constants" not in case:
        return {}
    with np.load(case["constants"]) as file:
        return {name: np.ascontiguousarray(file[name]) for name in file.files}


PEERS: Mapping[str, Callable[[Mapping[str, Any], Feeds, int], Prepared]] = {
    "lamina": lamina,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "torch": torch,
    "jax": jax,
    "numpy": numpy,
}


def prepare(peer: str, case: Mapping[str, Any], threads: int) -> Callable[[], object]:
    with np.load(case["feeds"]) as file:
        feeds = {name: np.ascontiguousarray(file[name]) for name in file.files}
    call, result = PEERS[peer](case, feeds, threads)
    call()
    np.save(case["output"], result())
    return call


def run(call: Callable[[], object], seconds: float) -> list[float]:
    """The fastest and the median call of a short run, in ms."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return [min(times), statistics.median(times)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    # Before anything starts threads: some libraries count the cores that they may run on.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    call: Callable[[], object] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "prepare" in request:
                call = None
                call = prepare(options.peer, request["prepare"], options.threads)
            elif call is not None:
                answer["ms"] = run(call, request["run"])
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
