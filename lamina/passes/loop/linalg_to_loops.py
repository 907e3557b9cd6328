"""Structured ops on buffers become scalar loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Final

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Block, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import Constants, Emitter, Index
from lamina.passes.loop.inner_axes import merge_inner_axes, set_dims
from lamina.passes.loop.structured import (
    Schedule,
    StructuredOp,
    axes_of,
    body_block,
    emit_affine,
    extent,
    iterators_of,
    maps_of,
    require_buffers,
)

JAMMED: Final = 8
"""Steps of a reduction that one pass over a row of its results makes."""

TOGETHER: Final = 4
"""So many results of a block, at most, are reduced in one loop."""

SHORT_REDUCTION: Final = 16
"""So many steps of a reduction, at most, are unrolled inside the loop over what is contiguous."""


@dataclass(frozen=True)
class LinalgToLoopsPass(LaminaPass):
    """Lower every structured op on buffers to `scf.for` nests in iteration order, with scalar loads and stores.

    The innermost loops, as far as they are reductions, carry what they accumulate instead of writing it to memory:

        linalg.generic {["parallel", "reduction"]} ins(%x) outs(%y) {…}
    →
        scf.for %i {
          %start = memref.load %y[%i]
          %sum = scf.for %k iter_args(%acc = %start) { … scf.yield %next }
          memref.store %sum, %y[%i]
        }

    Short reductions become innermost first: a window of pooling is taken in the loop over the row of the result. A
    longer one, outside the loop over a row of its results, makes several steps in one pass over that row. A block
    of a few results that are reduced along the innermost axis is so in one loop. Axes that are one piece of memory in
    all operands become one.
    """

    name = "linalg-to-loops"
    requires: ClassVar[frozenset[str]] = frozenset({"buffers"})
    ensures: ClassVar[frozenset[str]] = frozenset({"loops"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.walk():
            if isinstance(function, func.FuncOp) and function.body.blocks:
                lower_function(function)


def lower_function(function: func.FuncOp) -> None:
    """Lower the structured ops of one function."""
    found = [op for op in function.walk() if isinstance(op, linalg.GenericOp | linalg.FillOp)]
    if not found:
        return
    constants = Constants(function.body.block)
    for op in found:
        require_buffers(op)
        lower_structured(Emitter.ahead_of(op, constants), op)
        op.detach()
        op.erase()
    erase_dead_ops(function.body.block)


def lower_structured(emitter: Emitter, op: StructuredOp) -> None:
    """Emit the loop nest of one op; the op's body is moved there."""
    if isinstance(op, linalg.GenericOp):
        merge_inner_axes(emitter, op)
        _short_reductions_inside(emitter, op)
    parallel = iterators_of(op)
    extents = [extent(emitter, op, dim) for dim in range(len(parallel))]
    carried_from = len(parallel)
    while carried_from and not parallel[carried_from - 1]:
        carried_from -= 1
    _Nest(op, extents, carried_from).outer(emitter, [])


def _short_reductions_inside(emitter: Emitter, op: linalg.GenericOp) -> None:
    """Make the reductions the innermost dims where they are short, as windows of pooling are.

    LLVM unrolls them: one pass over a row, which is written once instead of once per element of a window. Every
    element is reduced in the order that it was.
    """
    kinds = iterators_of(op)
    reduced = [dim for dim, parallel in enumerate(kinds) if not parallel]
    if not reduced or not kinds[-1] or any(inner.regions for inner in op.body.walk()):
        return
    sizes = [extent(emitter, op, dim) for dim in reduced]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) != len(sizes) or not 0 < prod(known) <= SHORT_REDUCTION:
        return
    outputs = maps_of(op)[len(op.inputs) :]
    if any(dim in reduced for map_ in outputs for result in map_.results for dim in result.used_dims()):
        return
    order = [dim for dim in range(len(kinds)) if dim not in reduced] + reduced
    new = [AffineDimExpr(order.index(dim)) for dim in range(len(kinds))]
    maps = [
        AffineMap(len(kinds), 0, tuple(result.replace_dims_and_symbols(new, []) for result in map_.results))
        for map_ in maps_of(op)
    ]
    set_dims(op, order, maps)
    for inner in op.body.walk():
        if isinstance(inner, linalg.IndexOp):
            inner.properties["dim"] = IntegerAttr(order.index(inner.dim.value.data), i64)


def lower_at(emitter: Emitter, op: StructuredOp, extents: Sequence[Index], positions: Sequence[Index]) -> None:
    """Emit an op at one position of its leading dims, which are its parallel ones; the op's body is moved there."""
    _Nest(op, extents, len(positions)).outer(emitter, list(positions))


