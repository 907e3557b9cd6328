"""Contenders in processes and environments of their own, timed in turn; tables of what they reach.

Every contender is a `peer_process.py` with the Python of its environment (`--peer torch=PYTHON`), held to as many cores
as it has threads. One runs while the others wait for their next request, with a pause before, so that threads that
still spin do no harm. A figure is the fastest call over all rounds, for everybody. What each computes is compared with
an f64 evaluation in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

OURS = "lamina"
NAMES = (OURS, "onnxruntime", "openvino", "torch", "jax")
PAUSE_SECONDS = 0.05
SLICE_SECONDS = 0.1
ROUNDS = 3
LARGEST_DISAGREEMENT = 1e-3
"""Of the largest magnitude: a peer that is further from the f64 evaluation computes something else."""

ENVIRONMENT = {
    # Blocks that are freed and taken again stay in the process: nobody is timed on fresh pages.
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(2**28),
    "MALLOC_ARENA_MAX": "1",
}


@dataclass(frozen=True)
class Case:
    """What is computed: a model file, the same as expressions for torch and JAX, inputs, and the result in f64.

    `models`: other files of the same, by contender; `onnxruntime:fused` is ONNX Runtime with a file of its own.
    `constants`: what the expressions name besides inputs; `setup`: statements for torch ahead of its expression (to
    pack weights, say). `numpy` takes the expression for JAX.
    """

    name: str
    model: Path
    torch: str
    jax: str
    feeds: Mapping[str, np.ndarray]
    exact: np.ndarray
    models: Mapping[str, Path] = field(default_factory=dict)
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    setup: str = ""


class Peer:
    """A contender's process."""

    def __init__(self, name: str, python: str, threads: int):
        self.name = name
        script = Path(__file__).with_name("peer_process.py")
        self.process = subprocess.Popen(
            [python, str(script), name.split(":")[0], "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads), "JAX_PLATFORMS": "cpu"},
        )

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to one request; `error` when the process is gone."""
        process = self.process
        if process.stdin is None or process.stdout is None or process.poll() is not None:
            return {"error": "the process has ended"}
        print(json.dumps(request), file=process.stdin, flush=True)
        line = process.stdout.readline()
        return json.loads(line) if line else {"error": "the process has ended"}

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def started(pythons: Mapping[str, str], threads: int) -> Iterator[list[Peer]]:
    """Processes of the contenders."""
    peers = [Peer(name, python, threads) for name, python in pythons.items()]
    try:
        yield peers
    finally:
        for peer in peers:
            peer.close()


def contest(case: Case, peers: Sequence[Peer], rounds: int, seconds: float) -> dict[str, Any]:
    """Each contender's fastest call in ms and its error; `ratio`: ours over the fastest of the others."""
    row: dict[str, Any] = {"case": case.name}
    ready: list[Peer] = []
    magnitude = max(float(np.abs(case.exact).max(initial=0)), 1e-30)
    with tempfile.TemporaryDirectory() as folder:
        feeds = Path(folder) / "feeds.npz"
        np.savez(feeds, **case.feeds)
        constants = Path(folder) / "constants.npz"
        np.savez(constants, **case.constants)
        for peer in peers:
            if ":" in peer.name and peer.name not in case.models:
                continue
            output = Path(folder) / f"{peer.name.replace(':', '-')}.npy"
            request = {
                "model": str(case.models.get(peer.name, case.model)),
                "feeds": str(feeds),
                "inputs": list(case.feeds),
                "torch": case.torch,
                "jax": case.jax,
                "constants": str(constants),
                "setup": case.setup,
                "output": str(output),
            }
            answer = peer.ask({"prepare": request})
            if "error" in answer:
                row[f"{peer.name}_error"] = answer["error"]
                continue
            result = np.load(output).reshape(case.exact.shape)
            error = float(np.abs(result - case.exact).max(initial=0)) / magnitude
            row[f"{peer.name}_error"] = f"{error:.1e}"
            if error > LARGEST_DISAGREEMENT:
                row[f"{peer.name}_error"] += " !"
                continue
            ready.append(peer)
    best = {peer.name: float("inf") for peer in ready}
    medians: dict[str, list[float]] = {peer.name: [] for peer in ready}
    for _ in range(rounds):
        for peer in ready:
            time.sleep(PAUSE_SECONDS)
            fastest, median = peer.ask({"run": seconds})["ms"]
            best[peer.name] = min(best[peer.name], fastest)
            medians[peer.name].append(median)
    row |= {f"{name}_ms": round(value, 5) for name, value in best.items()}
    row |= {f"{name}_medians_ms": [round(value, 5) for value in values] for name, values in medians.items()}
    others = {name: value for name, value in best.items() if name != OURS}
    if OURS in best and others:
        row["best"] = min(others, key=lambda name: others[name])
        row["ratio"] = round(best[OURS] / others[row["best"]], 3)
    return row


def add_options(parser: argparse.ArgumentParser, names: Sequence[str] = NAMES) -> None:
    """The options that all tables have."""
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SLICE_SECONDS, help="of one short run")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=PYTHON", help="a contender's Python (torch, jax …)"
    )
    parser.add_argument("--peers", nargs="+", default=list(names), choices=names, help="the contenders")
    parser.add_argument("--json", type=Path)


def pythons_of(options: argparse.Namespace) -> dict[str, str]:
    """The Python of each contender: this one where none is named; contenders that it does not have are left out."""
    named = dict(text.split("=", 1) for text in options.peer)
    found: dict[str, str] = {}
    for name in options.peers:
        package = name.split(":")[0]
        python = named.get(package, sys.executable)
        probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        if subprocess.run([python, "-c", probe], check=False).returncode == 0:
            found[name] = python
        else:
            print(f"({name} is not installed for {python}: left out)")
    return found


def table_head(names: Sequence[str], *more: str) -> str:
    """The head of a Markdown table."""
    columns = ["case", "threads", *(f"{name} ms" for name in names), "ratio", *more, "error"]
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def table_row(row: Mapping[str, Any], names: Sequence[str], *more: str) -> str:
    """One row of it."""
    times = [f"{row[f'{name}_ms']:.4g}" if f"{name}_ms" in row else "-" for name in names]
    cells = [row["case"], row["threads"], *times, row.get("ratio", "-"), *(row.get(name, "-") for name in more)]
    return f"| {' | '.join(str(cell) for cell in (*cells, row.get('lamina_error', '-')))} |"


def finish(rows: Sequence[Mapping[str, Any]], path: Path | None) -> int:
    """Write the JSON; 1 where our result is wrong or missing."""
    if path is not None:
        path.write_text(json.dumps(rows, indent=1))
    return int(any("lamina_ms" not in row for row in rows))
