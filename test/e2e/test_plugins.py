"""The plugin packages under examples/: their own tests, without installing them; and what they promise."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PACKAGES = sorted(EXAMPLES.glob("plugin_*"))
SCRIPTS = Path(sys.executable).parent


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_own_tests(package: Path):
    lit = subprocess.run(
        [SCRIPTS / "lit", "-v", "--order=lexical", package / "tests"], capture_output=True, text=True, timeout=300
    )
    assert lit.returncode == 0, lit.stdout + lit.stderr
    assert "Passed" in lit.stdout, "lit found no test"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    tests = subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=300)
    assert tests.returncode == 0, tests.stdout + tests.stderr


def test_the_softcap_plugin_is_at_most_forty_formatted_lines():
    (module,) = (EXAMPLES / "plugin_softcap").glob("*.py")
    text = module.read_text()
    ast.parse(text)
    assert len(text.splitlines()) <= 40
    for command in ("format --check", "check"):
        run = subprocess.run([SCRIPTS / "ruff", *command.split(), module], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_an_installed_package_takes_part_by_its_entry_point(package: Path, tmp_path: Path):
    (module,) = package.glob("*.py")
    information = tmp_path / f"{module.stem}-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.stem}\nVersion: 0.1.0\n")
    (information / "entry_points.txt").write_text(f"[lamina.plugins]\nit = {module.stem}:PLUGIN\n")
    (tmp_path / module.name).write_text(module.read_text())
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    dialect = {"plugin_softcap": "softcap", "plugin_library_calls": "library"}[package.name]
    command = [SCRIPTS / "lamina-opt", "--list-dialects"]
    listed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert dialect in listed.stdout.split(), listed.stderr
    assert dialect not in subprocess.run(command, capture_output=True, text=True).stdout.split()
    (tmp_path / module.name).write_text("raise RuntimeError('broken')")
    broken = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert broken.returncode == 1
    assert f"plugin 'it' of package '{module.stem}' cannot be imported: RuntimeError: broken" in broken.stderr
    assert "Traceback" not in broken.stderr
