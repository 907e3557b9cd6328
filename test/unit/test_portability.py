"""One source, many CPUs: every small model compiled for each named target, run where this machine can, and looked at."""

import platform
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import DictionaryAttr, ModuleOp, StringAttr

import lamina
from lamina import api, pipelines
from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text import print_llvm
from lamina.lowering.to_llvm_text.target import BEFORE_FUSED, LlvmTarget
from lamina.targets.cpu import llvm
from lamina.targets.cpu.host import CpuDescription, missing_features
from lamina.targets.cpu.named_targets import CPU_TARGETS, cpu_target
from support import models
from support.oracles import assert_as_accurate_as_onnxruntime

MODELS = (
    "resnet50_small",
    "mobilenet_v2_small",
    "unet_resize_small",
    "bert_base_small",
    "gpt2_small_symbolic",
    "lstm_small",
)
SIZES = {"batch": 2, "sequence": 7}
MULTIPLY_ADD = {"x86-64": r"mulps\s+.*%xmm", "x86-64-v3": r"vfmadd\w+ps\s+.*%ymm", "x86-64-v4": r"vfmadd\w+ps\s+.*%zmm"}
ARM_MULTIPLY_ADD = r"fmla\s+v\d+\.4s"
X86 = platform.machine() == "x86_64"


def assemblies(name: str, target: str) -> list[str]:
    """The assembly of a model's modules with explicit vectors, through the whole pipeline."""
    context = api.make_context()
    module = api.load_module(models.named(name), context)
    api.set_target(module, target)
    pipelines.run_phases(module, context, to="hardware")
    description = CpuDescription.from_attribute(module.attributes[api.TARGET])
    machine = llvm.TargetMachine(description.llvm_options())
    return [
        machine.assembly(text, optimize=optimize)
        for _, text, optimize in print_llvm(module).modules
        if not optimize and "llvm.fmuladd" in text
    ]


@pytest.mark.parametrize("target", [name for name in CPU_TARGETS if name.startswith("x86")] if X86 else [])
@pytest.mark.parametrize("name", MODELS)
def test_models_run_on_other_levels_of_x86(name, target):
    missing = missing_features(cpu_target(target))
    if missing:
        pytest.skip(f"this machine lacks {', '.join(missing)}")
    model = models.named(name)
    feeds = models.random_feeds(model, SIZES)
    executable = lamina.compile(model, threads=2, cache=False, target=target)
    assert_as_accurate_as_onnxruntime(executable(**feeds), model, feeds)


@pytest.mark.parametrize("target", CPU_TARGETS)
def test_products_are_in_full_vectors(target):
    texts = assemblies("bert_base_small", target)
    pattern = MULTIPLY_ADD.get(target, ARM_MULTIPLY_ADD)
    assert texts
    assert sum(len(re.findall(pattern, text)) for text in texts) > 50


@pytest.mark.parametrize("target", [name for name in CPU_TARGETS if not name.startswith("x86")])
@pytest.mark.parametrize("name", MODELS)
def test_models_compile_for_arm(name, target, tmp_path):
    context = api.make_context()
    module = api.load_module(models.named(name), context)
    path = tmp_path / "model.lamina"
    api.compile_to_artefact(module, context, path, target=target)
    assert path.stat().st_size > 10_000
    if X86:
        with pytest.raises(LaminaError, match="its architecture"):
            lamina.load(path)


def modules_of(function, target: str) -> list[str]:
    """The assembly of a traced function's modules, all of them."""
    traced = lamina.trace(function, lamina.spec((8, 64), "f32", name="x"))
    api.set_target(traced.module, target)
    pipelines.run_phases(traced.module, traced.context, to="hardware")
    description = CpuDescription.from_attribute(traced.module.attributes[api.TARGET])
    machine = llvm.TargetMachine(description.llvm_options())
    return [machine.assembly(text, optimize=optimize) for _, text, optimize in print_llvm(traced.module).modules]


