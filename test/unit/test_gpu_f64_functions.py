"""f64 functions that a CPU has from its C library: kernels have them on every target, and give the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import api, ops
from lamina.targets.gpu.ptxas import assemble_package, find_ptxas
from support.opencl import run_package, runtime_folder

UNARY: Mapping[str, tuple[Callable[[Any], Any], Callable[..., Any], float]] = {
    "acos": (ops.arccos, np.arccos, 1.0),
    "asin": (ops.arcsin, np.arcsin, 1.0),
    "atan": (ops.arctan, np.arctan, 50.0),
    "cos": (ops.cos, np.cos, 1e300),
    "erf": (ops.erf, np.vectorize(math.erf), 4.0),
    "sin": (ops.sin, np.sin, 1e300),
    "sinh": (ops.sinh, np.sinh, 700.0),
    "tan": (ops.tan, np.tan, 1e18),
}
"""Ours, NumPy's, and the largest argument."""


def every(x: Any, y: Any) -> tuple[Any, ...]:
    return (
        *(function(x * limit) for function, _, limit in UNARY.values()),
        ops.arctan2(x, y),
        ops.power(ops.abs(x), y * 30),
    )


SPECS = lamina.spec((300,), "f64", name="x"), lamina.spec((300,), "f64", name="y")


@pytest.mark.parametrize("target", ["ptx:sm_90", "amdgcn:gfx942", "spirv"])
def test_every_target_has_code(target: str, tmp_path: Path) -> None:
    traced = lamina.trace(every, *SPECS)
    manifest = api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path, target)
    assert len(manifest["outputs"]) == len(UNARY) + 2
    if target.startswith("ptx") and find_ptxas() is not None:
        assert all(usage.spill_stores == 0 for usage in assemble_package(tmp_path, manifest))


@pytest.mark.skipif(runtime_folder() is None, reason="no OpenCL CPU runtime (PyPI: intel-opencl-rt)")
def test_kernels_give_what_numpy_gives(tmp_path: Path) -> None:
    traced = lamina.trace(every, *SPECS)
    api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path / "package", "spirv")
    generator = np.random.default_rng(0)
    x, y = generator.uniform(-1, 1, (2, 300))
    x[:3], y[:3] = [0.0, -0.0, 1.0], [-1.0, -0.0, 0.0]
    found = run_package(tmp_path / "package", {"x": x, "y": y}, tmp_path)
    expected = [function(x * limit) for _, function, limit in UNARY.values()]
    expected += [np.arctan2(x, y), np.abs(x) ** (y * 30)]
    for name, value, exact in zip([*UNARY, "atan2", "power"], found.values(), expected, strict=True):
        np.testing.assert_allclose(value, exact, rtol=4 * 2.0**-52, atol=0, err_msg=name)
