"""The table of whole models: accuracy, time beside ONNX Runtime and OpenVINO, kernels, memory, compile and load times.

    python benchmarks/e2e.py [--only NAME …] [--threads N …] [--small] [--rounds N] [--json FILE]

Every row is measured in a process of its own, the memory of a run from the cache in another. `error` is our largest
error against an f64 evaluation over ONNX Runtime's. Ratios are times, ours over theirs, median of the rounds (least …
largest): below 1 we are faster; the last is against the faster of the two in each round. `kernels` are distinct ones /
calls. `arena` is the arena over the largest live set. `load` is the second load of an entry (`first_load_s` in the JSON
is the first). `peak` is the resident memory of a process that loads the model from the cache and runs it,
over 1.3 × (weights + arena) + 150 MB. `--small` takes the configurations of the tests. A
figure that breaks its bound has an exclamation mark.

Models of less than a millisecond have a row more, named `NAME bound`: ONNX Runtime with inputs and outputs bound once
(and no OpenVINO), ours with arrays to write into. Its JSON has `call_us`: a call of an executable that adds two
numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "test"))

import contest  # noqa: E402

import lamina  # noqa: E402
from lamina import api  # noqa: E402
from lamina.report import report  # noqa: E402
from support import models  # noqa: E402
from support.oracles import double_outputs  # noqa: E402

SMALL_MODELS = ("mlp", "mlp-b64", "lenet", "minilm")
SHORT_MODELS = ("mlp", "mlp-b64", "lenet")
"""Below a millisecond: what a call costs besides the kernels shows."""
BOUND = " bound"
NAMES = (
    *SMALL_MODELS,
    *(f"{name}{BOUND}" for name in SHORT_MODELS),
    *models.ARCHITECTURES,
    *(f"light_{name}" for name in models.LIGHT),
)
SIZES = {"batch": 1, "sequence": 128}
SETTLING_SECONDS = 2.5
"""A file that has just been written is read at every compilation: it might change again within its time stamp."""

CACHED_RUN = """
import re, sys, time
import numpy as np
import lamina
path, feeds, threads = sys.argv[1], dict(np.load(sys.argv[2])), int(sys.argv[3])
start = time.perf_counter()
executable = lamina.compile(path, threads=threads)
load = time.perf_counter() - start
for _ in range(3):
    executable(**feeds)
