"""Every command and code block of README.md and docs/ is executed; generated pages are up to date.

Blocks run in order, one folder per page. A fence's language says what is done: `python` and `sh` blocks run (a `python`
block sees the names of those before it: up to the next block of another kind they are one script); a block after
`<!-- file: NAME -->` is written to NAME instead. A block after `<!-- not run: REASON -->` is left alone; other languages
(`text`, `mlir` …) are for reading.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<kind>file|not run): (?P<note>.*?) -->\n+)?^```(?P<language>\w+)\n(?P<body>.*?)^```", re.M | re.S
)


def runnable(page: Path) -> list[re.Match[str]]:
    return [
        block for block in BLOCK.finditer(page.read_text()) if block["kind"] or block["language"] in ("python", "sh")
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "REPOSITORY": str(ROOT),
    }
    script, waiting = tmp_path / "_blocks.py", False
    script.write_text("")

    def run(command: list[str], body: str) -> None:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{page.name}:\n{body}\n{done.stdout}\n{done.stderr}"

    def run_python() -> None:
        """All `python` blocks up to here, in one process: a traceback's line is one of theirs."""
        run([sys.executable, script.name], script.read_text())

    for block in runnable(page):
        if block["kind"] == "not run":
            assert len(block["note"]) > 10, f"{page.name}: a reason is needed"
            continue
        if block["kind"] != "file" and block["language"] == "python":
            script.write_text(script.read_text() + block["body"])
            waiting = True
            continue
        if waiting:  # what follows may need what they wrote, or replace what they read
            run_python()
            waiting = False
        if block["kind"] == "file":
            path = tmp_path / block["note"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["body"])
        else:
            run(["bash", "-euo", "pipefail", "-c", block["body"]], block["body"])
    if waiting:
        run_python()


def test_generated_pages_are_current(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--to", tmp_path], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    generated = sorted(tmp_path.iterdir())
    assert generated, "nothing was generated"
    for path in generated:
        assert path.read_text() == (ROOT / "docs" / path.name).read_text(), (
            f"docs/{path.name} is stale: run `make docs`"
        )


def test_makefile_has_the_two_commands():
    makefile = (ROOT / "Makefile").read_text()
    for command in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.M):
        assert re.search(rf"^{command}:", makefile, re.M), command
