"""Grouped convolutions on GPU targets: one launch for all groups, the right numbers, and no spills."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, DictionaryAttr, ModuleOp
from xdsl.ir.affine import AffineDimExpr, AffineMap

import lamina
from lamina import api, ops
from lamina.diagnostics import LaminaError
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.direct_products import DIRECT, DirectSchedule
from lamina.passes.loop.structured import Grouped, affine, maps_of, position_of
from lamina.targets.gpu.checking_driver import CheckingDriver
from lamina.targets.gpu.launcher import Program
from lamina.targets.gpu.ptxas import assemble_package
from support.gpu_products import compile_scheduled, traced
from support.marks import needs_opencl, needs_ptxas
from support.opencl import run_package, run_packages
from support.product_cases import Case, convolution, random_array, run_cases, unfolded, wide
from support.ptx_driver import PtxDriver


def direct(module: ModuleOp) -> list[Any]:
    found = [(op, op.attributes.get("lamina.schedule")) for op in module.walk()]
    return [op for op, one in found if isinstance(one, DictionaryAttr) and one.data["kind"].data == DIRECT]


def run(
    cases: Sequence[Case], folder: Path, schedules: Sequence[DirectSchedule | None] = (), target: str = "spirv"
) -> list[list[DirectSchedule]]:
    """Compile, run all in one process and check; the schedules of direct products that were used."""
    used: list[list[DirectSchedule]] = []
    for number, case in enumerate(cases):
        module, context = traced(case.function, *case.specs)
        own: list[DirectSchedule] = []

        def rewrite(module: ModuleOp, own: list[DirectSchedule] = own, number: int = number) -> None:
            for op in direct(module):
                wanted = schedules[number] if schedules else None
                if wanted is not None:
                    op.attributes["lamina.schedule"] = DictionaryAttr(dict(wanted.attribute()))
                own.append(DirectSchedule.of(op))

        compile_scheduled(module, context, folder / str(number), target, "spirv", rewrite=rewrite)
        used.append(own)
    jobs = [(folder / str(number), dict(case.feeds)) for number, case in enumerate(cases)]
    for case, results in zip(cases, run_packages(jobs, folder), strict=True):
        (found,) = results.values()
        case.check(found)
    return used


@needs_opencl
def test_depthwise(tmp_path: Path):
    """Odd widths, strides, dilations, even and large windows, features that no vector divides, one dimension less."""
    cases = [
        convolution((1, 16, 14, 14), (16, 1, 3, 3), padding=1, groups=16),
        convolution((2, 12, 9, 11), (12, 1, 3, 3), stride=(2, 1), padding=1, groups=12),
        convolution((1, 8, 13, 12), (8, 1, 5, 5), dilation=(1, 2), padding=2, groups=8),
        convolution((1, 5, 9, 9), (5, 1, 3, 3), padding=1, groups=5),
        convolution((1, 24, 16, 17), (24, 1, 7, 7), padding=3, groups=24),
        convolution((1, 4, 12, 12), (4, 1, 9, 9), groups=4),
        convolution((1, 8, 6, 6), (8, 1, 6, 6), groups=8),
        convolution((1, 6, 9, 9), (12, 1, 3, 3), padding=1, groups=6),
    ]
    used = run(cases, tmp_path)
    assert all(len(own) == 1 for own in used)
    assert [own[0].features for own in used] == [4, 4, 4, 1, 4, 4, 4, 2]


@needs_opencl
def test_narrow_groups(tmp_path: Path):
    cases = [
        convolution((1, 64, 9, 9), (128, 4, 3, 3), padding=1, groups=16),
        convolution((2, 12, 7, 10), (18, 2, 3, 3), stride=(2, 2), padding=1, groups=6),
        convolution((1, 9, 8, 8), (15, 3, 3, 1), groups=3),
        convolution((1, 24, 7, 7), (48, 8, 1, 1), groups=3),
        convolution((1, 40, 9, 9), (20, 2, 3, 3), dilation=(2, 2), groups=20),
        convolution((3, 10, 5, 5), (5, 2, 3, 3), padding=1, groups=5),
    ]
    used = run(cases, tmp_path)
    assert [own[0].features for own in used] == [4, 1, 1, 4, 1, 1]
    assert [own[0].depth for own in used] == [4, 2, 1, 4, 2, 2]


@needs_opencl
def test_wide_groups_are_blocks_of_products(tmp_path: Path):
    """Groups side by side in one launch: blocks that a group does not fill, fragments, padding."""
    sm_80 = {"schedule_target": "ptx:sm_80"}
    cases = [
        (convolution((1, 16, 9, 9), (64, 8, 3, 3), padding=1, groups=2), {}),
        (convolution((2, 9, 7, 8), (120, 3, 3, 3), stride=(2, 1), padding=1, groups=3), {}),
        (convolution((1, 48, 5, 5), (140, 12, 1, 1), groups=4), {}),
        (convolution((1, 64, 7, 7), (64, 32, 3, 3), "f16", padding=1, groups=2), sm_80),
        (convolution((1, 48, 6, 6), (72, 16, 3, 3), "bf16", groups=3), sm_80),
        (convolution((1, 16, 6, 6), (80, 8, 3, 3), "f64", groups=2), sm_80),
        (convolution((1, 64, 5, 5), (64, 32, 3, 3), "f16", groups=2), {"schedule_target": "amdgcn:gfx942"}),
        (convolution((1, 16, 5, 5), (74, 8, 3, 3), "f16", groups=2), sm_80),
        (convolution((1, 12, 5, 5), (51, 4, 3, 3), "bf16", padding=1, groups=3), sm_80),
    ]
    used = run_cases(cases, tmp_path)
    assert [len(one) for one in used] == [1] * len(cases)
    fragments = [(16, 8, 16), (16, 8, 16), (8, 8, 4), (16, 16, 16), (16, 8, 16), (16, 8, 16)]
    assert [one[0].fragment for one in used[3:]] == fragments
    assert all(one[0].split == 1 and one[0].columns == ("o",) for one in used)


@needs_opencl
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
def test_other_types(dtype: str, tmp_path: Path):
    cases = [
        convolution((1, 16, 9, 9), (16, 1, 3, 3), dtype, padding=1, groups=16),
        convolution((1, 32, 7, 9), (48, 8, 3, 3), dtype, padding=1, groups=4),
        convolution((1, 6, 7, 7), (12, 3, 3, 3), dtype, stride=(2, 1), groups=2),
    ]
    run(cases, tmp_path)


@needs_opencl
def test_any_number_of_positions(tmp_path: Path):
    """Rows that the positions of a thread do not divide: what lies behind them is neither read nor written."""
    case = convolution((2, 8, 7, 9), (8, 1, 3, 3), stride=(1, 2), padding=1, groups=8)
    narrow = convolution((1, 8, 5, 11), (16, 4, 3, 3), dilation=(1, 2), groups=2)
    schedules = [DirectSchedule(positions, features, 1) for positions, features in ((1, 1), (2, 2), (3, 4), (4, 4))]
    run([case] * 4, tmp_path, schedules)
    run([narrow] * 4, tmp_path, [replace(one, depth=depth) for one, depth in zip(schedules, (1, 2, 4, 4), strict=True)])


@needs_opencl
def test_symbolic_and_empty_sizes(tmp_path: Path):
    def function(x: Any, w: Any) -> Any:
        return ops.conv(x, w, padding=1, groups=4)

    w = random_array((8, 2, 3, 3), "f32", 2)
    specs = lamina.spec(("n", 8, "h", "w"), "f32", name="x"), lamina.spec(w.shape, "f32", name="w")
    module, context = traced(function, *specs)
    compile_scheduled(module, context, tmp_path / "package", "spirv")
    for shape in ((1, 8, 5, 7), (2, 8, 1, 1), (0, 8, 4, 4)):
        x = random_array(shape, "f32", 1)
        (found,) = run_package(tmp_path / "package", {"x": x, "w": w}, tmp_path).values()
        parts = [
            np.einsum("nchwij,ocij->nohw", unfolded(own, (3, 3), (1, 1), (1, 1), 1), rows)
            for own, rows in zip(np.split(wide(x), 4, 1), np.split(wide(w), 4, 0), strict=True)
        ]
        np.testing.assert_allclose(found, np.concatenate(parts, 1), rtol=1e-5, atol=1e-5)


@needs_opencl
def test_infinities_stay_in_their_group(tmp_path: Path):
    """Neither from group to group, nor from behind the end of a row."""
    x, w = random_array((1, 8, 5, 6), "f32", 1), random_array((8, 2, 3, 3), "f32", 2)
    x[0, 2, 2, 2], x[0, 7, 4, 5] = np.inf, np.nan
    specs = [lamina.spec(one.shape, "f32", name=name) for name, one in (("x", x), ("w", w))]
    module, context = traced(lambda x, w: ops.conv(x, w, padding=1, groups=4), *specs)
    compile_scheduled(module, context, tmp_path / "package", "spirv")
    (found,) = run_package(tmp_path / "package", {"x": x, "w": w}, tmp_path).values()
    expected = np.ones((1, 8, 5, 6), bool)
    expected[:, 2:4, 1:4, 1:4] = expected[:, 6:8, 3:, 4:] = False
    np.testing.assert_array_equal(np.isfinite(found), expected)


CHECKED: Mapping[str, tuple[str, Case]] = {
    "depthwise": ("spirv", convolution((1, 8, 5, 7), (8, 1, 3, 3), padding=1, groups=8)),
    "narrow": ("ptx:sm_90", convolution((1, 12, 5, 6), (18, 4, 3, 3), "f16", stride=(1, 2), padding=1, groups=3)),
    "wide": ("ptx:sm_90", convolution((1, 32, 5, 5), (64, 16, 3, 3), "bf16", padding=1, groups=2)),
}


@pytest.mark.parametrize("name", CHECKED)
def test_the_interpreter_finds_nothing(name: str, tmp_path: Path):
    target, case = CHECKED[name]
    module, context = traced(case.function, *case.specs)
    api.compile_for_gpu(module, context, tmp_path, target)
    driver = CheckingDriver(tmp_path, api.make_context())
    (found,) = Program(tmp_path, driver)(**case.feeds).values()
    assert not driver.findings, "\n".join(map(str, driver.findings))
    case.check(found)


def with_groups(columns: int, factor: int) -> Callable[[ModuleOp], None]:
    """Changes which features a column of a convolution reads: those from `column floordiv columns * factor` on."""

    def change(module: ModuleOp) -> None:
        count = 0
        for op in [op for op in module.walk() if isinstance(op, linalg.GenericOp)]:
            maps = maps_of(op)
            read = position_of(maps[0].results[-1])
            if not isinstance(read, Grouped):
                continue
            last = (AffineDimExpr(read.dim) // columns) * factor + affine(read.rest)
            maps[0] = AffineMap(maps[0].num_dims, 0, (*maps[0].results[:-1], last))
            op.properties["indexing_maps"] = ArrayAttr([AffineMapAttr(map_) for map_ in maps])
            count += 1
        assert count == 1

    return change


@pytest.mark.parametrize(
    ("shape", "kernel", "groups", "columns", "factor", "launches"),
    [
        # The last group has fewer columns than the others: no blocks of groups.
        ((1, 6, 5, 5), (48, 3, 3, 3), 2, 32, 3, 0),
        # Two neighbors of a group may start at any feature: a thread loads one at a time.
        ((1, 8, 5, 5), (16, 2, 3, 3), 4, 4, 1, 1),
    ],
)
def test_groups_of_no_convolution(
    shape: Sequence[int],
    kernel: Sequence[int],
    groups: int,
    columns: int,
    factor: int,
    launches: int,
    tmp_path: Path,
):
    x, w = random_array(shape, "f32", 1), random_array(kernel, "f32", 2)
    specs = [lamina.spec(one.shape, "f32", name=name) for name, one in (("x", x), ("w", w))]
    module, context = traced(lambda x, w: ops.conv(x, w, padding=1, groups=groups), *specs)
    loaded: list[int] = []

    def rewrite(module: ModuleOp) -> None:
        loaded.extend(DirectSchedule.of(op).depth for op in direct(module))

    used, _ = compile_scheduled(
        module, context, tmp_path, "ptx:sm_80", prepare=with_groups(columns, factor), rewrite=rewrite
    )
    assert not used and loaded == [1] * launches
    (found,) = Program(tmp_path, PtxDriver())(x=x, w=w).values()
    windows = unfolded(wide(x), (3, 3), (1, 1), (1, 1), 1)
    firsts = [column // columns * factor for column in range(kernel[0])]
    parts = [
        np.einsum("nchwij,cij->nhw", windows[:, first : first + kernel[1]], own)
        for first, own in zip(firsts, wide(w), strict=True)
    ]
    np.testing.assert_allclose(found, np.stack(parts, 1), rtol=1e-5, atol=1e-5)


SHAPES: Mapping[str, tuple[Sequence[int], Sequence[int], int]] = {
    "depthwise": ((8, 96, 56, 56), (96, 1, 3, 3), 96),
    "depthwise 7": ((8, 96, 28, 28), (96, 1, 7, 7), 96),
    "32 groups of 4": ((8, 128, 28, 28), (128, 4, 3, 3), 32),
    "4 groups": ((8, 64, 28, 28), (64, 16, 3, 3), 4),
    "2 wide groups": ((8, 96, 27, 27), (256, 48, 5, 5), 2),
    "3 groups of 1×1": ((8, 240, 28, 28), (240, 80, 1, 1), 3),
}


@needs_ptxas
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90a", "sm_100"])
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_one_launch_without_spills(architecture: str, dtype: str, tmp_path: Path):
    for name, (shape, kernel, groups) in SHAPES.items():
        model = lamina.trace(
            lambda x, w, groups=groups, kernel=kernel: ops.relu(ops.conv(x, w, padding=kernel[-1] // 2, groups=groups)),
            lamina.spec(shape, dtype, name="x"),
            lamina.spec(kernel, dtype, name="w"),
        )
        folder = tmp_path / name
        manifest = api.compile_for_gpu(model.module, model.context, folder, f"ptx:{architecture}")
        launches = [one["name"] for one in manifest["kernels"] if one["name"].startswith("convolution")]
        assert len(launches) == 1, name
        (usage,) = [one for one in assemble_package(folder, manifest) if one.kernel in launches]
        assert usage.spill_stores == 0 and usage.registers <= 168, (name, usage)


def test_schedules_that_do_not_fit_are_refused(tmp_path: Path):
    case = convolution((1, 8, 9, 9), (12, 4, 3, 3), groups=2)
    for schedule, said in ((DirectSchedule(1, 4, 1), "4 features at a time"), (DirectSchedule(1, 1, 3), "3 depth")):
        with pytest.raises(LaminaError, match=said):
            run([case], tmp_path, [schedule])
