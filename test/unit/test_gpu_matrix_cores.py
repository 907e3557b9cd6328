"""AMD's matrix cores: layouts, emulated products against NumPy, native code, and what the assembly says it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import lamina
from lamina import api
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.amdgpu import MATRIX_CORES
from lamina.dialects.hardware.gpu_target import parse_gpu_target
from lamina.lowering.to_gpu_text.amd_usage import amd_usage, check_amd_usage
from support import models
from support.gpu_products import compile_scheduled, traced
from support.marks import needs_opencl
from support.product_cases import convolution, edited, product, run_cases

# Register and lane of rows of column 0 of d, as AMD's matrix instruction calculator prints them (--register-layout).
PLACES: Mapping[tuple[str, str, int], Mapping[int, tuple[int, int]]] = {
    ("mfma", "f16", 16): {0: (0, 0), 3: (3, 0), 4: (0, 16), 12: (0, 48)},
    ("mfma", "f32", 4): {0: (0, 0), 2: (2, 0), 4: (0, 16), 12: (0, 48)},
    ("mfma", "bf16", 8): {3: (3, 0), 4: (0, 32), 12: (4, 32), 20: (8, 32), 28: (12, 32)},
    ("mfma", "f64", 4): {0: (0, 0), 1: (0, 16), 3: (0, 48), 4: (1, 0), 12: (3, 0)},
    ("wmma", "f16", 16): {0: (0, 0), 1: (0, 16), 2: (1, 0), 5: (2, 16), 13: (6, 16)},
}


@pytest.mark.parametrize(("instruction", "element", "depth"), PLACES)
def test_rows_lie_where_the_calculator_says(instruction: str, element: str, depth: int) -> None:
    found = [
        (shape, core)
        for (shape, factor, _), core in MATRIX_CORES[instruction].items()
        if str(factor) == element and shape[2] == depth
    ]
    ((m, n, k), core) = found[0]
    places = {
        row + core.step * group: (register, group * n)
        for register, row in enumerate(core.rows)
        for group in range(core.lanes // n)
    }
    assert sorted(places) == list(range(m))
    assert {row: places[row] for row in PLACES[instruction, element, depth]} == PLACES[instruction, element, depth]
    # The lanes hold every element of a factor, on RDNA 3 twice.
    assert core.lanes * core.held == m * k * (2 if instruction == "wmma" else 1)


SMALL = edited(block=(32, 32, 32), warp=(32, 16))
CDNA, RDNA = {"schedule_target": "amdgcn:gfx90a"}, {"schedule_target": "amdgcn:gfx1100"}


@needs_opencl
@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_emulated_products_of_16_bits(dtype: str, tmp_path: Path) -> None:
    """Schedules of gfx90a and gfx1100 in OpenCL: odd sizes, transposed factors, batches, both shapes."""
    large = edited(block=(64, 64, 32), warp=(32, 32), fragment=(32, 32, 8))
    cases = [
        (product(40, 48, 24, dtype), CDNA),
        (product(64, 64, 64, dtype, turn=(True, True)), {**CDNA, "edit": SMALL}),
        (product(64, 64, 64, dtype), {**CDNA, "edit": large}),
        (product(19, 37, 21, dtype, batch=(2,)), {**CDNA, "edit": SMALL}),
        (product(19, 37, 21, dtype), {**RDNA, "edit": SMALL}),
        (product(64, 32, 64, dtype, turn=(True, False)), {**RDNA, "edit": SMALL}),
    ]
    used = [one[0] for one in run_cases(cases, tmp_path)]
    assert [one.instruction for one in used] == ["mfma"] * 4 + ["wmma"] * 2
    assert used[2].fragment == (32, 32, 8) and used[4].fragment == (16, 16, 16)


@needs_opencl
def test_emulated_products_of_32_and_64_bits(tmp_path: Path) -> None:
    """f32 is multiplied as f32, not rounded as tf32 is."""
    large = edited(block=(64, 64, 16), warp=(32, 32), fragment=(32, 32, 2))
    cases = [
        (product(40, 48, 24, "f32"), CDNA),
        (product(64, 32, 64, "f32", turn=(True, False)), {**CDNA, "edit": large}),
        (product(33, 31, 17, "f32"), {**CDNA, "edit": edited(split=2)}),
        (product(40, 48, 24, "f64"), CDNA),
        (product(33, 31, 17, "f64", batch=(2,), turn=(False, True)), CDNA),
    ]
    fragments = [one[0].fragment for one in run_cases(cases, tmp_path)]
    assert fragments == [(16, 16, 4), (32, 32, 2), (16, 16, 4), (16, 16, 4), (16, 16, 4)]


@needs_opencl
def test_emulated_convolutions(tmp_path: Path) -> None:
    cases = [
        (convolution((1, 8, 12, 12), (16, 8, 3, 3), dtype, padding=1), options)
        for dtype, options in (("f16", CDNA), ("f32", CDNA), ("f16", RDNA))
    ]
    assert [one[0].instruction for one in run_cases(cases, tmp_path)] == ["mfma", "mfma", "wmma"]


INSTRUCTIONS: Mapping[str, Mapping[str, str]] = {
    "gfx90a": {
        "f16": "v_mfma_f32_16x16x16f16",
        "bf16": "v_mfma_f32_16x16x16bf16_1k",
        "f32": "v_mfma_f32_16x16x4f32",
        "f64": "v_mfma_f64_16x16x4f64",
    },
    "gfx942": {
        "f16": "v_mfma_f32_16x16x16_f16",
        "bf16": "v_mfma_f32_16x16x16_bf16",
        "f32": "v_mfma_f32_16x16x4_f32",
        "f64": "v_mfma_f64_16x16x4_f64",
    },
    "gfx1100": {"f16": "v_wmma_f32_16x16x16_f16", "bf16": "v_wmma_f32_16x16x16_bf16"},
}
MOST_REGISTERS = {"f16": 200, "bf16": 200, "f32": 140, "f64": 200}
"""The most that the kernels of large products had, rounded up."""


def large_product(dtype: str, folder: Path, architecture: str) -> tuple[Any, Mapping[str, Any], str]:
    case = product(8, 8, 8, dtype)
    shapes = (("a", (4096, 1024)), ("b", (1024, 4096)), ("c", (4096,)))
    module, context = traced(case.function, *(lamina.spec(shape, dtype, name=name) for name, shape in shapes))
    (schedule,), manifest = compile_scheduled(module, context, folder, f"amdgcn:{architecture}")
    (kernel,) = manifest["kernels"]
    return schedule, kernel, (folder / kernel["file"]).read_text()


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
@pytest.mark.parametrize("architecture", INSTRUCTIONS)
def test_large_products_have_native_code(architecture: str, dtype: str, tmp_path: Path) -> None:
    """The instruction, factors read from shared memory 16 bytes at a time, nothing spilled; the manifest says so."""
    schedule, kernel, text = large_product(dtype, tmp_path, architecture)
    expected = INSTRUCTIONS[architecture].get(dtype)
    assert (schedule.fragment is not None) == (expected is not None)
    m, n, k = schedule.block
    if expected is not None:
        products = m * n * k // (schedule.threads(0) // (64 if expected.startswith("v_mfma") else 32))
        one = schedule.fragment[0] * schedule.fragment[1] * schedule.fragment[2]
        # A loop over the depth, not unrolled.
        assert len(re.findall(rf"\b{expected}\b", text)) == products // one
        assert re.search(r"ds_(read|load)_b128", text)
    assert kernel["spilled_registers"] == kernel["spilled_scalar_registers"] == kernel["scratch"] == 0
    assert 16 < kernel["registers"] <= MOST_REGISTERS[dtype] and 0 < kernel["scalar_registers"] <= 102
    assert kernel["shared_memory"] == int(re.findall(r"\.group_segment_fixed_size: (\d+)", text)[0]) > 0


@pytest.mark.parametrize("architecture", INSTRUCTIONS)
def test_whole_models_have_their_figures(architecture: str, tmp_path: Path) -> None:
    context = api.make_context()
    module = api.load_module(models.named("bert_base_small"), context)
    manifest = api.compile_for_gpu(module, context, tmp_path, f"amdgcn:{architecture}")
    for kernel in manifest["kernels"]:
        assert kernel["registers"] > 0 and kernel["spilled_registers"] == kernel["scratch"] == 0, kernel
    native = [kernel for kernel in manifest["kernels"] if "v_mfma" in (tmp_path / kernel["file"]).read_text()]
    assert bool(native) == (architecture != "gfx1100")


METADATA = """
    .agpr_count:     4
    .group_segment_fixed_size: {shared}
    .private_segment_fixed_size: 16
    .sgpr_count:     20
    .vgpr_count:     {registers}
    .vgpr_spill_count: 3
