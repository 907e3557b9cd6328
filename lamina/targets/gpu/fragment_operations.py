"""Products of fragments, tiles of them and asynchronous copies, as the interpreter of kernels runs them.

What lanes hold of a matrix is gathered into whole matrices of every warp, multiplied, and given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from xdsl.ir import Operation

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.amdgpu import MatrixCoreOp
from lamina.dialects.hardware.nvgpu import AsyncCopyOp, AsyncWaitOp, LdMatrixOp, MmaSyncOp
from lamina.targets.gpu.checked_memory import DIVERGENCE, begin_copy, end_copy
from lamina.targets.gpu.kernel_machine import Copy, Group, Machine, Special, same
from lamina.targets.gpu.lane_operations import Lanes, shape_of

WARP = 32
TF32_MASK = np.uint32(0xFFFFE000)
"""What a matrix unit keeps of an f32."""

Places: TypeAlias = "tuple[Lanes, Lanes]"
"""The row and the column of each value that a lane holds: `[lanes, values]` each."""


def _whole_warps(machine: Machine, group: Group, op: Operation, active: Lanes, lanes: int) -> None:
    """Report where only some lanes of a warp come; raise where a block has no whole warps."""
    if group.threads % lanes:
        raise LaminaError(f"'{op.name}' takes whole warps of {lanes} threads, a block has {group.threads}")
    arrived = active.reshape(-1, lanes).sum(axis=1)
    partly = arrived[(arrived != 0) & (arrived != lanes)]
    if len(partly):
        machine.reporter(op)(DIVERGENCE, f"{partly[0]} of {lanes} lanes come to a product of fragments")


def _values(machine: Machine, group: Group, op: Operation, number: int) -> Lanes:
    """An operand's values of every lane: `[lanes, values]`."""
    value = machine.lanes(group, op.operands[number])
    return np.broadcast_to(value, (group.lanes, *value.shape[1:])).reshape(group.lanes, -1)


