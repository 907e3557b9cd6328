"""Products and convolutions on GPU targets: any schedule gives the right numbers, and native code is what was asked."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import api, ops
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_target import parse_gpu_target
from lamina.lowering.to_gpu_text import print_kernels
from lamina.lowering.to_gpu_text.code_generation import generate
from lamina.passes.hardware.gpu.product_schedule import ProductSchedule
from lamina.targets.gpu.ptxas import assemble_package
from support.gpu_products import compile_scheduled, traced
from support.marks import PTXAS, needs_opencl, needs_ptxas
from support.opencl import run_package
from support.product_cases import Case, convolution, edited, product, random_array, run_cases, wide


@needs_opencl
def test_defaults_of_all_types(tmp_path: Path):
    cases = [
        (product(65, 17, 63, "f32"), {}),
        (product(64, 48, 80, "f32"), {}),
        (product(33, 40, 24, "f16"), {}),
        (product(40, 33, 50, "bf16"), {}),
        (product(20, 30, 10, "f64"), {}),
        (product(1, 300, 70, "f32"), {}),
        (product(128, 128, 256, "f32"), {}),
    ]
    run_cases(cases, tmp_path)


@needs_opencl
def test_batches_and_transposed_factors(tmp_path: Path):
    turns = [(False, True), (True, False), (True, True)]
    cases = [(product(36, 20, 44, "f32", turn=turn), {}) for turn in turns]
    cases += [(product(17, 24, 40, "f16", batch=(2, 3), turn=turn), {}) for turn in turns]
    run_cases(cases, tmp_path)


@needs_opencl
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_emulated_fragments_of_16_bits(dtype: str, tmp_path: Path):
    """Schedules of sm_80, with its fragments and asynchronous copies, in OpenCL: all layouts of shared memory."""
    sm_80 = {"schedule_target": "ptx:sm_80"}
    small = edited(block=(32, 32, 32), warp=(32, 16))
    cases = [
        (product(32, 64, 40, dtype), {**sm_80, "edit": small}),
        (product(48, 32, 24, dtype, turn=(True, True)), {**sm_80, "edit": small}),
        (product(19, 37, 21, dtype), {**sm_80, "edit": small}),
    ]
    aligned, turned, odd = (one[0] for one in run_cases(cases, tmp_path))
    assert aligned.asynchronous and turned.asynchronous and not odd.asynchronous
    assert aligned.fragment == turned.fragment == odd.fragment == (16, 8, 16)


@needs_opencl
def test_emulated_fragments_of_tf32_and_of_an_older_target(tmp_path: Path):
    cases = [
        (product(40, 48, 24, "f32"), {"schedule_target": "ptx:sm_80", "tf32": True}),
        (product(40, 48, 24, "f32", turn=(True, True)), {"schedule_target": "ptx:sm_80", "tf32": True}),
        (product(40, 48, 24, "f16"), {"schedule_target": "ptx:sm_75"}),
    ]
    fragments = [one[0].fragment for one in run_cases(cases, tmp_path)]
    assert fragments == [(16, 8, 8)] * 3


@needs_opencl
def test_emulated_fragments_of_f64(tmp_path: Path):
    """m8n8k4: all layouts of shared memory, several blocks of the depth, parts of a sum, a convolution."""
    sm_80 = {"schedule_target": "ptx:sm_80"}
    cases = [
        (product(40, 48, 24, "f64"), sm_80),
        (product(33, 38, 21, "f64"), {**sm_80, "edit": edited(block=(16, 16, 8), warp=(8, 16))}),
        (product(24, 20, 36, "f64", batch=(2,), turn=(True, True)), sm_80),
        (product(64, 130, 64, "f64"), {**sm_80, "edit": edited(split=2)}),
        (convolution((1, 8, 9, 9), (16, 8, 3, 3), "f64", padding=1), sm_80),
    ]
    assert [one[0].fragment for one in run_cases(cases, tmp_path)] == [(8, 8, 4)] * len(cases)


@needs_ptxas
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a", "sm_100"])
def test_native_f64_is_assembled(architecture: str, tmp_path: Path):
    for rows, depth, columns in ((4096, 4096, 4096), (512, 512, 512), (100, 70, 90)):
        model = lamina.trace(
            lambda a, b, c: ops.relu(a @ b + c),
            lamina.spec((rows, depth), "f64", name="a"),
            lamina.spec((depth, columns), "f64", name="b"),
            lamina.spec((columns,), "f64", name="c"),
        )
        manifest = api.compile_for_gpu(model.module, model.context, tmp_path, f"ptx:{architecture}")
        (usage,) = assemble_package(tmp_path, manifest)
        text = (tmp_path / manifest["kernels"][0]["file"]).read_text()
        assert "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64" in text and "cp.async.c" in text
        assert usage.spill_stores == 0 and usage.registers <= 140, usage


@needs_opencl
def test_convolutions(tmp_path: Path):
    cases = [
        (convolution((2, 3, 17, 19), (8, 3, 3, 3), stride=(2, 1), dilation=(1, 2), padding=1), {}),
        (convolution((1, 8, 9, 9), (16, 8, 3, 3), padding=1), {}),
        (convolution((1, 8, 9, 9), (12, 4, 3, 3), groups=2), {}),
        (convolution((1, 4, 11, 7), (6, 4, 1, 5), "f16", stride=(3, 2)), {}),
        (convolution((1, 8, 12, 12), (16, 8, 3, 3), "f16", padding=1), {"schedule_target": "ptx:sm_80"}),
        (convolution((1, 64, 6, 6), (8, 64, 3, 3)), {}),
    ]
    used = run_cases(cases, tmp_path)
    assert used[0][0].depth == ("kh", "kw", "c") and used[0][0].rows == ("n", "h", "w")
    assert used[4][0].fragment == (16, 8, 16)
    assert used[5][0].split > 1


@needs_opencl
def test_split_sums(tmp_path: Path):
    """Parts of a sum, the last of them short or empty, are added up with the bias and the activation."""
    cases = [
        (product(5, 200, 9, "f32"), {"edit": edited(split=3)}),
        (product(20, 33, 30, "f32"), {"edit": edited(split=5)}),
        (product(16, 128, 16, "f16", batch=(2,)), {"edit": edited(split=2)}),
        (product(16, 130, 24, "f16"), {"schedule_target": "ptx:sm_80", "edit": edited(split=2)}),
    ]
    run_cases(cases, tmp_path)


@needs_opencl
def test_symbolic_and_empty_sizes(tmp_path: Path):
    module, context = traced(
        lambda a, b: ops.matmul(a, b),
        lamina.spec(("m", "k"), "f32", name="a"),
        lamina.spec(("k", "n"), "f32", name="b"),
    )
    compile_scheduled(module, context, tmp_path / "package", "spirv")
    for m, k, n in ((1, 1, 1), (70, 33, 65), (3, 0, 4), (0, 5, 4), (4, 5, 0)):
        a, b = random_array((m, k), "f32", 1), random_array((k, n), "f32", 2)
        (found,) = run_package(tmp_path / "package", {"a": a, "b": b}, tmp_path).values()
        np.testing.assert_allclose(found, wide(a) @ wide(b), rtol=1e-5, atol=1e-5)


@st.composite
def scheduled_products(draw: st.DrawFn) -> tuple[Case, Mapping[str, Any]]:
    """A product of any sizes and types, with a schedule of any shape that its kernel allows."""
    dtype = draw(st.sampled_from(["f32", "f16", "bf16"]))
    m, k, n = (draw(st.integers(1, 70)) for _ in range(3))
    if draw(st.booleans()):
        m, k, n = (8 * size for size in (max(1, m // 8), max(1, k // 8), max(1, n // 8)))
    turn = draw(st.tuples(st.booleans(), st.booleans()))
    batch = draw(st.sampled_from([(), (2,)]))
    split, stages, skew = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.sampled_from([0, 8]))
    depth, swizzle = draw(st.sampled_from([16, 32])), draw(st.booleans())
    fragments = draw(st.booleans())
    block = draw(st.sampled_from([16, 32])), draw(st.sampled_from([16, 32]))
    tile = draw(st.sampled_from([(1, 2), (2, 4), (4, 4), (4, 1)]))
    warp = draw(st.sampled_from([16, block[0]])), draw(st.sampled_from([8, 16]))

    def edit(given: ProductSchedule) -> ProductSchedule:
        asynchronous = given.asynchronous and stages > 1
        common = {
            "block": (*block, depth),
            "split": split,
            "row_padding": skew,
            "swizzle": swizzle and not skew and given.fragment is not None,
            "stages": stages if asynchronous else min(2, stages),
            "asynchronous": asynchronous,
        }
        if given.fragment is None:
            return replace(given, tile=tile, **common)
        return replace(given, warp=warp, **common)

    options = {
        "schedule_target": "ptx:sm_80" if fragments else "spirv",
        "edit": edit,
        "tf32": dtype == "f32" and fragments,
    }
    return product(m, k, n, dtype, batch, turn), options


@needs_opencl
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases=st.lists(scheduled_products(), min_size=3, max_size=5))
def test_any_schedule_gives_the_right_numbers(cases: list[tuple[Case, Mapping[str, Any]]], tmp_path_factory: Any):
    run_cases(cases, tmp_path_factory.mktemp("products"))


NATIVE = ("mma.sync", "ldmatrix", "cp.async.c", "ld.global.v4", "ld.shared.v4")
REGISTERS = {("f32", False): 140, ("f16", False): 140, ("bf16", False): 140, ("f32", True): 140}
OLD_REGISTERS = 170
"""The most that the kernels of large products had, rounded up (without asynchronous copies they hold what comes); what they need decides how many blocks run at a time."""


@needs_ptxas
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90", "sm_90a", "sm_100"])
@pytest.mark.parametrize(("dtype", "tf32"), REGISTERS)
def test_native_code_is_assembled(architecture: str, dtype: str, tf32: bool, tmp_path: Path):
    """Large products: the instructions that were asked for, nothing spilled, registers and shared memory in bounds."""
    case = product(8, 8, 8, dtype)
    specs = [
        lamina.spec(shape, dtype, name=name)
        for name, shape in (("a", (4096, 1024)), ("b", (1024, 4096)), ("c", (4096,)))
    ]
    module, context = traced(case.function, *specs)
    (schedule,), manifest = compile_scheduled(module, context, tmp_path, f"ptx:{architecture}", tf32=tf32)
    (kernel,) = manifest["kernels"]
    text = (tmp_path / kernel["file"]).read_text()
    present = {name for name in NATIVE if name in text}
    old = architecture == "sm_75"
    has_fragments = dtype == "f16" or (not old and (tf32 or dtype == "bf16"))
    assert (schedule.fragment is not None) == has_fragments
    warpgroups = schedule.instruction == "wgmma"
    assert warpgroups == (architecture == "sm_90a" and dtype in ("f16", "bf16"))
    assert ("wgmma.mma_async" in text and "cp.async.bulk.tensor" in text) == warpgroups
    assert ("mma.sync" in present) == (has_fragments and not warpgroups)
    assert ("ldmatrix" in present) == (has_fragments and not tf32 and not warpgroups)
    assert ("cp.async.c" in present) == (has_fragments and not old and not warpgroups)
    assert has_fragments or {"ld.global.v4", "ld.shared.v4"} & present
    command = [str(PTXAS), f"-arch={architecture}", "-v", str(tmp_path / kernel["file"]), "-o", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 bytes spill stores, 0 bytes spill loads" in done.stderr
    counts = (re.findall(rf"(\d+) {what}", done.stderr) for what in ("registers", "bytes smem"))
    registers, shared = (int(found[0]) if found else 0 for found in counts)
    most = OLD_REGISTERS if old or warpgroups else REGISTERS[dtype, tf32]
    assert 0 < registers <= most and "serialized" not in done.stderr
    # A kernel with tensor maps has its barriers in front of lines that begin at multiples of 1024 bytes.
    assert shared == (1024 if warpgroups else kernel["shared_memory"])
    # Pipelines need more than the 48 KiB that a kernel can declare: the launch asks for it.
    assert (kernel.get("dynamic_shared_memory", 0) > 48 * 1024) == (has_fragments and not old)


def test_an_architecture_without_fragments_multiplies_and_adds(tmp_path: Path):
    """sm_70, which ptxas does not know any more: the text."""
    case = product(256, 64, 256, "f16")
    module, context = traced(case.function, *case.specs)
    (schedule,), manifest = compile_scheduled(module, context, tmp_path, "ptx:sm_70")
    text = (tmp_path / manifest["kernels"][0]["file"]).read_text()
    assert schedule.fragment is None and "mma.sync" not in text and "fma.rn.f32" in text


@pytest.mark.parametrize("architecture", ["gfx90a", "gfx942", "gfx1100"])
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_amdgcn_has_code(architecture: str, dtype: str, tmp_path: Path):
    case = product(130, 64, 200, dtype)
    module, context = traced(case.function, *case.specs)
    _, manifest = compile_scheduled(module, context, tmp_path, f"amdgcn:{architecture}")
    text = (tmp_path / manifest["kernels"][0]["file"]).read_text()
    assert re.search(r"v_(pk_)?(fma|fmac|mfma|wmma)", text)
    assert "ds_" in text and re.search(r"\.private_segment_fixed_size: 0$", text, re.MULTILINE)


def test_emulated_fragments_have_amdgcn_code(tmp_path: Path):
    case = product(64, 64, 64, "f16")
    module, context = traced(case.function, *case.specs)
    small = edited(block=(32, 32, 16), warp=(32, 32))
    figures = {"warp": 32}
    compile_scheduled(module, context, tmp_path, "ptx:sm_80", "amdgcn:gfx90a", edit=small, figures=figures)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": (96, 128, 8), "tile": (64, 8)}, "block m = 96, which tile m = 64 does not divide"),
        ({"tile": (1, 1)}, r"kernel 'dot_general_add_relu' needs 16384 threads of a block, ptx:sm_80 has 1024"),
        ({"block": (256, 256, 8), "tile": (16, 16)}, r"needs \d+ registers of a thread, ptx:sm_80 has 255"),
        ({"block": (128, 128, 128)}, r"kernel 'dot_general_add_relu' needs \d+ bytes of shared memory, .* 166912"),
        ({"vector": (3, 4)}, "its schedule loads 3 elements at a time"),
        ({"rows": ("n0",)}, "rows, columns and depth are not those of a product"),
        ({"rows": ("q",)}, "its schedule names axis 'q', its axes are m0, k0, n0"),
        ({"asynchronous": True, "stages": 1}, "copies asynchronously, which takes at least 2 stages"),
    ],
)
def test_impossible_schedules_are_refused(changes: Mapping[str, Any], message: str, tmp_path: Path):
    case = product(256, 256, 256, "f32")
    module, context = traced(case.function, *case.specs)
    shape = {"block": (128, 128, 8), "tile": (8, 8), "split": 1}
    with pytest.raises(LaminaError, match=message) as caught:
        compile_scheduled(module, context, tmp_path, "ptx:sm_80", edit=edited(**{**shape, **changes}))
    assert caught.value.where is not None and "product_cases.py" in caught.value.where


UNSELECTABLE = """
builtin.module attributes {lamina.target = {kind = "ptx", architecture = "sm_75"}} {
  gpu.module @kernels {
    gpu.func @product(%c: memref<32x4xf32>) kernel attributes {known_block_size = array<i32: 32, 1, 1>} {
      %t = gpu.thread_id x
      %0 = arith.constant 0 : index
      %l = arith.constant dense<1.0> : vector<4x2xbf16>
      %r = arith.constant dense<1.0> : vector<2x2xbf16>
      %z = arith.constant dense<0.0> : vector<2x2xf32>
      %d = nvgpu.mma.sync(%l, %r, %z) {mmaShape = [16, 8, 16]} : (vector<4x2xbf16>, vector<2x2xbf16>, vector<2x2xf32>)
           -> vector<2x2xf32> loc("model.onnx":7:3)
      %e = vector.extract %d[0, 0] : f32 from vector<2x2xf32>
      memref.store %e, %c[%t, %0] : memref<32x4xf32>
      gpu.return
    }
  }
}
"""


def test_an_instruction_that_the_target_lacks_is_an_error_at_its_op(tmp_path: Path):
    """bf16 fragments on sm_75, not expanded."""
    path = tmp_path / "kernels.mlir"
    path.write_text(UNSELECTABLE)
    module = api.load_module(path, api.make_context())
    with pytest.raises(
        LaminaError, match=r"kernel 'product': .* Cannot select: .*mma\.m16n8k16\.row\.col\.bf16"
    ) as caught:
        generate(print_kernels(module), parse_gpu_target("ptx:sm_75"))
    assert caught.value.where == "model.onnx:7:3"


@needs_ptxas
@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_convolutions_have_native_code(dtype: str, tmp_path: Path):
    case = convolution((1, 4, 4, 4), (4, 4, 3, 3), dtype, padding=1)
    shapes = (("x", (8, 64, 56, 56)), ("w", (64, 64, 3, 3)), ("bias", (64,)))
    module, context = traced(case.function, *(lamina.spec(shape, dtype, name=name) for name, shape in shapes))
    (schedule,), manifest = compile_scheduled(module, context, tmp_path, "ptx:sm_90")
    assert len(schedule.rows) == len(schedule.depth) == 3
    files = [tmp_path / kernel["file"] for kernel in manifest["kernels"]]
    assert any("mma.sync" in file.read_text() for file in files) == (dtype == "f16")
    for file in files:
        command = [str(PTXAS), "-arch=sm_90", "-v", str(file), "-o", os.devnull]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "0 bytes spill stores, 0 bytes spill loads" in done.stderr, done.stderr