class _Nest:
    """The loops of one op; dims from `carried_from` on are reductions whose values are carried."""

    def __init__(self, op: StructuredOp, extents: Sequence[Index], carried_from: int):
        self.op = op
        self.extents = extents
        self.carried_from = carried_from
        self.maps = maps_of(op)
        self.block = body_block(op)

    def outer(self, emitter: Emitter, positions: list[Index]) -> None:
        """The loops outside the carried ones, then the part inside them."""
        if len(positions) == self.carried_from:
            self._inside(emitter, positions)
            return
        if self.extents[len(positions)] == 1:
            self.outer(emitter, [*positions, 0])
            return
        if len(positions) == len(self.extents) - 2 and self._may_be_jammed():
            self._jammed(emitter, positions)
            return
        if self._may_go_together(len(positions)):
            self._together(emitter, positions)
            return

        def run(inner: Emitter, index: SSAValue) -> None:
            self.outer(inner, [*positions, index])

        emitter.loop(0, self.extents[len(positions)], 1, run)

    def _may_be_jammed(self) -> bool:
        """Whether the last two loops are a reduction around a row of results, with nothing but arithmetic inside."""
        kinds = iterators_of(self.op)
        if kinds[-2] or not kinds[-1] or self.carried_from != len(self.extents):
            return False
        steps = self.extents[-2]
        if isinstance(steps, int) and steps < 2 * JAMMED:
            return False
        reduction = len(kinds) - 2
        inputs = len(self.op.inputs)
        if any(reduction in result.used_dims() for map_ in self.maps[inputs:] for result in map_.results):
            return False
        return not any(inner.regions or isinstance(inner, linalg.IndexOp) for inner in list(self.block.ops))

    def _jammed(self, emitter: Emitter, positions: list[Index]) -> None:
        """Several steps of the reduction in one pass over the row of results: fewer loads and stores of these."""
        steps, count = self.extents[-2:]
        whole = emitter.round_down(steps, JAMMED)

        def several(outer: Emitter, first: SSAValue) -> None:
            at = [outer.add(first, step) for step in range(JAMMED)]
            outer.loop(0, count, 1, lambda inner, place: self._steps(inner, [[*positions, each, place] for each in at]))

        def one(outer: Emitter, step: SSAValue) -> None:
            outer.loop(0, count, 1, lambda inner, place: self._steps(inner, [[*positions, step, place]]))

        emitter.loop(0, whole, JAMMED, several)
        if whole != steps:
            emitter.loop(whole, steps, 1, one)

    def _steps(self, emitter: Emitter, positions: Sequence[list[Index]]) -> None:
        """The body at some steps of a reduction, in order; copies of its ops."""
        cells = [self._cell(emitter, index, positions[0]) for index in range(len(self.op.outputs))]
        values: list[SSAValue] = [
            emitter.load(output, cell) for output, cell in zip(self.op.outputs, cells, strict=True)
        ]
        for place in positions:
            values = self._copy(emitter, place, values)
        for output, cell, value in zip(self.op.outputs, cells, values, strict=True):
            emitter.store(value, output, cell)

    def _copy(self, emitter: Emitter, place: Sequence[Index], values: Sequence[SSAValue]) -> list[SSAValue]:
        """A copy of the body at one position, with values of the outputs; what it yields."""
        inputs = len(self.op.inputs)
        *ops, terminator = self.block.ops
        mapping: dict[SSAValue, SSAValue] = {}
        for number, (operand, argument) in enumerate(zip(self.op.operands, self.block.args, strict=True)):
            if number >= inputs:
                mapping[argument] = values[number - inputs]
            elif argument.uses and is_memref(operand.type):
                cell = [emit_affine(emitter, expression, place) for expression in self.maps[number].results]
                mapping[argument] = emitter.load(operand, cell)
            elif argument.uses:
                mapping[argument] = operand
        for op in ops:
            location, emitter.location = emitter.location, op.location
            emitter.append(op.clone(mapping))
            emitter.location = location
        return [mapping.get(value, value) for value in terminator.operands]

    def _may_go_together(self, dim: int) -> bool:
        """Whether a dim is a block of a few results with one reduction inside, of nothing but arithmetic."""
        count, schedule, names = self.extents[dim], Schedule.of(self.op), axes_of(self.op)
        if schedule is None or names is None or names[dim] not in dict(schedule.block):
            return False
        if dim != self.carried_from - 1 or dim != len(self.extents) - 2:
            return False
        if not isinstance(count, int) or count > TOGETHER or any(map(self._is_scanned, range(len(self.op.outputs)))):
            return False
        return not any(inner.regions or isinstance(inner, linalg.IndexOp) for inner in list(self.block.ops))

    def _together(self, emitter: Emitter, positions: list[Index]) -> None:
        """The reductions of several results in one loop."""
        outputs = range(len(self.op.outputs))
        count = self.extents[len(positions)]
        assert isinstance(count, int)
        places: list[list[Index]] = [[*positions, number] for number in range(count)]
        cells = [(self.op.outputs[index], self._cell(emitter, index, place)) for place in places for index in outputs]

        def run(inner: Emitter, step: SSAValue, values: Sequence[SSAValue]) -> Sequence[SSAValue]:
            following: list[SSAValue] = []
            for number, place in enumerate(places):
                carried = values[number * len(outputs) : (number + 1) * len(outputs)]
                following += self._copy(inner, [*place, step], carried)
            return following

        starts = [emitter.load(output, cell) for output, cell in cells]
        results = emitter.for_loop(0, self.extents[-1], 1, starts, run)
        for (output, cell), value in zip(cells, results, strict=True):
            emitter.store(value, output, cell)

    def _inside(self, emitter: Emitter, positions: list[Index]) -> None:
        if self.carried_from == len(self.extents):
            self._body(emitter, positions, {})
            return
        outputs = [index for index in range(len(self.op.outputs)) if not self._is_scanned(index)]
        cells = {index: self._cell(emitter, index, positions) for index in outputs}
        starts = [emitter.load(self.op.outputs[index], cells[index]) for index in outputs]
        results = self._reduction(emitter, positions, outputs, starts)
        for index, value in zip(outputs, results, strict=True):
            emitter.store(value, self.op.outputs[index], cells[index])

    def _is_scanned(self, index: int) -> bool:
        """Whether an output has an element for every step of a carried loop, as a running sum has."""
        map_ = self.maps[len(self.op.inputs) + index]
        return any(dim >= self.carried_from for result in map_.results for dim in result.used_dims())

    def _cell(self, emitter: Emitter, index: int, positions: Sequence[Index]) -> list[Index]:
        """Where an output is updated; carried loops do not move it, so any position in them serves."""
        at = [*positions, *[0] * (len(self.extents) - len(positions))]
        map_ = self.maps[len(self.op.inputs) + index]
        return [emit_affine(emitter, expression, at) for expression in map_.results]

    def _reduction(
        self, emitter: Emitter, positions: list[Index], outputs: Sequence[int], carried: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        if len(positions) == len(self.extents):
            return self._body(emitter, positions, dict(zip(outputs, carried, strict=True)))

        def run(inner: Emitter, index: SSAValue, values: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self._reduction(inner, [*positions, index], outputs, values)

        return emitter.for_loop(0, self.extents[len(positions)], 1, carried, run)

    def _body(self, emitter: Emitter, positions: list[Index], carried: Mapping[int, SSAValue]) -> Sequence[SSAValue]:
        """The scalar body; stores the outputs that are not carried and returns the others' values."""
        inputs = len(self.op.inputs)
        arguments: list[SSAValue | None] = []
        for number, (operand, map_, argument) in enumerate(
            zip(self.op.operands, self.maps, self.block.args, strict=True)
        ):
            if number - inputs in carried:
                arguments.append(carried[number - inputs])
            elif not argument.uses:
                arguments.append(None)
            elif is_memref(operand.type):
                cell = [emit_affine(emitter, expression, positions) for expression in map_.results]
                arguments.append(emitter.load(operand, cell))
            else:
                arguments.append(operand)
        results = move_body(emitter, self.block, arguments, positions)
        for index, value in enumerate(results):
            if index not in carried:
                emitter.store(value, self.op.outputs[index], self._cell(emitter, index, positions))
        return [value for index, value in enumerate(results) if index in carried]


def move_body(
    emitter: Emitter, block: Block, arguments: Sequence[SSAValue | None], positions: Sequence[Index]
) -> Sequence[SSAValue]:
    """Move the ops of a scalar body to where `emitter` stands; the values that it yields.

    `arguments` stands for the block's arguments (None for those without uses), `positions` for the iteration dims.
    """
    for argument, value in zip(block.args, arguments, strict=True):
        if value is not None:
            argument.replace_all_uses_with(value)
    for op in [op for op in block.walk() if isinstance(op, linalg.IndexOp)]:
        op.result.replace_all_uses_with(emitter.index(positions[op.dim.value.data]))
        op.detach()
        op.erase()
    *ops, terminator = block.ops
    yielded = list(terminator.operands)
    for op in ops:
        op.detach()
        location = op.location
        emitter.append(op)
        op.location = location
    return yielded