# Not ru_maxrss, which begins with the memory of the process that started this one.
peak = re.search("VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
print(executable.compile_count, load, int(peak) * 1024)
"""
COLUMNS = (
    "model", "threads", "error", "ms", "/ onnxruntime", "/ openvino", "/ the faster", "kernels", "arena", "compile s",
    "load s", "peak",
)  # fmt: skip


def arena_and_bound(model: onnx.ModelProto, sizes: dict[str, int]) -> dict[str, Any]:
    """Kernels, and bytes of the arena and of the largest live set, which bounds it from below."""
    context = api.make_context()
    module = api.load_module(model, context)
    weights = sum(context.resources.get(key).nbytes for key in api.resource_keys(api.module_text(module)))
    found = report(module, context)
    figures = found.kernels.figures(sizes)
    return {
        "kernels_distinct": figures["distinct"],
        "kernel_calls": figures["calls"],
        "weight_bytes": weights,
        "arena_bytes": found.memory.arena_bytes(sizes),
        "largest_live_bytes": found.memory.largest_live_bytes(sizes),
    }


def call_microseconds(threads: int) -> float:
    """The median time of a call that adds two numbers, with arrays to write into."""
    numbers = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    total = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "sum", [numbers], [total])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    executable, x, out = lamina.compile(model, threads=threads), np.ones(1, np.float32), [np.empty(1, np.float32)]
    return 1e6 * float(np.median(contest.run_for(lambda: executable(x, out=out), contest.SLICE_SECONDS)))


def measure(name: str, threads: int, small: bool, rounds: int) -> dict[str, Any]:
    """One row; the cache of compiled models is an empty folder of its own."""
    row, name, bound = name, name.removesuffix(BOUND), name.endswith(BOUND)
    model = models.named(name if name in SMALL_MODELS or name.startswith("light_") or not small else f"{name}_small")
    feeds = models.random_feeds(model, SIZES)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LAMINA_CACHE_DIR"] = str(Path(folder) / "cache")
        path, feeds_path = Path(folder) / "model.onnx", Path(folder) / "feeds.npz"
        onnx.save(model, path)
        np.savez(feeds_path, **feeds)
        time.sleep(SETTLING_SECONDS)
        start = time.perf_counter()
        executable = lamina.compile(path, threads=threads)
        compile_seconds = time.perf_counter() - start
        command = [sys.executable, "-c", CACHED_RUN, str(path), str(feeds_path), str(threads)]
        cached = [
            subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parent).stdout.split()
            for _ in range(2)
        ]
        if any(count != "0" for count, *_ in cached):
            raise SystemExit(f"{name}: the second process compiled again")
        contenders = {"lamina": lambda: executable(**feeds)}
        contenders["onnxruntime"] = contest.onnxruntime_call(path, feeds, threads)
        ours, theirs = ([np.array(one) for one in contenders[key]()] for key in ("lamina", "onnxruntime"))
        if bound:
            arrays, results = list(feeds.values()), [np.empty_like(one) for one in ours]
            contenders["lamina"] = lambda: executable(*arrays, out=results)
            contenders["onnxruntime"] = contest.onnxruntime_bound_call(path, feeds, threads)
        elif (openvino := contest.openvino_call(path, feeds, threads)) is not None:
            contenders["openvino"] = openvino
        errors = contest.error_ratio(ours, theirs, double_outputs(model, feeds))
        medians = contest.contend(contenders, rounds)
    others = {key: values for key, values in medians.items() if key != "lamina"}
    ratios = {key: asdict(contest.ratio(medians["lamina"], values)) for key, values in others.items()}
    ratios["faster"] = asdict(contest.ratio(medians["lamina"], contest.fastest_of(*others.values())))
    memory = arena_and_bound(model, SIZES)
    return {
        "model": row,
        "threads": threads,
        **({"call_us": call_microseconds(threads)} if bound else {}),
        **errors,
        "milliseconds": {key: 1e3 * float(np.median(values)) for key, values in medians.items()},
        "ratios": ratios,
        **memory,
        "compile_s": compile_seconds,
        "first_load_s": float(cached[0][1]),
        "load_s": float(cached[1][1]),
        "peak_bytes": max(int(peak) for *_, peak in cached),
        "peak_bound_bytes": int(1.3 * (memory["weight_bytes"] + memory["arena_bytes"]) + 150e6),
    }


def cells(row: dict[str, Any]) -> list[str]:
    """A row as the table shows it; a figure that breaks its bound is marked with an exclamation mark."""
    ratios = {key: contest.Ratio(**one) for key, one in row["ratios"].items()}
    live = row["largest_live_bytes"]
    return [
        row["model"],
        str(row["threads"]),
        f"{row['error_ratio']:.2f}" + " !" * (row["error"] > row["error_bound"]),
        f"{row['milliseconds']['lamina']:.3f}",
        str(ratios["onnxruntime"]) + " !" * (row["model"].endswith(BOUND) and ratios["onnxruntime"].median > 1),
        str(ratios.get("openvino", "")),
        str(ratios["faster"]) + " !" * (ratios["faster"].median > 2),
        f"{row['kernels_distinct']}/{row['kernel_calls']}",
        f"{row['arena_bytes'] / live:.2f}" + " !" * (row["arena_bytes"] > 1.1 * live) if live else "",
        f"{row['compile_s']:.1f}" + " !" * (row["compile_s"] > 15),
        f"{row['load_s']:.2f}" + " !" * (row["load_s"] > 1),
        f"{row['peak_bytes'] / 1e6:.0f}/{row['peak_bound_bytes'] / 1e6:.0f} MB"
        + " !" * (row["peak_bytes"] > row["peak_bound_bytes"]),
    ]


def measured_apart(name: str, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own; a failure becomes the row's `failure`."""
    command = [sys.executable, __file__, "--worker", name, "--threads", str(threads), "--rounds", str(options.rounds)]
    result = subprocess.run([*command, *(["--small"] if options.small else [])], capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        return {"model": name, "threads": threads, "failure": lines[-1], "output": result.stderr}
    return json.loads(result.stdout.splitlines()[-1])


def main() -> int:
    """Print the table; 1 where a model fails or is less accurate than it may be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N", help="(default: 1 2)")
    parser.add_argument("--small", action="store_true", help="the small configurations of the tests")
    parser.add_argument("--rounds", type=int, default=contest.ROUNDS, help=f"(default: {contest.ROUNDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.threads[0], options.small, options.rounds)))
        return 0
    rows: list[dict[str, Any]] = []
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name in options.only or NAMES:
        for threads in options.threads:
            if sys.stderr.isatty():
                print(f"{name}, {threads} threads …", end="\r", file=sys.stderr, flush=True)
            row = measured_apart(name, threads, options)
            rows.append(row)
            text = [name, str(threads), row["failure"]] if "failure" in row else cells(row)
            print(f"| {' | '.join(text)} |", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any("failure" in row or row["error"] > row["error_bound"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
