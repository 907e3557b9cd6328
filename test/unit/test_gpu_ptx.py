"""PTX as a device gets it, executed by a machine that was written from NVIDIA's documents (`support.ptx_machine`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import ops
from lamina.lowering.to_gpu_text import print_kernels
from lamina.targets.gpu.launcher import Program
from support.gpu_products import compile_scheduled, outlined, traced
from support.product_cases import DTYPES, WARPGROUP_CASES, Case, convolution, product, random_array, warpgroups, wide
from support.ptx_driver import PtxDriver
from support.ptx_matrix import SharedMatrix, TensorMap, swizzled


def compiled(case: Case, folder: Path, target: str, **options: Any) -> Path:
    """A case compiled for a target, with the options of `compile_scheduled`."""
    module, context = traced(case.function, *case.specs)
    compile_scheduled(module, context, folder, target, **options)
    return folder


def text_of(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("*.ptx")))


def check(case: Case, folder: Path, seed: int = 0, tf32: bool = False) -> None:
    """Run a compiled case in an order of a seed."""
    (found,) = Program(folder, PtxDriver(seed))(**case.feeds).values()
    case.check(found, tf32=tf32)


@pytest.mark.parametrize("number", range(len(WARPGROUP_CASES)))
def test_products_by_warpgroups(number: int, tmp_path: Path) -> None:
    """Tensor maps, rings of barriers and `wgmma`: both layouts, batches, ragged edges, split sums, f16, bf16 and tf32."""
    case, options = WARPGROUP_CASES[number]
    folder = compiled(case, tmp_path, "ptx:sm_90a", **options)
    assert "wgmma.mma_async" in text_of(folder)
    check(case, folder, number, tf32=bool(options.get("tf32")))


def test_rings_in_any_order(tmp_path: Path) -> None:
    """Rings that come round several times, for several orders of warps, copies and products."""
    case = product(128, 264, 64, "bf16")
    for stages in (2, 3):
        folder = compiled(case, tmp_path / str(stages), "ptx:sm_90a", edit=warpgroups((128, 64), (64, 64), stages))
        for seed in range(2):
            check(case, folder, seed)


SMALL: list[tuple[str, str, str, bool]] = [
    ("ptx:sm_75", "f16", "mma.sync.aligned.m16n8k8.row.col.f32.f16", False),
    ("ptx:sm_80", "f16", "mma.sync.aligned.m16n8k16.row.col.f32.f16", False),
    ("ptx:sm_80", "bf16", "mma.sync.aligned.m16n8k16.row.col.f32.bf16", True),
    ("ptx:sm_80", "f32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32", True),
    ("ptx:sm_80", "f64", "mma.sync.aligned.m8n8k4.row.col.f64", False),
]


@pytest.mark.parametrize(("target", "dtype", "instruction", "turn"), SMALL)
def test_products_of_fragments(target: str, dtype: str, instruction: str, turn: bool, tmp_path: Path) -> None:
    """`mma.sync`, `ldmatrix` of swizzled lines and `cp.async`, by the layouts of CUTLASS."""
    case = product(40, 72, 48, dtype, turn=(turn, turn))
    folder = compiled(case, tmp_path, target, tf32=dtype == "f32")
    assert instruction in text_of(folder)
    check(case, folder, tf32=dtype == "f32")


GROUPED: list[tuple[Case, str]] = [
    (convolution((1, 12, 5, 6), (18, 4, 3, 3), stride=(1, 2), padding=1, groups=3), "fma.rn.f32"),
    (convolution((1, 16, 5, 5), (16, 1, 3, 3), "f16", padding=1, groups=16), "fma.rn.f32"),
    (convolution((1, 32, 5, 5), (64, 16, 3, 3), "bf16", padding=1, groups=2), "mma.sync.aligned.m16n8k16"),
    (convolution((1, 16, 5, 5), (80, 8, 3, 3), padding=1, groups=2), "bar.sync"),
]


@pytest.mark.parametrize("number", range(len(GROUPED)))
def test_grouped_convolutions(number: int, tmp_path: Path) -> None:
    """A thread's own sums of narrow groups and of a group per feature; blocks and fragments of wide ones."""
    case, instruction = GROUPED[number]
    folder = compiled(case, tmp_path, "ptx:sm_80")
    text = text_of(folder)
    assert instruction in text and ("bar.sync" in text) == (instruction != "fma.rn.f32")
    check(case, folder)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(wide(x) - wide(x).max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return softmax(wide(q) @ np.swapaxes(wide(k), -1, -2) / np.sqrt(q.shape[-1])) @ wide(v)


ROWS: list[tuple[Callable[..., Any], Callable[..., np.ndarray], Sequence[int], int, str, str, float]] = [
    (ops.softmax, softmax, (5, 70), 1, "f32", "shfl.sync", 1e-6),
    (lambda x: ops.cumsum(x, axis=1), lambda x: np.cumsum(wide(x), 1), (3, 300), 1, "f32", "shfl.sync.up", 1e-4),
    (ops.attention, attention, (1, 2, 40, 64), 3, "f16", "mma.sync.aligned.m16n8k16", 2e-3),
    (ops.attention, attention, (1, 1, 40, 64), 3, "bf16", "mma.sync.aligned.m16n8k16", 2e-2),
    (ops.attention, attention, (1, 1, 40, 64), 3, "f32", "mma.sync.aligned.m16n8k8", 3e-3),
    # Two warps have the same queries, each half of the features: registers for that many blocks at a time.
    (ops.attention, attention, (1, 1, 20, 256), 3, "bf16", ".minnctapersm 4", 2e-2),
]


@pytest.mark.parametrize(("function", "expected", "shape", "count", "dtype", "instruction", "most"), ROWS)
def test_rows_and_attention(
    function: Callable[..., Any],
    expected: Callable[..., np.ndarray],
    shape: Sequence[int],
    count: int,
    dtype: str,
    instruction: str,
    most: float,
    tmp_path: Path,
) -> None:
    """Shuffles, and fragments that pass from one product to the next."""
    feeds = {f"x{number}": random_array(shape, dtype, number) for number in range(count)}
    module, context = traced(function, *[lamina.spec(shape, dtype, name=name) for name in feeds])
    compile_scheduled(module, context, tmp_path, "ptx:sm_80", tf32=True)
    assert instruction in text_of(tmp_path)
    (found,) = Program(tmp_path, PtxDriver())(**feeds).values()
    assert np.abs(wide(found.view(DTYPES[dtype])) - expected(*feeds.values())).max() < most


MISTAKES: list[tuple[str, str, int, str]] = [
    # Who does not wait for bytes reads what is still to come.
    (r"mbarrier\.try_wait\.parity[^;]*;\n@!done bra again;", "", 1, "still to bring|overwritten"),
    (r"mbarrier\.arrive\.expect_tx(.*), %r\d+;", r"mbarrier.arrive.expect_tx\1, 128;", 0, "all wait|still to bring"),
    (r"wgmma\.fence\.sync\.aligned;", "", 0, "no wgmma.fence"),
    (r"wgmma\.wait_group\.sync\.aligned 1;", "wgmma.wait_group.sync.aligned 2;", 0, "overwritten while a product"),
    (r"wgmma\.wait_group\.sync\.aligned 0;", "", 0, "while a product may still write it"),
    (r"bar\.warp\.sync 0xffffffff;\nwgmma\.fence", "wgmma.fence", 0, "a warp is not whole"),
    # Wrong places of the right factor, which copies may be writing: its turn, the step between its panels, its swizzle.
    (r", 1, 1, 0, 1;", ", 1, 1, 0, 0;", 0, "wrong numbers|overwritten while a product"),
    (r"(or\.b64 \s*%rd\d+, %rd\d+, )4611686293338849280;", r"\g<1>4611686293322072064;", 0, "wrong numbers"),
    (r"add\.s64 b, (%rd\d+), 128;", r"add.s64 b, \1, 64;", 0, "wrong numbers|overwritten while a product"),
    # A barrier at which fewer arrive than come.
    (r"mov\.b32 (\s*%r\d+), 4;", r"mov.b32 \1, 3;", 1, "more arrivals|overwritten|all wait|left while"),
]


@pytest.mark.parametrize(("pattern", "replacement", "count", "message"), MISTAKES)
def test_mistakes_are_found(pattern: str, replacement: str, count: int, message: str, tmp_path: Path) -> None:
    """What is taken out of the text, or changed, is an error or wrong numbers in some order: the machine looks there."""
    case = product(64, 264, 128, "bf16")
    folder = compiled(case, tmp_path, "ptx:sm_90a", edit=warpgroups((64, 128), (64, 128), 2))
    (path,) = folder.glob("*.ptx")
    text, changes = re.subn(pattern, replacement, path.read_text(), count=count)
    assert changes
    path.write_text(text)
    with pytest.raises(AssertionError) as raised:
        for seed in range(8):
            check(case, folder, seed)
    assert re.search(message, str(raised.value))


TOGETHER = re.compile(r"llvm\.nvvm\.(mma|ldmatrix|shfl\.sync|barrier)\.")


def test_lanes_stay_together() -> None:
    """LLVM moves nothing into a branch that all lanes of a warp carry out: its own declarations say so, or our calls."""
    binding = pytest.importorskip("llvmlite.binding")
    seen: set[str] = set()
    for function, count, dtype, target in (
        (ops.attention, 3, "bf16", "ptx:sm_80"),
        (ops.softmax, 1, "f32", "ptx:sm_80"),
    ):
        specs = [lamina.spec((1, 1, 40, 64), dtype, name=f"x{number}") for number in range(count)]
        for kernel in print_kernels(outlined(*traced(function, *specs), target).module):
            for declared in binding.parse_assembly(kernel.text).functions:
                found = TOGETHER.match(declared.name)
                calls = [line for line in kernel.text.splitlines() if "call" in line and f"@{declared.name}(" in line]
                if found is None or not calls:
                    continue
                seen.add(found[1])
                by_itself = any(b"convergent" in one for one in declared.attributes)
                assert by_itself or all(line.endswith(" convergent") for line in calls), declared.name
    assert seen == {"mma", "ldmatrix", "shfl.sync", "barrier"}


def test_descriptors_and_boxes() -> None:
    """By hand: K-major lines of 128 bytes (CUTLASS's Layout_K_SW128_Atom) and a box at the edge of a tensor."""
    matrix = SharedMatrix.of(1 << 62 | 64 << 32 | 1 << 16 | (2048 + 32) >> 4)
    places = matrix.addresses(16, 16, 2, is_turned=False)
    assert places[0, 0] == 2048 + 32 and places[0, 8] == 2048 + 48
    assert places[1, 0] == 2048 + 128 + (2 ^ 1) * 16 and places[9, 0] == 2048 + 1024 + 128 + (2 ^ 1) * 16
    assert swizzled(0x380) == 0x380 ^ 0x70
    map_ = TensorMap.encode(9, 2, 256, [72, 5], [144], [64, 4], [1, 1], 0, 3, 2, 0)
    inside, addresses = map_.elements([64, 3])
    assert map_.bytes == 512 and inside.reshape(4, 64).sum(1).tolist() == [8, 8, 0, 0]
    assert addresses.reshape(4, 64)[1, 2] == 256 + 4 * 144 + 66 * 2
