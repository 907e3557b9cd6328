"""`lamina.jit` for GPU targets, on an OpenCL CPU: the same numbers, trees, devices' arrays, donation, errors."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import ops
from lamina.diagnostics import LaminaError
from lamina.targets.gpu.device_arrays import DeviceArray
from support.marks import needs_opencl


def layer(x, parameters, *, scale=1.0):
    weights, bias = parameters["weights"], parameters["bias"]
    y = ops.relu(x @ weights + bias)
    return {"y": y, "sums": (y * scale).sum(-1)}


def arrays(rows: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(rows)
    draw = lambda *shape: generator.standard_normal(shape, dtype=np.float32)  # noqa: E731
    return draw(rows, 12), {"weights": draw(12, 20), "bias": draw(20)}


@needs_opencl
def test_trees_and_shapes():
    compiled = lamina.jit(layer, target="spirv")
    for rows in (5, 1, 5):
        x, parameters = arrays(rows)
        found = compiled(x, parameters, scale=2.0)
        expected = np.maximum(x.astype(np.float64) @ parameters["weights"] + parameters["bias"], 0)
        np.testing.assert_allclose(found["y"], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found["sums"], 2 * expected.sum(-1), rtol=1e-5, atol=1e-5)
    assert compiled.compile_count == 2


@needs_opencl
def test_gradients():
    def loss(w, x):
        return (ops.tanh(x @ w) ** 2).mean()

    x, parameters = arrays(6)
    step = lamina.jit(lamina.value_and_grad(loss), target="spirv")
    (value, gradient), (expected, wanted) = (
        step(parameters["weights"], x),
        lamina.jit(lamina.value_and_grad(loss))(parameters["weights"], x),
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-6)


@needs_opencl
def test_arrays_of_the_device_are_used_where_they_are():
    x = np.arange(10, dtype=np.float32)
    (there,) = lamina.jit(lambda x: x + x, target="spirv").executable(x)(x, on_device=True)
    assert isinstance(there, DeviceArray)
    again = lamina.jit(lambda x, y: {"sum": x + y, "twice": 2 * x}, target="spirv")(there, x)
    assert all(isinstance(one, DeviceArray) for one in again.values())
    np.testing.assert_array_equal(again["sum"].numpy(), 3 * x)
    np.testing.assert_array_equal(np.asarray(again["twice"]), 4 * x)


@needs_opencl
def test_a_donated_array_is_written_to():
    update = lamina.jit(lambda state, x: state + x, donate_argnums=0, target="spirv")
    state, x = np.ones(7, np.float32), np.arange(7, dtype=np.float32)
    np.testing.assert_array_equal(update(state, x), 1 + np.arange(7))


def test_targets_that_cannot_run_here():
    x = np.ones(3, np.float32)
    with pytest.raises(LaminaError, match="unknown target 'ptx:sm_1'"):
        lamina.jit(lambda x: x + 1, target="ptx:sm_1")(x)
    with pytest.raises(LaminaError, match="no driver for amdgcn"):
        lamina.jit(lambda x: x + 1, target="amdgcn:gfx942")(x)
    with pytest.raises(LaminaError, match="unknown CPU target 'pdp11'"):
        lamina.jit(lambda x: x + 1, target="pdp11")(x)


def test_targets_are_checked_at_decoration():
    for target, says in (("ptx:sm_1", "unknown target"), ("pdp11", "unknown CPU target")):
        with pytest.raises(LaminaError, match=says) as error:
            lamina.jit(lambda x: x, target=target)
        assert "ptx:sm_90" in error.value.hints[0]
    with pytest.raises(LaminaError, match="threads are for CPUs"):
        lamina.jit(lambda x: x, target="ptx", threads=2)
    with pytest.raises(LaminaError, match="device 7 is for GPU targets"):
        lamina.jit(lambda x: x, device=7)


def test_code_for_cpus_only():
    model = lamina.trace(lambda x: x + 1, lamina.spec((3,), "f32", name="x"))
    with pytest.raises(LaminaError, match="'ptx:sm_90' is a GPU") as error:
        lamina.compile(model, target="ptx:sm_90")
    assert "gpu_executable" in error.value.hints[0]


def test_another_cpu():
    x = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(lamina.jit(lambda x: x * 2, target="x86-64")(x), 2 * x)
