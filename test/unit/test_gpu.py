"""GPU targets without a GPU: SPIR-V runs on an OpenCL CPU runtime, PTX is assembled by ptxas, the rest is text."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import lamina
from lamina import api, ops
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_sizes import binary, evaluate
from lamina.dialects.hardware.gpu_target import GPU_TARGETS, GpuDescription, gpu_target_of, parse_gpu_target
from lamina.lowering.to_gpu_text.code_generation import generate
from lamina.tools.lamina_main import main
from support import models
from support.marks import PTXAS, needs_opencl, needs_ptxas
from support.opencl import run_package

MODELS = ("mlp", "lenet", "transformer_encoder", "bert_base_small", "resnet50_small", "llama_block_small", "lstm_small")
SYMBOLIC = ("bert_base_small_symbolic",)
SIZES = {"batch": 3, "sequence": 19}


def random_feeds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    feeds: dict[str, np.ndarray] = {}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for one in session.get_inputs():
        shape = [size if isinstance(size, int) else SIZES[size] for size in one.shape]
        if "bool" in one.type:
            feeds[one.name] = generator.random(shape) < 0.3
        elif "int" in one.type:
            feeds[one.name] = generator.integers(0, 2, shape).astype(np.int64 if "64" in one.type else np.int32)
        else:
            feeds[one.name] = generator.standard_normal(shape).astype(np.float32)
    return feeds


def compile_model(model, folder: Path, target: str) -> dict:
    context = model.context if isinstance(model, api.TracedModule) else api.make_context()
    module = model.module.clone() if isinstance(model, api.TracedModule) else api.load_module(model, context)
    return dict(api.compile_for_gpu(module, context, folder, target))


@needs_opencl
@pytest.mark.parametrize("name", [*MODELS, *SYMBOLIC])
def test_models_on_opencl_equal_onnxruntime(name: str, tmp_path: Path):
    model = models.named(name)
    compile_model(model, tmp_path / "package", "spirv")
    feeds = random_feeds(model)
    found = run_package(tmp_path / "package", feeds, tmp_path)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    for output, expected in zip(names, session.run(names, feeds), strict=True):
        np.testing.assert_allclose(found[output], expected, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(expected).max()))


@needs_ptxas
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", MODELS)
def test_ptx_is_assembled(name: str, architecture: str, tmp_path: Path):
    manifest = compile_model(models.named(name), tmp_path, f"ptx:{architecture}")
    for kernel in manifest["kernels"]:
        command = [PTXAS, f"-arch={architecture}", "-v", str(tmp_path / kernel["file"]), "-o", os.devnull]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shared = 0 if " smem" not in done.stderr else int(done.stderr.split(" bytes smem")[0].split()[-1])
        assert shared >= kernel["shared_memory"]
        assert "0 bytes spill stores" in done.stderr


@pytest.mark.parametrize("target", ["amdgcn:gfx90a", "amdgcn:gfx942", "amdgcn:gfx1100", "ptx:sm_70", "ptx:sm_100"])
def test_other_architectures_have_code(target: str, tmp_path: Path):
    manifest = compile_model(models.mlp(), tmp_path, target)
    # A layer with its bias and activation is one kernel, two where its sum is split, then the softmax. The first two
    # are split; with matrix cores, whose blocks are deeper, only the first.
    assert len(manifest["kernels"]) == (5 if parse_gpu_target(target).instruction == "mfma" else 6)
    for kernel in manifest["kernels"]:
        text = (tmp_path / kernel["file"]).read_text()
        assert kernel["name"] in text
        assert parse_gpu_target(target).architecture in text
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest


def traced(function, *specs):
    return lamina.trace(function, *specs)


@needs_opencl
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 64), (65, 130), (2, 0), (300, 7)])
def test_rows_of_odd_shapes(shape: tuple[int, int], tmp_path: Path):
    model = traced(lambda x: ops.softmax(x), lamina.spec(("rows", "columns"), "f32", name="x"))
    compile_model(model, tmp_path / "package", "spirv")
    x = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    (found,) = run_package(tmp_path / "package", {"x": x}, tmp_path).values()
    wide = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True, initial=-np.inf))
    np.testing.assert_allclose(found, wide / wide.sum(-1, keepdims=True), rtol=2e-6, atol=1e-7)


@needs_opencl
@pytest.mark.parametrize("sizes", [(1, 1, 1), (64, 16, 64), (65, 17, 63), (5, 100, 200), (130, 33, 1), (3, 0, 4)])
def test_products_of_odd_shapes(sizes: tuple[int, int, int], tmp_path: Path):
    rows, depth, columns = sizes
    specs = lamina.spec(("m", "k"), "f32", name="a"), lamina.spec(("k", "n"), "f32", name="b")
    compile_model(traced(lambda a, b: ops.matmul(a, b), *specs), tmp_path / "package", "spirv")
    generator = np.random.default_rng(2)
    a, b = (
        generator.standard_normal((rows, depth), dtype=np.float32),
        generator.standard_normal((depth, columns), dtype=np.float32),
    )
    (found,) = run_package(tmp_path / "package", {"a": a, "b": b}, tmp_path).values()
    np.testing.assert_allclose(found, a.astype(np.float64) @ b, rtol=1e-5, atol=1e-5 * max(1, depth) ** 0.5)


@needs_opencl
def test_nan_and_infinity_pass_through_maximum(tmp_path: Path):
    model = traced(lambda x: x.max(axis=-1), lamina.spec((4, 70), "f32", name="x"))
    compile_model(model, tmp_path / "package", "spirv")
    x = np.random.default_rng(3).standard_normal((4, 70), dtype=np.float32)
    x[0, 33], x[1, 5], x[2, :] = np.nan, np.inf, -np.inf
    (found,) = run_package(tmp_path / "package", {"x": x}, tmp_path).values()
    np.testing.assert_array_equal(found, x.max(-1))


def test_targets_are_parsed():
    assert parse_gpu_target("ptx:sm_90").architecture == "sm_90"
    assert parse_gpu_target("ptx").name == "ptx:sm_80"
    assert {parse_gpu_target(name) for name in GPU_TARGETS} == set(GPU_TARGETS.values())
    with pytest.raises(LaminaError, match="unknown target 'ptx:sm_55'"):
        parse_gpu_target("ptx:sm_55")


def test_target_attribute_round_trips():
    module = api.load_module(models.mlp(), api.make_context())
    for target in GPU_TARGETS.values():
        module.attributes["lamina.target"] = target.attribute()
        assert gpu_target_of(module) == target
    del module.attributes["lamina.target"]
    with pytest.raises(LaminaError, match="expected a GPU target"):
        gpu_target_of(module)


def test_sizes_are_expressions():
    size = binary("max", binary("*", "batch", 4), binary("//", binary("+", "n", 63), 64))
    assert evaluate(size, {"batch": 2, "n": 1000}) == 16
    assert binary("+", "n", 0) == "n"
    assert binary("//", 130, 64) == 2
    for wrong in ("unknown + 1", "__import__('os')", "n.real", "1 // 0"):
        with pytest.raises(LaminaError, match="has no value"):
            evaluate(wrong, {"n": 1})


def test_what_llvm_cannot_select_names_the_kernel():
    from lamina.lowering.to_gpu_text import KERNEL_FORMS, KernelText

    body = "define ptx_kernel void @bad(ptr addrspace(1) %x) {\n  %v = load float, ptr addrspace(1) %x\n"
    body += "  %e = call float @llvm.tan.f32(float %v)\n  store float %e, ptr addrspace(1) %x\n  ret void\n}"
    declarations = {"@llvm.tan.f32": "declare float @llvm.tan.f32(float)"}
    kernel = KernelText("bad", KERNEL_FORMS["ptx"], declarations, [body], 32, 0, "model.onnx:node")
    with pytest.raises(LaminaError, match="kernel 'bad': LLVM has no code for ptx:sm_80") as caught:
        generate([kernel], parse_gpu_target("ptx"))
    assert caught.value.where == "model.onnx:node"


def test_shared_memory_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    small = GpuDescription("ptx", "sm_80", 32, 255, 4096, 1024)
    monkeypatch.setattr("lamina.dialects.hardware.gpu_target.GPU_TARGETS", {"ptx:sm_80": small})
    monkeypatch.setattr("lamina.passes.hardware.gpu.product_defaults._fits", lambda *_: True)
    with pytest.raises(LaminaError, match=r"kernel 'dot_general_add_relu' needs \d+ bytes of shared memory, .* 4096"):
        compile_model(models.mlp(), tmp_path, "ptx:sm_80")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compile", "MODEL", "--target", "ptx:sm_55", "-o", "OUT"], "unknown target 'ptx:sm_55'"),
        (["compile", "MODEL", "--target", "tpu", "-o", "OUT"], "unknown target 'tpu'"),
        (["compile", "MODEL", "--target", "ptx", "--to", "loop", "-o", "OUT"], "are about a CPU's phases"),
        (["run", "MODEL", "--target", "ptx:sm_90"], "cannot run on an NVIDIA GPU"),
        (["run", "MODEL", "--target", "amdgcn"], "there is no driver for amdgcn: kernels are compiled, not run"),
        (["run", "MODEL", "--target", "spirv", "--at", "loop"], "--at is about the CPU"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], message: str, tmp_path: Path, capsys):
    path = tmp_path / "mlp.onnx"
    onnx.save(models.mlp(), path)
    places = {"MODEL": str(path), "OUT": str(tmp_path / "out")}
    with pytest.raises(SystemExit) as stop:
        main([places.get(argument, argument) for argument in arguments])
    assert stop.value.code == 1
    assert message in capsys.readouterr().err