@pytest.mark.parametrize("name", ["exp", "tanh", "gelu", "softmax"])
@pytest.mark.parametrize("target", CPU_TARGETS)
def test_exponentials_call_no_function_of_c(name, target):
    texts = modules_of(getattr(lamina.ops, name), target)
    called = {found for text in texts for found in re.findall(r"^\s+(?:callq?|bl)\s+(\w+)", text, re.M)}
    assert called <= {"function", "lamina"}


@pytest.mark.skipif(not X86, reason="runs on x86-64 only")
def test_exponentials_without_fused_multiply_add():
    """As accurate as with it: near 0, at both ends of the range, and for what is no number."""
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 88.7, 89.0, -87.0, -103.0, -104.0], np.float32)
    x = np.concatenate([special, np.linspace(-104, 89, 10_000, dtype=np.float32)])
    for target in ("x86-64", {"cpu": "x86-64-v2", "features": "", "vector_bits": 128}):
        executable = lamina.compile(
            lamina.trace(lamina.ops.exp, lamina.spec(x.shape, "f32", name="x")), target=target, cache=False
        )
        with np.errstate(all="ignore"):
            expected = np.exp(x.astype(np.float64)).astype(np.float32)
        np.testing.assert_allclose(executable(x)[0], expected, rtol=2.5e-7, atol=2e-45)


FUSING = ("alderlake", "bdver2", "broadwell", "haswell", "knl", "sierraforest", "skylake", "x86-64-v3", "znver4")


@pytest.mark.parametrize("fields", [{"cpu": "sandybridge", "features": "+fma"}, {"cpu": "haswell", "features": "-fma"}])
def test_features_say_whether_a_cpu_fuses(fields):
    assert knows_whether_it_fuses("x86_64-unknown-linux-gnu", **fields) == (fields["features"] == "+fma")


def test_every_cpu_without_fused_multiply_add_is_known():
    """LLVM is asked, for the CPUs of the list and for some that have it, and for the other architecture."""
    for cpu in (*BEFORE_FUSED, *FUSING):
        assert knows_whether_it_fuses("x86_64-unknown-linux-gnu", cpu) == (cpu in FUSING), cpu
    assert knows_whether_it_fuses("aarch64-unknown-linux-gnu", "generic")


def knows_whether_it_fuses(triple: str, cpu: str, features: str = "") -> bool:
    """What the printer thinks of a CPU, which has to be what LLVM makes of a fused multiply-add."""
    text = f"""target triple = "{triple}"
        declare float @llvm.fma.f32(float, float, float)
        define float @f(float %a, float %b, float %c) {{
          %d = call float @llvm.fma.f32(float %a, float %b, float %c)
          ret float %d
        }}"""
    machine = llvm.TargetMachine(llvm.TargetOptions(triple, cpu, features))
    fields = {"triple": triple, "cpu": cpu, "features": features}
    module = ModuleOp([], {api.TARGET: DictionaryAttr({name: StringAttr(value) for name, value in fields.items()})})
    fuses = LlvmTarget.of(module).fuses
    assert fuses == ("fmaf" not in machine.assembly(text, optimize=False)), cpu
    return fuses


def test_commands_take_cpu_targets(tmp_path):
    onnx.save(models.named("mlp"), tmp_path / "mlp.onnx")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lamina.tools.lamina_main", *arguments], cwd=tmp_path, capture_output=True, text=True
        )

    target = "cpu:x86-64" if X86 else "cpu:aarch64"
    shown = command("run", "mlp.onnx", "--target", target, "--check-against", "onnxruntime")
    assert shown.returncode == 0, shown.stderr
    text = command("compile", "mlp.onnx", "--target", target, "--to", "graph", "-o", "-")
    assert "vector_bits = 128" in text.stdout
    wrong = command("compile", "mlp.onnx", "--target", "cpu:z80", "-o", "x.lamina")
    assert wrong.returncode == 1
    assert "error: unknown CPU target 'cpu:z80'" in wrong.stderr
    assert "cpu:x86-64-v3" in wrong.stderr
    assert "Traceback" not in wrong.stderr
