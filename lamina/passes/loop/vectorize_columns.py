"""Stages scheduled as `columns`: explicit vectors along one axis, loops over all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import IndexType, IntegerAttr, i1
from xdsl.ir import Operation, SSAValue

from lamina.diagnostics import error_at
from lamina.dialects.loop import arith, vector
from lamina.dialects.loop.types import is_memref, is_vector
from lamina.dialects.tensor import linalg
from lamina.passes.loop.contraction import fill_before
from lamina.passes.loop.emitter import Constants, Emitter, Index, splat_attribute, vector_of
from lamina.passes.loop.structured import (
    Linear,
    Schedule,
    axes_of,
    body_block,
    extent,
    iterators_of,
    linear_map,
    maps_of,
)
from lamina.passes.loop.vector_access import VectorAxis, VectorMemory, at_shape, can_access, present_axes


def lower_columns(op: linalg.GenericOp, schedule: Schedule, constants: Constants) -> Sequence[Operation]:
    """Emit the loops of one op; gives the ops that they stand for, a fill before it included, to be erased.

        linalg.generic {["reduction", "parallel"]} ins(%x : memref<512x64xf32>) outs(%y : memref<64xf32>) { maximumf }
    →
        %start = vector.transfer_read %y[%c0] : memref<64xf32>, vector<64xf32>
        %most = scf.for %n = … iter_args(%most = %start) -> (vector<64xf32>) {
          %row = vector.transfer_read %x[%n, %c0] : memref<512x64xf32>, vector<64xf32>
          …
        }
        vector.transfer_write %most, %y[%c0]
    """
    names = axes_of(op)
    if names is None or schedule.column not in names:
        raise error_at(op, "a schedule of columns needs lamina.axes and names one of them as its column")
    column = names.index(schedule.column)
    if not iterators_of(op)[column]:
        raise error_at(op, f"its schedule has vectors along '{schedule.column}', which is a reduction")
    emitter = Emitter.ahead_of(op, constants)
    stage = _Stage.read(op, column, [extent(emitter, op, dim) for dim in range(len(names))])
    size, lanes = stage.extents[column], schedule.tile_of(schedule.column)

    def part(inner: Emitter, start: Index, axis: VectorAxis) -> None:
        _Columns(stage, start, VectorMemory([axis])).emit(inner)

    stages: list[Operation] = [op] if stage.fill is None else [stage.fill, op]
    if isinstance(size, int):
        for start in range(0, size, lanes):
            part(emitter, start, _static_axis(column, min(lanes, size - start)))
        return stages

    def rest(inner: Emitter, start: Index) -> None:
        part(inner, start, VectorAxis(column, lanes, inner.minimum(inner.subtract(size, start), lanes)))

    if dict(schedule.block).get(schedule.column) != lanes:
        emitter.loop(0, size, lanes, rest)
        return stages
    # One block, whole as a rule.
    whole = emitter.compare("eq", size, lanes)
    emitter.branch(whole, lambda inner: part(inner, 0, VectorAxis(column, lanes)), lambda inner: rest(inner, 0))
    return stages


def _static_axis(dim: int, count: int) -> VectorAxis:
    lanes = 1 << (count - 1).bit_length() if count <= 16 else -(-count // 16) * 16
    return VectorAxis(dim, lanes, None if lanes == count else count)


@dataclass(frozen=True)
class _Stage:
    """A structured op, the sizes of its dims, and where its operands are accessed."""

    op: linalg.GenericOp
    column: int
    extents: Sequence[Index]
    positions: Sequence[tuple[Linear, ...]]
    fill: linalg.FillOp | None

    @staticmethod
    def read(op: linalg.GenericOp, column: int, extents: Sequence[Index]) -> _Stage:
        """An op; raises LaminaError where vectors cannot be read along the column."""
        positions: list[tuple[Linear, ...]] = []
        for operand, map_ in zip(op.operands, maps_of(op), strict=True):
            found = linear_map(map_)
            if found is None or (is_memref(operand.type) and not can_access(found, [column])):
                raise error_at(op, f"vectors cannot be read at {map_}")
            positions.append(found)
        fill = fill_before(op) if len(op.outputs) == 1 and not all(iterators_of(op)) else None
        return _Stage(op, column, extents, positions, fill)


@dataclass(frozen=True)
class _Lanes:
    """An index that grows by one from lane to lane."""

    first: Index


class _Columns:
    """The loops for one vector of columns."""

    def __init__(self, stage: _Stage, start: Index, memory: VectorMemory):
        self.stage = stage
        self.op = stage.op
        self.start = start
        self.memory = memory
        self.inputs = len(self.op.inputs)
        self.read_before: dict[int, SSAValue] = {}

    def emit(self, emitter: Emitter) -> None:
        """Loops over the parallel dims, then the reductions, with what they accumulate in registers."""
        emitter.location = self.op.location
        self.memory.prepare(emitter, self.stage.positions)
        parallel = iterators_of(self.op)
        dims = [dim for dim in range(len(parallel)) if dim != self.stage.column]
        outer = [dim for dim in dims if parallel[dim]]
        self.reductions = [dim for dim in dims if not parallel[dim]]
        at: dict[int, Index] = {self.stage.column: self.start}
        for number, (operand, positions) in enumerate(zip(self.op.operands, self.stage.positions, strict=True)):
            moves = any(dim != self.stage.column for position in positions for dim, _ in position.terms)
            if number < self.inputs and not moves and body_block(self.op).args[number].uses:
                self.read_before[number] = self._read(emitter, operand, positions, at)
        self._outer(emitter, at, outer)

    def _outer(self, emitter: Emitter, at: Mapping[int, Index], dims: Sequence[int]) -> None:
        if not dims:
            self._inner(emitter, at)
            return
        size = self.stage.extents[dims[0]]
        if size == 1:
            self._outer(emitter, {**at, dims[0]: 0}, dims[1:])
            return
        emitter.loop(0, size, 1, lambda inner, index: self._outer(inner, {**at, dims[0]: index}, dims[1:]))

    def _inner(self, emitter: Emitter, at: Mapping[int, Index]) -> None:
        outputs = list(zip(self.op.outputs, self.stage.positions[self.inputs :], strict=True))
        arguments = body_block(self.op).args[self.inputs :]
        starts = [
            self._start(emitter, output, positions, at) if argument.uses or self.reductions else None
            for (output, positions), argument in zip(outputs, arguments, strict=True)
        ]
        if self.reductions:
            known = [start for start in starts if start is not None]
            results = self._reduce(emitter, at, self.reductions, known)
        else:
            results = self._body(emitter, at, starts)
        for (output, positions), value in zip(outputs, results, strict=True):
            self.memory.write(emitter, value, output, positions, self._at(at))

    def _reduce(
        self, emitter: Emitter, at: Mapping[int, Index], dims: Sequence[int], carried: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        if not dims:
            return self._body(emitter, at, carried)

        def run(inner: Emitter, index: SSAValue, values: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self._reduce(inner, {**at, dims[0]: index}, dims[1:], values)

        return emitter.for_loop(0, self.stage.extents[dims[0]], 1, carried, run)

    def _start(
        self, emitter: Emitter, output: SSAValue, positions: Sequence[Linear], at: Mapping[int, Index]
    ) -> SSAValue:
        fill = self.stage.fill
        if fill is not None:
            return self.memory.splat(emitter, fill.inputs[0])
        return self._read(emitter, output, positions, at)

    def _at(self, at: Mapping[int, Index]) -> list[Index]:
        return [at.get(dim, 0) for dim in range(len(self.stage.extents))]

    def _read(
        self, emitter: Emitter, operand: SSAValue, positions: Sequence[Linear], at: Mapping[int, Index]
    ) -> SSAValue:
        """A vector of an operand; what does not vary along the column in every lane."""
        if not is_memref(operand.type):
            return self.memory.splat(emitter, operand)
        value = self.memory.read(emitter, operand, positions, self._at(at))
        return value if present_axes(positions, self.memory.axes) else self.memory.splat(emitter, value)

    # The body

    def _body(
        self, emitter: Emitter, at: Mapping[int, Index], outputs: Sequence[SSAValue | None]
    ) -> Sequence[SSAValue]:
        block = body_block(self.op)
        known: dict[SSAValue, SSAValue | _Lanes | int] = {}
        for number, (operand, argument) in enumerate(zip(self.op.operands, block.args, strict=True)):
            value = outputs[number - self.inputs] if number >= self.inputs else self.read_before.get(number)
            if value is None and argument.uses:
                value = self._read(emitter, operand, self.stage.positions[number], at)
            if value is not None:
                known[argument] = value
        *ops, terminator = block.ops
        for op in ops:
            emitter.location = op.location
            known[op.results[0]] = self._computed(emitter, op, at, known)
        emitter.location = self.op.location
        return [self._vector(emitter, known.get(value, value)) for value in terminator.operands]

    def _vector(self, emitter: Emitter, value: SSAValue | _Lanes | int) -> SSAValue:
        if not isinstance(value, SSAValue):
            raise error_at(self.op, "an index is computed with as a number, which vectors have no form for")
        return value if is_vector(value.type) else self.memory.splat(emitter, value)

    def _computed(
        self,
        emitter: Emitter,
        op: Operation,
        at: Mapping[int, Index],
        known: Mapping[SSAValue, SSAValue | _Lanes | int],
    ) -> SSAValue | _Lanes | int:
        operands = [known.get(operand, operand) for operand in op.operands]
        if isinstance(op, linalg.IndexOp):
            dim = op.dim.value.data
            return _Lanes(self.start) if dim == self.stage.column else at[dim]
        if isinstance(op.results[0].type, IndexType) and not isinstance(op, arith.ConstantOp):
            return self._index(emitter, op, operands)
        if any(isinstance(operand, _Lanes) for operand in operands):
            return self._compared(emitter, op, operands)
        if isinstance(op, arith.ConstantOp):
            if isinstance(op.result.type, IndexType):
                return emitter.constants.get(op.value, op.result.type)
            type_ = vector_of(self.memory.shape, op.result.type)
            return emitter.constants.get(splat_attribute(op.value, type_), type_)
        if any(isinstance(operand.type, IndexType) for operand in op.operands):
            values = [emitter.index(operand) for operand in operands if not isinstance(operand, _Lanes)]
            return emitter.value(type(op).create(operands=values, result_types=[i1], properties=op.properties))
        return emitter.value(at_shape(op, [self._vector(emitter, operand) for operand in operands], self.memory.shape))

    def _index(self, emitter: Emitter, op: Operation, operands: Sequence[SSAValue | _Lanes | int]) -> Index | _Lanes:
        """Sums of indices."""
        if not isinstance(op, arith.AddiOp):
            raise error_at(op, "vectors have no form for this index arithmetic")
        total: Index = 0
        lanes = [operand for operand in operands if isinstance(operand, _Lanes)]
        for operand in operands:
            total = emitter.add(total, operand.first if isinstance(operand, _Lanes) else operand)
        if len(lanes) > 1:
            raise error_at(op, "vectors have no form for this index arithmetic")
        return _Lanes(total) if lanes else total

    def _compared(self, emitter: Emitter, op: Operation, operands: Sequence[SSAValue | _Lanes | int]) -> SSAValue:
        """`scalar <= lane`: the lanes from a number on."""
        match op, operands:
            case arith.CmpiOp(), [SSAValue() | int() as left, _Lanes() as right] if (
                op.predicate == arith.CmpiOp.predicate_attribute("sle")
            ):
                before = emitter.index(emitter.subtract(left, right.first))
                type_ = vector_of(self.memory.shape, i1)
                mask = emitter.value(vector.CreateMaskOp.create(operands=[before], result_types=[type_]))
                ones = emitter.constants.get(splat_attribute(IntegerAttr(-1, i1), type_), type_)
                return emitter.value(arith.XOrIOp.create(operands=[mask, ones], result_types=[type_]))
            case _:
                raise error_at(op, "vectors have no form for this comparison of indices")