def _gathered(values: Lanes, places: Places, shape: tuple[int, int]) -> Lanes:
    """The matrix of every warp, from what its lanes hold."""
    rows, columns = places
    found = np.zeros((len(values) // len(rows), *shape), values.dtype)
    found[:, rows, columns] = values.reshape(-1, *rows.shape)
    return found


def _multiplied(left: Lanes, right: Lanes, total: Lanes) -> Lanes:
    """`left · right + total`, summed as `total` is wide, in f32 at least."""
    wide = np.float64 if total.dtype == np.float64 else np.float32
    return (left.astype(wide) @ right.astype(wide) + total.astype(wide)).astype(total.dtype)


def _product(
    machine: Machine,
    group: Group,
    op: Operation,
    places: tuple[Places, Places, Places],
    sizes: Sequence[int],
) -> None:
    m, n, k = sizes
    factors = [_values(machine, group, op, number) for number in (0, 1)]
    if op.properties.get("tf32Enabled") is not None:
        factors = [(np.ascontiguousarray(one).view(np.uint32) & TF32_MASK).view(np.float32) for one in factors]
    left, right, total = (
        _gathered(values, at, shape)
        for values, at, shape in zip(
            (*factors, _values(machine, group, op, 2)), places, ((m, k), (k, n), (m, n)), strict=True
        )
    )
    rows, columns = places[2]
    found = _multiplied(left, right, total)[:, rows, columns]
    group.values[op.results[0]] = found.reshape(group.lanes, *shape_of(op.results[0].type))


def _mma_places(registers: int, width: int, *, rows: int, turned: bool) -> Places:
    """What lanes hold for `mma.sync`: groups of four share a row, neighbors along it are in one register.

    PTX ISA, "Matrix fragments for mma.m16n8k16". `rows`: registers that lie 8 rows apart before the next ones along the
    row; `turned`: columns in place of rows, as the right factor has them.
    """
    lane, register, place = np.ogrid[:WARP, :registers, :width]
    row = lane // 4 + 8 * (register % rows) + 0 * place
    column = (lane % 4) * width + 4 * width * (register // rows) + place
    row, column = (one.reshape(WARP, -1) for one in np.broadcast_arrays(row, column))
    return (column, row) if turned else (row, column)


def _mma(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    if not isinstance(op, MmaSyncOp):
        return
    _whole_warps(machine, group, op, active, WARP)
    shapes = [shape_of(value.type) for value in op.operands]
    (a, wide_a), (b, wide_b), (c, wide_c) = ((shape[0], shape[1]) for shape in shapes)
    places = (
        _mma_places(a, wide_a, rows=min(a, 2), turned=False),
        _mma_places(b, wide_b, rows=1, turned=True),
        _mma_places(c, wide_c, rows=c, turned=False),
    )
    _product(machine, group, op, places, op.sizes)


def _matrix_core(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    if not isinstance(op, MatrixCoreOp):
        return
    core, (m, n, _) = op.core, op.sizes
    _whole_warps(machine, group, op, active, core.lanes)

    def along_depth(size: int) -> Places:
        lane, place = np.ogrid[: core.lanes, : core.held]
        # Where every lane has the whole depth, those behind the first `size` repeat it.
        depth = (core.held * (lane // size) + place) % op.sizes[2]
        side, depth = np.broadcast_arrays(lane % size, depth)
        return side, depth

    lane = np.arange(core.lanes)[:, None]
    rows, columns = np.broadcast_arrays(np.array(core.rows)[None] + core.step * (lane // n), lane % n)
    right_column, right_depth = along_depth(n)
    _product(machine, group, op, (along_depth(m), (right_depth, right_column), (rows, columns)), op.sizes)


def _ldmatrix(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    """Lane i gives the address of row i; each lane reads what it gets of every row."""
    if not isinstance(op, LdMatrixOp):
        return
    _whole_warps(machine, group, op, active, WARP)
    view = machine.view(group, op.source)
    indices = [np.broadcast_to(machine.lanes(group, one), (group.lanes,)) for one in op.indices]
    tiles, width = shape_of(op.result.type)
    lane = np.arange(group.lanes) % WARP
    first = np.arange(group.lanes) - lane
    parts: list[Lanes] = []
    for tile in range(tiles):
        for place in range(width):
            row, column = lane // 4, lane % 4 * width + place
            if op.is_transposed:
                row, column = column, row
            giver = first + 8 * tile + row
            at = [*(one[giver] for one in indices[:-1]), indices[-1][giver] + column]
            parts.append(machine.loaded(group, op, view, at, active))
    group.values[op.result] = np.stack(parts, axis=1).reshape(group.lanes, tiles, width)


def _copy(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    """Elements are on their way until their thread waits for them."""
    if not isinstance(op, AsyncCopyOp):
        return
    source, target = machine.view(group, op.source), machine.view(group, op.target)
    origin = [machine.lanes(group, one) for one in op.source_indices]
    place = [machine.lanes(group, one) for one in op.target_indices]
    present = same(op.count) if op.source_elements is None else machine.lanes(group, op.source_elements)
    for number in range(op.count):
        reads = active & np.broadcast_to(number < present, (group.lanes,))
        values = machine.loaded(group, op, source, [*origin[:-1], origin[-1] + number], reads)
        lanes, access = machine.access(group, op, target, [*place[:-1], place[-1] + number], active)
        if len(lanes):
            begin_copy(target.buffer, access, machine.reporter(op))
            copy = Copy(target.buffer, lanes, access.offset, values[lanes], group.committed[lanes])
            group.copies.append(copy)
    group.values[op.token] = same(0)


def _group(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    group.committed = group.committed + active
    group.values[op.results[0]] = same(0)


def _wait(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    """All groups of a thread but the last few have come."""
    if not isinstance(op, AsyncWaitOp):
        return
    left: list[Copy] = []
    for copy in group.copies:
        done = active[copy.lanes] & (copy.group < group.committed[copy.lanes] - op.pending)
        if done.any():
            access = machine.accessed(group, copy.lanes[done], copy.offset[done])
            end_copy(copy.buffer, access, copy.values[done])
        if not done.all():
            rest = ~done
            left.append(Copy(copy.buffer, copy.lanes[rest], copy.offset[rest], copy.values[rest], copy.group[rest]))
    group.copies = left


FRAGMENTS: Mapping[str, Special] = {
    "nvgpu.mma.sync": _mma,
    "nvgpu.ldmatrix": _ldmatrix,
    "nvgpu.device_async_copy": _copy,
    "nvgpu.device_async_create_group": _group,
    "nvgpu.device_async_wait": _wait,
    "amdgpu.mfma": _matrix_core,
    "amdgpu.wmma": _matrix_core,
}
"""By op, what runs it."""
