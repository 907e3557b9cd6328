"""Positions in the grid, barriers, shuffles and control flow, as the interpreter of kernels runs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from xdsl.ir import Operation

from lamina.diagnostics import LaminaError
from lamina.targets.gpu.checked_memory import DIVERGENCE
from lamina.targets.gpu.kernel_machine import Group, Machine, Special, Value, View, same
from lamina.targets.gpu.lane_operations import Lanes, dtype_of, shape_of


def _dimension(op: Operation) -> str:
    return str(cast(Any, op).dimension.data.value)


def _thread_id(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.thread if _dimension(op) == "x" else same(0)


def _block_id(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.block if _dimension(op) == "x" else same(0)


def _lane_id(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.thread % machine.warp


def _subgroup_id(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.thread // machine.warp


def _barrier(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    """All threads of a block come here, or none."""
    count = len(group.barriers)
    arrived = np.bincount(group.slot[active], minlength=count)
    partly = np.flatnonzero((arrived != 0) & (arrived != group.threads))
    if len(partly):
        block = group.block[np.flatnonzero(group.slot == partly[0])[0]]
        machine.reporter(op)(
            DIVERGENCE, f"{arrived[partly[0]]} of {group.threads} threads of block {block} come to a barrier"
        )
    group.barriers[arrived != 0] += 1


def _shuffle(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    """Lanes of a subgroup exchange values; all of them, or none, carry it out."""
    warps = group.slot * -(-group.threads // machine.warp) + group.thread // machine.warp
    arrived = np.bincount(warps[active], minlength=int(warps.max()) + 1)
    whole = np.bincount(warps, minlength=len(arrived))
    partly = np.flatnonzero((arrived != 0) & (arrived != whole))
    if len(partly):
        machine.reporter(op)(DIVERGENCE, f"{arrived[partly[0]]} of {whole[partly[0]]} lanes come to a shuffle")
    value, offset, width = (np.broadcast_to(machine.lanes(group, one), (group.lanes,)) for one in op.operands[:3])
    lane = group.thread % machine.warp
    mode = str(cast(Any, op).mode.data.value)
    source = {"xor": lane ^ offset, "up": lane - offset, "down": lane + offset, "idx": offset}[mode]
    segment = lane // np.maximum(width, 1)
    valid = (source >= 0) & (source // np.maximum(width, 1) == segment)
    valid &= group.thread - lane + source < group.threads
    at = np.arange(group.lanes) - lane + np.where(valid, source, lane)
    group.values[op.results[0]] = value[at]
    group.values[op.results[1]] = valid


def _merge(condition: Lanes, on_true: Value, on_false: Value) -> Value:
    if isinstance(on_true, View) or isinstance(on_false, View):
        raise LaminaError("a buffer that a branch or a loop gives cannot be checked")
    while condition.ndim < max(on_true.ndim, on_false.ndim):
        condition = condition[..., None]
    return np.where(condition, on_true, on_false)


def _if(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    condition = np.broadcast_to(machine.lanes(group, op.operands[0]), (group.lanes,))
    sides: list[list[Value] | None] = []
    for region, chosen in zip(op.regions, (active & condition, active & ~condition), strict=True):
        runs = bool(region.blocks) and bool(chosen.any())
        sides.append(machine.run_block(group, region.block, chosen) if runs else None)
    then, otherwise = sides
    for number, result in enumerate(op.results):
        on_true, on_false = (None if side is None else side[number] for side in (then, otherwise))
        if on_true is None or on_false is None:
            only = on_false if on_true is None else on_true
            nothing = np.zeros((1, *shape_of(result.type)), dtype_of(result.type))
            group.values[result] = nothing if only is None else only
        else:
            group.values[result] = _merge(condition, on_true, on_false)


def _for(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    lower, upper, step = (machine.lanes(group, one) for one in op.operands[:3])
    carried: list[Value] = [group.values[one] for one in op.operands[3:]]
    block = op.regions[0].block
    position = lower
    running = active & (position < upper)
    while running.any():
        for argument, value in zip(block.args, [position, *carried], strict=True):
            group.values[argument] = value
        results = machine.run_block(group, block, running)
        whole = bool((running == active).all())
        carried = [new if whole else _merge(running, new, old) for new, old in zip(results, carried, strict=True)]
        position = position + step
        running = running & (position < upper)
    for result, value in zip(op.results, carried, strict=True):
        group.values[result] = value


def _while(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    before, after = (region.block for region in op.regions)
    carried: list[Value] = [group.values[one] for one in op.operands]
    given: list[Value | None] = [None for _ in op.results]
    running = active
    while True:
        for argument, value in zip(before.args, carried, strict=True):
            group.values[argument] = value
        condition, *forwarded = machine.run_block(group, before, running)
        given = [new if old is None else _merge(running, new, old) for new, old in zip(forwarded, given, strict=True)]
        running = running & np.broadcast_to(cast(Lanes, condition), (group.lanes,))
        if not running.any():
            break
        for argument, value in zip(after.args, forwarded, strict=True):
            group.values[argument] = value
        results = machine.run_block(group, after, running)
        carried = [_merge(running, new, old) for new, old in zip(results, carried, strict=True)]
    for result, value in zip(op.results, given, strict=True):
        if value is not None:
            group.values[result] = value


def _nothing(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    pass


CONTROL: Mapping[str, Special] = {
    "gpu.thread_id": _thread_id,
    "gpu.block_id": _block_id,
    "gpu.lane_id": _lane_id,
    "gpu.subgroup_id": _subgroup_id,
    "gpu.barrier": _barrier,
    "gpu.shuffle": _shuffle,
    "gpu.return": _nothing,
    "scf.if": _if,
    "scf.for": _for,
    "scf.while": _while,
}
"""By op, what runs it."""
