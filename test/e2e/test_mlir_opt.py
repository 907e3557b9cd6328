"""Every dump at the tensor and loop levels is accepted by MLIR's own `mlir-opt` 22."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from e2e.test_models import CASES
from lamina import api, pipelines

MLIR_OPT = shutil.which("mlir-opt-22") or shutil.which("mlir-opt")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("phase", ["tensor", "loop"])
def test_mlir_opt_accepts(name: str, phase: str):
    if MLIR_OPT is None:
        if os.environ.get("LAMINA_REQUIRE_MLIR_OPT"):
            pytest.fail("mlir-opt 22 is required here: install Debian's mlir-22-tools")
        pytest.skip("mlir-opt is not installed (Debian: mlir-22-tools)")
    context = api.make_context()
    module = api.load_module(CASES[name][0](), context)
    pipelines.run_phases(module, context, to=phase)
    for locations in (False, True):
        text = api.module_text(module, locations=locations)
        run = subprocess.run([MLIR_OPT, "--mlir-print-local-scope"], input=text, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[:2000]
