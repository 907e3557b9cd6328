"""Two commits of ours side by side: times of models, of cold compilation and of loading from the cache.

    python benchmarks/compare_commits.py BASE [HEAD] [--only NAME …] [--threads N …] [--rounds N] [--json FILE]

BASE and HEAD are anything that git understands; without HEAD it is the working tree as it stands. Both run with this
Python, each in a process of its own from a checkout of its own, and take turns. `ratio` is HEAD over BASE (least …
largest of the rounds): below 1 HEAD is faster; `faster` and `slower` are said only where all rounds agree and the
median is 2 % or more from 1. `load` is a new process up to a callable from the cache, imports included. Exit code 1
where a model is slower, or where the outputs of the two differ.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "test"), str(ROOT / "benchmarks")]

import contest  # noqa: E402

from support import models  # noqa: E402

NAMES = ("mlp", "mlp-b64", "lenet", "minilm", "resnet50", "mobilenet_v2", "bert_base", "gpt2_decode", "lstm")
SIZES = {"batch": 1, "sequence": 128}
NOTICEABLE = 0.02
"""A smaller difference is not called one: code of the same commit differs by as much from run to run."""
SETTLING_SECONDS = 2.5
"""A file that has just been written is read at every compilation: it might change again within its time stamp."""
TOLERANCE = 1e-3
"""Largest difference of the outputs, relative to the largest magnitude."""

COMPILER = """
import sys, time
import lamina
start = time.perf_counter()
lamina.compile(sys.argv[1], threads=int(sys.argv[2]))
print(time.perf_counter() - start)
"""
SERVER = """
import time
start = time.perf_counter()
import json, statistics, sys
import numpy as np
import lamina
path, threads, feeds, outputs = sys.argv[1], int(sys.argv[2]), dict(np.load(sys.argv[3])), sys.argv[4]
executable = lamina.compile(path, threads=threads)
print(time.perf_counter() - start, flush=True)
np.savez(outputs, *executable(**feeds))
for line in sys.stdin:
    end, times = time.perf_counter() + float(line), []
    executable(**feeds)
    executable(**feeds)
    while time.perf_counter() < end or not times:
        begin = time.perf_counter()
        executable(**feeds)
        times.append(time.perf_counter() - begin)
    print(statistics.median(times), flush=True)
"""


@dataclass(frozen=True)
class Side:
    """One of the two: what it is called and the folder that its package is imported from."""

    name: str
    folder: Path


@contextlib.contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """A work tree of `revision` at `folder`, gone afterwards; exits with git's message for an unknown revision."""
    made = subprocess.run(
        ["git", "-C", str(ROOT), "worktree", "add", "--detach", str(folder), revision], capture_output=True, text=True
    )
    if made.returncode:
        raise SystemExit(f"error: {revision}: {made.stderr.strip().splitlines()[-1]}")
    try:
        yield folder
    finally:
        subprocess.run(
            ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(folder)], check=True, capture_output=True
        )


class Contender:
    """A process that compiles a model with one side's package and then runs it whenever it is asked to."""

    def __init__(self, side: Side, folder: Path, threads: int):
        own = folder / side.folder.name
        own.mkdir()
        self.outputs = own / "outputs.npz"
        environment = {**os.environ, "PYTHONPATH": str(side.folder), "LAMINA_CACHE_DIR": str(own / "cache")}
        arguments = [str(folder / "model.onnx"), str(threads)]
        self.name = side.name
        options: Any = {"stdout": subprocess.PIPE, "text": True, "env": environment, "cwd": own}
        self.process = subprocess.Popen([sys.executable, "-c", COMPILER, *arguments], **options)
        self.compile_seconds = float(self._line())
        self.process.wait()
        arguments += [str(folder / "feeds.npz"), str(self.outputs)]
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, *arguments], stdin=subprocess.PIPE, **options)
        self.load_seconds = float(self._line())

    def run(self, seconds: float) -> float:
        """Seconds of a call, the median of those that fit into `seconds`."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"error: {self.name}: its process ended with code {self.process.wait()}")
        return line


def measure(name: str, threads: int, sides: tuple[Side, Side], rounds: int) -> dict[str, Any]:
    """One row: both compile the same file and run on the same inputs, in turn."""
    model = models.named(name)
    feeds = models.random_feeds(model, SIZES)
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        onnx.save(model, folder / "model.onnx")
        np.savez(folder / "feeds.npz", **feeds)
        time.sleep(SETTLING_SECONDS)
        contenders: list[Contender] = []
        for side in sides:
            contenders.append(Contender(side, folder, threads))
            stack.callback(contenders[-1].close)
        times: list[list[float]] = [[], []]
        for _ in range(rounds):
            for contender, own in zip(contenders, times, strict=True):
                time.sleep(contest.PAUSE_SECONDS)
                own.append(contender.run(contest.SLICE_SECONDS))
        base, head = (list(np.load(contender.outputs).values()) for contender in contenders)
        difference = max(_difference(*pair) for pair in zip(base, head, strict=True))
    ratio = contest.ratio(times[1], times[0])
    return {
        "model": name,
        "threads": threads,
        "milliseconds": [1e3 * float(np.median(own)) for own in times],
        "ratio": asdict(ratio),
        "verdict": verdict(ratio),
        "compile_s": [contender.compile_seconds for contender in contenders],
        "load_s": [contender.load_seconds for contender in contenders],
        "difference": difference,
    }


def verdict(ratio: contest.Ratio) -> str:
    """`faster` or `slower` where every round says so and the median is noticeable, else nothing."""
    if ratio.largest < 1 and ratio.median < 1 - NOTICEABLE:
        return "faster"
    if ratio.least > 1 and ratio.median > 1 + NOTICEABLE:
        return "slower"
    return ""


def _difference(base: np.ndarray, head: np.ndarray) -> float:
    scale = max(float(np.abs(base).max(initial=0)), 1e-30)
    return float(np.abs(head.astype(np.float64) - base).max(initial=0)) / scale


def cells(row: dict[str, Any]) -> list[str]:
    """A row as the table shows it."""
    base, head = row["milliseconds"]
    pairs = [f"{row[key][0]:.2f} → {row[key][1]:.2f}" for key in ("compile_s", "load_s")]
    ratio = f"{contest.Ratio(**row['ratio'])} {row['verdict']}".strip()
    return [row["model"], str(row["threads"]), f"{base:.3f}", f"{head:.3f}", ratio, *pairs, f"{row['difference']:.1e}"]


def main() -> int:
    """Print the table; 1 where a model is slower or gives other outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", metavar="BASE", help="the commit to compare with")
    parser.add_argument("head", metavar="HEAD", nargs="?", help="the commit in question (default: the working tree)")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=NAMES, help=f"(default: {', '.join(NAMES)})")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N", help="(default: 1 2)")
    parser.add_argument("--rounds", type=int, default=contest.ROUNDS, help=f"(default: {contest.ROUNDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    options = parser.parse_args()
    columns = ("model", "threads", "base ms", "head ms", "ratio", "compile s", "load s", "outputs differ by")
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base = stack.enter_context(checkout(options.base, folder / "base"))
        head = stack.enter_context(checkout(options.head, folder / "head")) if options.head else ROOT
        sides = (Side(options.base, base), Side(options.head or "the working tree", head))
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
        for name in options.only:
            for threads in options.threads:
                rows.append(measure(name, threads, sides, options.rounds))
                print(f"| {' | '.join(cells(rows[-1]))} |", flush=True)
                if options.json:
                    options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(row["verdict"] == "slower" or row["difference"] > TOLERANCE for row in rows))


if __name__ == "__main__":
    sys.exit(main())
