"""The benchmarks run: a row of each table, figures that do not depend on time within their bounds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_row_of_the_table_of_models(tmp_path):
    command = [sys.executable, "benchmarks/e2e.py", "--only", "mlp", "--threads", "1", "--rounds", "1"]
    command += ["--json", str(tmp_path / "rows.json")]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["model"] == "mlp"
    assert row["arena_bytes"] <= 1.1 * row["largest_live_bytes"]
    assert row["peak_bytes"] <= row["peak_bound_bytes"]
    assert row["kernel_calls"] >= row["kernels_distinct"] > 0


def test_a_commit_beside_the_working_tree(tmp_path):
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("this is no git repository")
    command = [sys.executable, "benchmarks/compare_commits.py", "HEAD", "--only", "mlp", "--threads", "1"]
    command += ["--rounds", "1", "--json", str(tmp_path / "rows.json")]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["difference"] <= 1e-3, shown.stderr
    assert min(row["load_s"]) > 0 and min(row["compile_s"]) > 0
    assert subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True).stdout.count("\n") == 1


def test_an_unknown_commit():
    command = [sys.executable, "benchmarks/compare_commits.py", "no-such-commit", "--only", "mlp"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 1
    assert "error: no-such-commit: " in shown.stderr and "Traceback" not in shown.stderr


def test_all_tables_in_one_command(tmp_path):
    """`make bench`, as a trial of the table that needs no other environment."""
    command = [sys.executable, "benchmarks/run.py", "--quick", "--tables", "models", "--threads", "1"]
    shown = subprocess.run([*command, "--output", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert shown.returncode == 0, shown.stderr
    rows = json.loads((tmp_path / "models.json").read_text())
    assert [row["model"] for row in rows] == ["mlp", "lenet"]
    report = (tmp_path / "report.md").read_text()
    assert "GFLOP/s" in report and "triad" in report and "geometric mean of 2 rows" in report
    assert (tmp_path / "models.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("kernels.py", ["--set", "small", "--only", "odd"]),
        ("convolutions.py", ["--network", "mobilenetv2", "--only", "stem"]),
        ("rows.py", ["--size", "cache", "--only", "rms norm"]),
        ("attention.py", ["--only", "12/4 heads"]),
    ],
)
def test_a_row_of_a_table_of_kernels(script, options, tmp_path):
    """Right, and beside ONNX Runtime; contenders that are not installed are left out."""
    command = [sys.executable, f"benchmarks/{script}", *options, "--threads", "1", "--rounds", "1"]
    command += ["--seconds", "0.01", "--json", str(tmp_path / "rows.json"), "--peers", "lamina", "onnxruntime"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert rows and all(row["ratio"] > 0 and row["best"] == "onnxruntime" for row in rows), rows
    assert all(row["case"] in shown.stdout for row in rows)


def test_a_row_of_the_table_of_training_steps(tmp_path):
    command = [sys.executable, "benchmarks/training.py", "--only", "mlp", "--threads", "1", "--rounds", "1"]
    command += ["--seconds", "0.01", "--json", str(tmp_path / "rows.json")]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert shown.returncode == 0, shown.stderr
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["case"] == "mlp" and "error" not in row["lamina"], row
