"""Lamina beside ONNX Runtime on MiniLM (batch 1, 128 tokens) and small models, at 1 and 2 threads.

    python benchmarks/compare.py [--json FILE] [--only NAME]

One process, contenders in turn with a pause between them (thread pools spin for a while after a call and would take the
next contender's cores), median of many runs. The ratio is ours / ONNX Runtime's: below 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

import lamina
from support import models
from support.oracles import onnxruntime_session

PAUSE_SECONDS = 0.15
SLICE_SECONDS = 0.25
ROUNDS = 7


def feeds_minilm() -> dict[str, np.ndarray]:
    """128 tokens, no padding."""
    ids = np.random.default_rng(0).integers(0, 30522, (1, 128))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def normal(*shape: int) -> np.ndarray:
    """Standard normal f32."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


CONTESTS: Mapping[str, tuple[Callable[[], object], Callable[[], dict[str, np.ndarray]]]] = {
    "minilm": (models.minilm, feeds_minilm),
    "mlp-b1": (models.mlp, lambda: {"x": normal(1, 784)}),
    "mlp-b64": (lambda: models.mlp(64), lambda: {"x": normal(64, 784)}),
    "lenet": (models.lenet, lambda: {"x": normal(1, 1, 28, 28)}),
}


def run_for(call: Callable[[], object], seconds: float) -> list[float]:
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


def contest(name: str, threads: int) -> dict[str, object]:
    """One row: both contenders in turn, medians of the slices' medians, and the largest difference of the outputs."""
    build, make_feeds = CONTESTS[name]
    model, feeds = build(), make_feeds()
    start = time.perf_counter()
    executable = lamina.compile(model, threads=threads, cache=False)
    compile_seconds = time.perf_counter() - start
    lamina.compile(model, threads=threads)
    start = time.perf_counter()
    lamina.compile(model, threads=threads)
    load_seconds = time.perf_counter() - start
    session = onnxruntime_session(model, threads)
    difference = max(
        float(np.abs(ours - np.asarray(theirs)).max())
        for ours, theirs in zip(executable(**feeds), session.run(None, feeds), strict=True)
    )
    contenders = {"lamina": lambda: executable(**feeds), "onnxruntime": lambda: session.run(None, feeds)}
    medians: dict[str, list[float]] = {contender: [] for contender in contenders}
    for _ in range(ROUNDS):
        for contender, call in contenders.items():
            time.sleep(PAUSE_SECONDS)
            medians[contender].append(statistics.median(run_for(call, SLICE_SECONDS)))
    ours, theirs = (1e3 * statistics.median(medians[contender]) for contender in contenders)
    ratios = sorted(a / b for a, b in zip(medians["lamina"], medians["onnxruntime"], strict=True))
    return {
        "model": name,
        "threads": threads,
        "lamina_ms": round(ours, 4),
        "onnxruntime_ms": round(theirs, 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(ratios[0], 3), round(ratios[-1], 3)],
        "compile_s": round(compile_seconds, 2),
        "load_s": round(load_seconds, 3),
        "largest_difference": difference,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--only", choices=CONTESTS, help="one model")
    options = parser.parse_args()
    rows = []
    print(
        "| model | threads | lamina ms | onnxruntime ms | ratio (min … max) | compile s | load s | largest difference |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in [options.only] if options.only else CONTESTS:
        for threads in (1, 2):
            row = contest(name, threads)
            rows.append(row)
            low, high = row["ratio_spread"]
            print(
                f"| {name} | {threads} | {row['lamina_ms']} | {row['onnxruntime_ms']} "
                f"| {row['ratio']} ({low} … {high}) | {row['compile_s']} | {row['load_s']} "
                f"| {row['largest_difference']:.1e} |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
