"""All tables in one command: peers installed, everything measured, JSON, Markdown and plots written.

    python benchmarks/run.py [--output DIR] [--tables NAME …] [--threads N …] [--quick] [--environments DIR]

PyTorch and JAX go into environments of their own below `--environments` (made once, with pip); ONNX Runtime and
OpenVINO come with the extra `bench` of this one. Every table is a script of this folder that also runs alone, checks
what it times against an f64 evaluation or ONNX Runtime in the same run, and pauses between contenders. `--output` gets
TABLE.json, TABLE.png (ours over the best of the peers, a bar per row) and report.md, which begins with the machine's
measured peak and bandwidth. Nothing else should run on the machine meanwhile. `--quick` takes few rounds and rows: a
trial.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent

ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch==2.13.0", "numpy>=2.0"),
    "jax": ("jax==0.10.2", "numpy>=2.0"),
}
"""What is installed into each environment."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A script and how its rows are read.

    `threads`: how thread counts are given (one option with a comma, one with spaces, or a run for each); `peers`: the
    options that name the Pythons of other environments; `quick`: options of a trial run.
    """

    script: str
    title: str
    label: Callable[[Row], str]
    ratio: Callable[[Row], float | None]
    peers: Callable[[Mapping[str, str]], list[str]] = lambda pythons: []
    threads: str = "list"
    quick: tuple[str, ...] = ()


def _peer_options(pythons: Mapping[str, str]) -> list[str]:
    return [part for name, python in pythons.items() for part in ("--peer", f"{name}={python}")]


def _training_options(pythons: Mapping[str, str]) -> list[str]:
    return [part for name, python in pythons.items() for part in (f"--{name}", python)]


def _case(row: Row) -> str:
    return f"{row['case']}"


def _plain_ratio(row: Row) -> float | None:
    return row.get("ratio")


TABLES: Mapping[str, Table] = {
    "models": Table(
        "e2e.py",
        "Whole models",
        lambda row: row["model"],
        lambda row: row["ratios"]["faster"]["median"] if "ratios" in row else None,
        quick=("--only", "mlp", "lenet", "--rounds", "2"),
    ),
    "contractions": Table(
        "kernels.py", "Contractions", _case, _plain_ratio, _peer_options, quick=("--only", "128", "--rounds", "1")
    ),
    "convolutions": Table(
        "convolutions.py",
        "Convolutions",
        lambda row: f"{row['network']} {row['layer']}",
        _plain_ratio,
        _peer_options,
        quick=("--only", "stem", "--rounds", "1"),
    ),
    "rows": Table(
        "rows.py",
        "Rows and elementwise",
        lambda row: f"{row['case']}, {row['size']}",
        _plain_ratio,
        _peer_options,
        quick=("--only", "softmax", "--rounds", "1"),
    ),
    "attention": Table(
        "attention.py", "Attention", _case, _plain_ratio, _peer_options, quick=("--only", "128", "--rounds", "1")
    ),
    "training": Table(
        "training.py",
        "Training steps",
        _case,
        lambda row: statistics.median(row["ratios"]) if row["ratios"] else None,
        _training_options,
        threads="comma",
        quick=("--only", "mlp", "--rounds", "2"),
    ),
}


def environment(name: str, folder: Path) -> str:
    """The Python of a peer's environment, which is made where it is missing."""
    python = folder / name / "bin" / "python"
    stamp = folder / name / "installed.json"
    wanted = json.dumps(ENVIRONMENTS[name])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(ENVIRONMENTS[name])} into {folder / name} …", file=sys.stderr, flush=True)
        venv.create(folder / name, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *ENVIRONMENTS[name]]
        if subprocess.run(install).returncode:
            raise SystemExit(f"error: {name} cannot be installed into {folder / name}")
        stamp.write_text(wanted)
    return str(python)