"""


@pytest.mark.parametrize(
    ("shared", "registers", "threads", "message"),
    [
        (70000, 8, 64, "kernel 'big' needs 70000 bytes of shared memory, amdgcn:gfx942 has 65536"),
        (0, 600, 64, "kernel 'big' needs 600 registers of a thread, amdgcn:gfx942 has 512"),
        (0, 160, 1024, "needs 640 registers of each part of a processor for 1024 threads, amdgcn:gfx942 has 512"),
    ],
)
def test_more_than_there_is(shared: int, registers: int, threads: int, message: str) -> None:
    target = parse_gpu_target("amdgcn:gfx942")
    usage = amd_usage(METADATA.format(shared=shared, registers=registers))
    assert usage["scratch"] == 16 and usage["spilled_registers"] == 3 and "spilled_scalar_registers" not in usage
    check_amd_usage(amd_usage(METADATA.format(shared=65536, registers=128)), "big", 1024, target, None)
    with pytest.raises(LaminaError, match=message) as caught:
        check_amd_usage(usage, "big", threads, target, "model.onnx:node")
    assert caught.value.where == "model.onnx:node"


def test_an_instruction_that_there_is_not(tmp_path: Path) -> None:
    case = product(64, 64, 64, "f16")
    module, context = traced(case.function, *case.specs)
    with pytest.raises(LaminaError, match=r"expected one of .*wmma.* as 'instruction', found"):
        compile_scheduled(module, context, tmp_path, "amdgcn:gfx942", edit=edited(instruction="amx"))
