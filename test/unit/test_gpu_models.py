"""The architectures, control flow and training steps on a GPU target: kernels and host program run on an OpenCL CPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lamina
from lamina import api, losses, ops, optimizers
from lamina.diagnostics import LaminaError
from lamina.interface import donate
from lamina.transforms import jit, value_and_grad
from lamina.trees import flatten
from support import models
from support.marks import needs_opencl
from support.opencl import run_package

STATIC = [f"{name}_small" for name in models.ARCHITECTURES]
SYMBOLIC = [
    f"{name}_small_symbolic"
    for name in models.ARCHITECTURES
    if (models.MODELS / f"{name}_small_symbolic.onnx").exists()
]
SIZES = {"batch": 3, "sequence": 13}
EXAMPLES = Path(__file__).parents[2] / "examples"


def compiled(
    model: Any, folder: Path, target: str = "spirv", donations: dict[str, str] | None = None
) -> dict[str, Any]:
    context = api.make_context()
    module = api.load_module(model, context)
    donate(module, donations or {})
    return dict(api.compile_for_gpu(module, context, folder, target))


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(expected).max(initial=0)))
    )


@needs_opencl
@pytest.mark.parametrize("name", [*STATIC, *SYMBOLIC])
def test_architectures_equal_onnxruntime(name: str, tmp_path: Path) -> None:
    model = models.architecture(name)
    compiled(model, tmp_path / "package")
    feeds = models.random_feeds(model, SIZES)
    found = run_package(tmp_path / "package", feeds, tmp_path)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    for output, expected in zip(names, session.run(names, feeds), strict=True):
        assert_close(found[output], expected)


@needs_opencl
@pytest.mark.parametrize("magnitude", [0.5, 0.0, 20.0])
def test_loops_and_branches_that_ask_the_device(magnitude: float, tmp_path: Path) -> None:
    """A loop whose condition the device computes, counters of the host in it, then a branch on a counter."""
    model = models.loop_model()
    compiled(model, tmp_path / "package")
    x = (magnitude * np.random.default_rng(0).standard_normal((4, 16))).astype(np.float32)
    found = run_package(tmp_path / "package", {"x": x}, tmp_path)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, count = session.run(["y", "count"], {"x": x})
    assert found["count"] == count
    assert_close(found["y"], y)


@needs_opencl
def test_sizes_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    """A check that main makes with `cf.assert`, of sizes known only at the call."""
    specs = lamina.spec(("a", 3), "f32", name="x"), lamina.spec(("b", 3), "f32", name="y")
    traced = lamina.trace(lambda x, y: x + y, *specs)
    api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path / "package", "spirv")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (found,) = run_package(tmp_path / "package", {"x": x, "y": x}, tmp_path).values()
    np.testing.assert_array_equal(found, x + x)
    with pytest.raises(AssertionError, match="expected equal sizes"):
        run_package(tmp_path / "package", {"x": x, "y": np.zeros((4, 3), np.float32)}, tmp_path)


@needs_opencl
def test_donated_caches_are_updated_in_place(tmp_path: Path) -> None:
    model = models.architecture("gpt2_decode_small")
    caches = {"past_keys": "keys", "past_values": "values"}
    manifest = compiled(model, tmp_path / "package", donations=caches)
    assert [one.get("input") for one in manifest["outputs"]] == [None, *caches]
    feeds = models.random_feeds(model)
    expected = lamina.compile(model)(**feeds)
    found = run_package(tmp_path / "package", feeds, tmp_path)
    for one, array in zip(manifest["outputs"], expected, strict=True):
        assert_close(found[one["name"]], array)


def mlp_loss(weights: dict[str, Any], x: Any, y: Any) -> Any:
    return losses.softmax_cross_entropy(ops.relu(x @ weights["w1"] + weights["b1"]) @ weights["w2"] + weights["b2"], y)


def mlp_step(optimizer: optimizers.Optimizer) -> tuple[Any, tuple[Any, ...]]:
    draw = np.random.default_rng(0)
    weights = {
        "w1": draw.standard_normal((20, 16)).astype(np.float32),
        "b1": np.zeros(16, np.float32),
        "w2": draw.standard_normal((16, 5)).astype(np.float32),
        "b2": np.zeros(5, np.float32),
    }

    def step(weights: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradients = value_and_grad(mlp_loss)(weights, x, y)
        return *optimizer.update(weights, gradients, state), value

    data = draw.standard_normal((12, 20)).astype(np.float32), draw.integers(0, 5, 12)
    return jit(step, donate_argnums=(0, 1)), (weights, optimizer.initialize(weights), *data)


def digits_step() -> tuple[Any, tuple[Any, ...]]:
    sys.path.insert(0, str(EXAMPLES / "digits"))
    try:
        import digits
    finally:
        sys.path.pop(0)
    optimizer = optimizers.adam(optimizers.cosine(3e-3, 100))
    model = lamina.nn.initialize(digits.Classifier(), seed=0)
    draw = np.random.default_rng(1)
    data = draw.random((4, 1, 8, 8), dtype=np.float32), draw.integers(0, 10, 4)
    return digits.make_step(optimizer), (model, optimizer.initialize(model), *data)


STEPS = {
    "sgd": lambda: mlp_step(optimizers.sgd(0.1)),
    "momentum": lambda: mlp_step(optimizers.sgd(0.1, momentum=0.9)),
    "adamw": lambda: mlp_step(optimizers.adamw(0.01)),
    "digits": digits_step,
}


@needs_opencl
@pytest.mark.parametrize("name", STEPS)
def test_training_steps_equal_the_cpu(name: str, tmp_path: Path) -> None:
    """Forward, backward and update: the same results as compiled for the CPU, in the same donated buffers."""
    step, arguments = STEPS[name]()
    traced = step.trace(*arguments)
    manifest = api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path / "package", "spirv")
    leaves = [np.array(leaf) for leaf in flatten(arguments)[0]]
    feeds = dict(zip((one["name"] for one in manifest["inputs"]), leaves, strict=True))
    found = run_package(tmp_path / "package", feeds, tmp_path)
    expected = lamina.compile(traced).call([leaf.copy() for leaf in leaves])
    donated = [one for one in manifest["outputs"] if "input" in one]
    assert len(donated) == len(manifest["outputs"]) - 1
    for one, array in zip(manifest["outputs"], expected, strict=True):
        assert_close(found[one["name"]], np.asarray(array), 2e-5)


@pytest.mark.parametrize("target", ["ptx:sm_90", "amdgcn:gfx942", "spirv"])
@pytest.mark.parametrize("name", ["vit_b16_small_symbolic", "gpt2_decode_small", "digits"])
def test_every_kind_of_target_has_code(name: str, target: str, tmp_path: Path) -> None:
    if name in STEPS:
        step, arguments = STEPS[name]()
        traced = step.trace(*arguments)
        manifest = api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path, target)
    else:
        manifest = compiled(models.architecture(name), tmp_path, target)
    for kernel in manifest["kernels"]:
        assert (tmp_path / kernel["file"]).exists() and kernel["name"] in (tmp_path / kernel["text"]).read_text()
        assert kernel["source"], kernel["name"]


def test_what_only_a_cpu_can_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaminaError, match="unknown target 'ptx:sm_12'"):
        compiled(models.mlp(), tmp_path, "ptx:sm_12")
