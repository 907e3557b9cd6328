"""Every lit test, run by lit itself; one pytest test so that a failing run shows lit's own report."""

import os
import subprocess
import sys
from pathlib import Path

from support.warm_commands import shared_commands

LIT_ROOT = Path(__file__).parent / "lit"


def test_lit():
    run = subprocess.run(
        [str(Path(sys.executable).parent / "lit"), "-v", "--order=lexical", str(LIT_ROOT)],
        capture_output=True,
        text=True,
        env={**os.environ, "LAMINA_COMMANDS": str(shared_commands())},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Passed" in run.stdout, "lit found no test"
