"""PTX assembled by ptxas for several architectures: what kernels take, and what is too much."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnx
import pytest

import lamina
from lamina import api, ops
from lamina.diagnostics import LaminaError
from lamina.passes.hardware import expand_math
from lamina.targets.gpu.ptxas import assemble, assemble_package, find_ptxas, table
from lamina.tools.lamina_main import main
from support import models
from support.marks import needs_ptxas

FUNCTIONS = {
    "softmax": lambda x: ops.softmax(x),
    "sums": lambda x: (x.sum(), x.sum(axis=0)),
    "sort": lambda x: ops.sort(x),
    "scan": lambda x: ops.cumsum(x, axis=0),
    "double": lambda x: ops.softmax(ops.cast(x, "f64") * 1.5),
    "bf16": lambda x: ops.cast(ops.cast(x, "bf16") @ ops.cast(x.transpose((1, 0)), "bf16"), "f32"),
}


def compiled(name: str, folder: Path, target: str) -> dict:
    if name in FUNCTIONS:
        traced = lamina.trace(FUNCTIONS[name], lamina.spec((130, 70), "f32", name="x"))
        module, context = traced.module.clone(), traced.context
    else:
        context = api.make_context()
        module = api.load_module(models.named(name), context)
    return dict(api.compile_for_gpu(module, context, folder, target))


needs_old_ptxas = pytest.mark.skipif(
    find_ptxas("sm_70") is None, reason="no ptxas that knows sm_70 (PyPI: nvidia-cuda-nvcc-cu12)"
)


@needs_ptxas
@pytest.mark.parametrize(
    "architecture", [pytest.param("sm_70", marks=needs_old_ptxas), "sm_75", "sm_80", "sm_90", "sm_100"]
)
@pytest.mark.parametrize("name", ["bert_base_small", "lenet", *FUNCTIONS])
def test_kernels_assemble(name: str, architecture: str, tmp_path: Path):
    manifest = compiled(name, tmp_path, f"ptx:{architecture}")
    for usage, kernel in zip(assemble_package(tmp_path, manifest), manifest["kernels"], strict=True):
        assert usage.kernel == kernel["name"] and 0 < usage.registers <= 255
        # LLVM leaves out buffers that nobody reads: the text declares what is used, and the manifest no less.
        declared = re.findall(r"\.shared .*\[(\d+)\];", (tmp_path / kernel["file"]).read_text())
        assert usage.shared_memory == sum(map(int, declared)) <= kernel["shared_memory"] <= 48 * 1024
        assert usage.shared_memory == kernel["shared_memory"] or name == "sort", usage
        assert usage.spill_stores == usage.spill_loads == 0, usage


@needs_ptxas
def test_the_table_and_the_manifest_have_what_kernels_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    onnx.save(models.mlp(), tmp_path / "mlp.onnx")
    folder = tmp_path / "out"
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["compile", str(tmp_path / "mlp.onnx"), "--target", "ptx:sm_80", "-o", str(folder), "--ptxas"])
    said = capsys.readouterr().out
    assert "registers  shared memory  spill stores" in said and "dot_general_add_relu" in said
    manifest = json.loads((folder / "manifest.json").read_text())
    assert all(kernel["registers"] > 8 and kernel["spill_stores"] == 0 for kernel in manifest["kernels"])
    usages = assemble_package(folder, manifest)
    assert [usage.registers for usage in usages] == [kernel["registers"] for kernel in manifest["kernels"]]
    lines = table(usages).splitlines()
    assert len(lines) == len(usages) + 1
    numbers = [int(line.split()[1]) for line in lines[1:]]
    assert numbers == sorted(numbers, reverse=True)


@needs_ptxas
def test_more_registers_than_there_are(tmp_path: Path):
    manifest = compiled("lenet", tmp_path, "ptx:sm_80")
    kernel = manifest["kernels"][0]
    with pytest.raises(
        LaminaError,
        match=rf"^x.onnx:conv: kernel '{kernel['name']}' takes \d+ registers in each of 8192 threads, \d+ in",
    ):
        assemble(tmp_path / kernel["file"], kernel["name"], "sm_80", threads=8192, source="x.onnx:conv")


TOO_MUCH = """.version 7.0
.target sm_80
.address_size 64
.shared .align 4 .b8 tile[60000];
.visible .entry big(.param .u64 x)
{
 .reg .b64 %a; .reg .f32 %f;
 ld.param.u64 %a, [x];
 ld.shared.f32 %f, [tile+59996];
 st.global.f32 [%a], %f;
 ret;
}
"""


@needs_ptxas
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            TOO_MUCH,
            r"kernel 'big' does not assemble for sm_80: .*uses too much shared data \(0xea60 bytes, 0xc000 max\)",
        ),
        (TOO_MUCH.replace("ld.shared", "ld.shard"), "kernel 'big' does not assemble for sm_80: .*Unknown modifier"),
    ],
)
def test_what_does_not_assemble_is_named(text: str, message: str, tmp_path: Path):
    (tmp_path / "big.ptx").write_text(text)
    with pytest.raises(LaminaError, match=message) as caught:
        assemble(tmp_path / "big.ptx", "big", "sm_80", source="model.onnx:node")
    assert caught.value.where == "model.onnx:node"


def test_only_ptx_is_assembled(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    onnx.save(models.mlp(), tmp_path / "mlp.onnx")
    for target, message in (("amdgcn", "only PTX is assembled by ptxas"), ("cpu", "--ptxas is about PTX")):
        with pytest.raises(SystemExit, match=r"^1$"):
            main(["compile", str(tmp_path / "mlp.onnx"), "--target", target, "-o", str(tmp_path / "out"), "--ptxas"])
        assert message in capsys.readouterr().err


def test_a_function_that_a_device_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """There is none in our ops any more: as if erf had no rule."""
    rules = {name: rule for name, rule in expand_math.DEVICE_RULES.items() if name != "math.erf"}
    monkeypatch.setattr(expand_math, "DEVICE_RULES", rules)
    traced = lamina.trace(lambda x: ops.erf(x), lamina.spec((4,), "f64", name="x"))
    with pytest.raises(LaminaError, match=r"kernel 'erf': erf has no form on ptx:sm_90") as caught:
        api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path, "ptx:sm_90")
    assert caught.value.where is not None and "test_gpu_ptxas.py" in caught.value.where


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
@pytest.mark.parametrize("target", ["ptx:sm_70", "amdgcn:gfx90a", "spirv"])
def test_dtypes_have_code_everywhere(dtype: str, target: str, tmp_path: Path):
    traced = lamina.trace(lambda x: ops.softmax(x @ x.transpose((1, 0))), lamina.spec((4, 70), dtype, name="x"))
    manifest = api.compile_for_gpu(traced.module.clone(), traced.context, tmp_path, target)
    assert manifest["kernels"] and manifest["inputs"][0]["dtype"] == {"f16": "float16", "f64": "float64"}.get(
        dtype, "bfloat16"
    )
