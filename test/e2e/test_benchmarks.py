"""The table of whole models that docs/performance.md shows can be made: one row, its figures within their bounds."""

import json
import subprocess
import sys
from pathlib import Path

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