def run_table(name: str, options: argparse.Namespace, pythons: Mapping[str, str]) -> tuple[list[Row], str]:
    """Rows and the Markdown that the script printed; both are written to the output folder as well."""
    table = TABLES[name]
    path = options.output / f"{name}.json"
    counts = [str(count) for count in options.threads]
    threads = [",".join(counts)] if table.threads == "comma" else counts
    command = [sys.executable, str(HERE / table.script), "--threads", *threads, "--json", str(path)]
    command += [*table.peers(pythons), *(table.quick if options.quick else ())]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    text = result.stdout.strip()
    (options.output / f"{name}.md").write_text(text + "\n")
    if not path.exists():
        raise SystemExit(f"error: {table.script}: no rows were written (exit code {result.returncode})")
    if result.returncode:
        print(f"{table.script}: exit code {result.returncode}: a row failed its check", file=sys.stderr)
    return json.loads(path.read_text()), text


def summary(table: Table, rows: Sequence[Row]) -> str:
    """One sentence: the geometric mean of the ratios, how many rows are lost, and which."""
    found = [(table.ratio(row), f"{table.label(row)} ({row['threads']})") for row in rows]
    known = [(ratio, label) for ratio, label in found if ratio is not None]
    lost = sorted(((ratio, label) for ratio, label in known if ratio > 1), reverse=True)
    mean = statistics.geometric_mean([ratio for ratio, _ in known]) if known else math.nan
    text = f"Ours over the best peer, geometric mean of {len(known)} rows: {mean:.2f}; behind on {len(lost)}"
    return text + (": " + ", ".join(f"{label} {ratio:.2f}" for ratio, label in lost) if lost else "") + "."


def plot(table: Table, rows: Sequence[Row], path: Path) -> None:
    """A bar per row and thread count, on a logarithmic axis: left of 1 we are faster."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts = sorted({row["threads"] for row in rows})
    labels = list(dict.fromkeys(table.label(row) for row in rows))
    figure, axes = pyplot.subplots(figsize=(8, 1.4 + 0.16 * len(labels) * (len(counts) + 0.6)))
    height = 0.8 / len(counts)
    for number, count in enumerate(counts):
        ratios = {table.label(row): table.ratio(row) for row in rows if row["threads"] == count}
        bars = [(labels.index(label), ratio) for label, ratio in ratios.items() if ratio]
        places = [place + (number - (len(counts) - 1) / 2) * height for place, _ in bars]
        # A bar starts at 1, where both are equal.
        axes.barh(places, [ratio - 1 for _, ratio in bars], height, left=1, label=f"{count} threads")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("time, ours over the best peer (left of 1: ours is faster)")
    axes.set_title(table.title)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def machine(threads: Sequence[int]) -> str:
    """The CPU, and what it reaches: arithmetic and memory, measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    text = f"{name}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}\n"
    for script in ("peak.py", "bandwidth.py"):
        command = [sys.executable, str(HERE / script), "--threads", *map(str, threads)]
        text += subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    return text


def main() -> int:
    """Measure and write; 1 where a table could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmark-results", metavar="DIR")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="NAME",
                        help=f"of {', '.join(TABLES)} (default: all)")  # fmt: skip
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N", help="(default: 1 2)")
    parser.add_argument("--quick", action="store_true", help="few rounds and rows")
    parser.add_argument("--environments", type=Path, default=ROOT / ".benchmark-environments", metavar="DIR",
                        help="where the peers' environments are or will be")  # fmt: skip
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    needed = ENVIRONMENTS if any(TABLES[name].peers({"torch": "", "jax": ""}) for name in options.tables) else {}
    pythons = {name: environment(name, options.environments) for name in needed}
    report = ["# Benchmarks", "```", machine(options.threads).strip(), "```"]
    for name in options.tables:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows, text = run_table(name, options, pythons)
        plot(TABLES[name], rows, options.output / f"{name}.png")
        report += [f"## {TABLES[name].title}", summary(TABLES[name], rows), text, f"![{name}]({name}.png)"]
        (options.output / "report.md").write_text("\n\n".join(report) + "\n")
        print(summary(TABLES[name], rows), flush=True)
    print(f"{options.output / 'report.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
