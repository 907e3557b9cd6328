"""Appending loop-level ops to a block: folded index arithmetic, shared constants, loops, and one location for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AnyFloat,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IndexType,
    IntegerAttr,
    LocationAttr,
    MemRefType,
    StridedLayoutAttr,
    VectorType,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from lamina.dialects.loop import arith, memref, scf
from lamina.dialects.loop.types import AnyMemRef, AnyVector, is_integer, is_memref

INDEX = IndexType()

Index: TypeAlias = SSAValue | int
"""An index known at compile time, or an `index` value."""


class Constants:
    """The constants of one function, at the start of its entry block; equal ones are one op."""

    def __init__(self, entry: Block):
        self._entry = entry
        self._known: dict[tuple[Attribute, Attribute], SSAValue] = {}
        for op in entry.ops:
            if not isinstance(op, arith.ConstantOp):
                break
            self._known.setdefault((op.value, op.result.type), op.result)

    def get(self, value: Attribute, type_: Attribute) -> SSAValue:
        """The constant of a value attribute and a type."""
        found = self._known.get((value, type_))
        if found is not None:
            return found
        op = arith.ConstantOp.create(result_types=[type_], properties={"value": value})
        first = self._entry.first_op
        if first is None:
            self._entry.add_op(op)
        else:
            self._entry.insert_op_before(op, first)
        self._known[value, type_] = op.results[0]
        return op.results[0]


def known_index(value: Index) -> Index:
    """The integer that an `index` value is, where it is a constant."""
    if isinstance(value, int):
        return value
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, IntegerAttr):
        return owner.value.value.data
    return value


class Emitter:
    """Appends ops to `block`, before `before` or at its end.

    Nested blocks get an emitter of their own (`nested`), which looks up what the enclosing ones have computed, so that
    the same index arithmetic is not repeated.
    """

    def __init__(
        self,
        block: Block,
        constants: Constants,
        location: LocationAttr,
        before: Operation | None = None,
        parent: Emitter | None = None,
    ):
        self.block = block
        self.constants = constants
        self.location = location
        self.before = before
        self.parent = parent
        self._computed: dict[tuple[object, ...], SSAValue] = {}

    @classmethod
    def ahead_of(cls, op: Operation, constants: Constants) -> Emitter:
        """An emitter that inserts before `op`, with the location of `op`."""
        block = op.parent_block()
        if block is None:
            raise ValueError(f"{op.name} is not in a block")
        return cls(block, constants, op.location, op)

    def nested(self, block: Block) -> Emitter:
        """An emitter at the end of a block inside the ops that this one appends."""
        return Emitter(block, self.constants, self.location, parent=self)

    def append(self, op: Operation) -> Operation:
        """Insert an op with the current location."""
        op.location = self.location
        if self.before is None:
            self.block.add_op(op)
        else:
            self.block.insert_op_before(op, self.before)
        return op

    def value(self, op: Operation) -> SSAValue:
        """Insert an op with one result, which is returned."""
        return self.append(op).results[0]

    # Constants and index arithmetic; what is known at compile time is folded

    def index(self, value: Index) -> SSAValue:
        """An index as a value."""
        return self.constants.get(IntegerAttr(value, INDEX), INDEX) if isinstance(value, int) else value

    def scalar_constant(self, value: float, type_: Attribute) -> SSAValue:
        """A float or integer constant of a scalar type."""
        return self.constants.get(scalar_attribute(value, type_), type_)

    def splat(self, value: Attribute, type_: AnyVector) -> SSAValue:
        """A constant vector with the scalar `value` in every element."""
        return self.constants.get(splat_attribute(value, type_), type_)

    def computed(self, op_type: type[Operation], operands: Sequence[SSAValue], result_type: Attribute) -> SSAValue:
        """The result of a pure op without properties: one that dominates this point already, or a new one."""
        key = (op_type, result_type, *operands)
        scope: Emitter | None = self
        while scope is not None:
            found = scope._computed.get(key)
            if found is not None:
                return found
            scope = scope.parent
        result = self.value(op_type.create(operands=operands, result_types=[result_type]))
        self._computed[key] = result
        return result

    def _binary(self, op_type: type[Operation], left: Index, right: Index) -> SSAValue:
        return self.computed(op_type, (self.index(left), self.index(right)), INDEX)

    def add(self, left: Index, right: Index) -> Index:
        left, right = known_index(left), known_index(right)
        if isinstance(left, int) and isinstance(right, int):
            return left + right
        if left == 0:
            return right
        return left if right == 0 else self._binary(arith.AddiOp, left, right)

    def subtract(self, left: Index, right: Index) -> Index:
        left, right = known_index(left), known_index(right)
        if isinstance(left, int) and isinstance(right, int):
            return left - right
        if left is right:
            return 0
        return left if right == 0 else self._binary(arith.SubiOp, left, right)

    def multiply(self, left: Index, right: Index) -> Index:
        left, right = known_index(left), known_index(right)
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        if left == 0 or right == 0:
            return 0
        if left == 1:
            return right
        return left if right == 1 else self._binary(arith.MuliOp, left, right)

    def product(self, factors: Sequence[Index]) -> Index:
        result: Index = 1
        for factor in factors:
            result = self.multiply(result, factor)
        return result

    def divide(self, dividend: Index, divisor: int) -> Index:
        """The quotient of a non-negative index, rounded down."""
        dividend = known_index(dividend)
        if isinstance(dividend, int):
            return dividend // divisor
        return dividend if divisor == 1 else self._binary(arith.DivUIOp, dividend, divisor)

    def remainder(self, dividend: Index, divisor: int) -> Index:
        """The remainder of a non-negative index."""
        dividend = known_index(dividend)
        if isinstance(dividend, int):
            return dividend % divisor
        return 0 if divisor == 1 else self._binary(arith.RemUIOp, dividend, divisor)

    def ceil_divide(self, dividend: Index, divisor: int) -> Index:
        """The quotient of a non-negative index, rounded up."""
        return self.divide(self.add(dividend, divisor - 1), divisor)

    def round_down(self, value: Index, multiple: int) -> Index:
        """The largest multiple that is not above a non-negative index."""
        return self.multiply(self.divide(value, multiple), multiple)

    def minimum(self, left: Index, right: Index) -> Index:
        left, right = known_index(left), known_index(right)
        if isinstance(left, int) and isinstance(right, int):
            return min(left, right)
        return self._binary(arith.MinSIOp, left, right)

    def maximum(self, left: Index, right: Index) -> Index:
        left, right = known_index(left), known_index(right)
        if isinstance(left, int) and isinstance(right, int):
            return max(left, right)
        return self._binary(arith.MaxSIOp, left, right)

    def compare(self, predicate: str, left: Index, right: Index) -> SSAValue:
        """An i1 from two indices."""
        return self.value(arith.CmpiOp(self.index(left), self.index(right), predicate))

    # Buffers

    def size(self, buffer: SSAValue, axis: int) -> Index:
        """The size of an axis of a buffer."""
        static = memref_type(buffer).get_shape()[axis]
        if static != DYNAMIC_INDEX:
            return static
        given = given_size(buffer, axis)
        if given is not None:
            return known_index(given)
        return self.computed(memref.DimOp, (buffer, self.index(axis)), INDEX)

    def sizes(self, buffer: SSAValue) -> list[Index]:
        """The sizes of a buffer."""
        return [self.size(buffer, axis) for axis in range(memref_type(buffer).get_num_dims())]

    def load(self, buffer: SSAValue, indices: Sequence[Index]) -> SSAValue:
        """The element at some indices."""
        operands = [buffer, *(self.index(index) for index in indices)]
        return self.value(
            memref.LoadOp.create(operands=operands, result_types=[memref_type(buffer).get_element_type()])
        )

    def store(self, value: SSAValue, buffer: SSAValue, indices: Sequence[Index]) -> None:
        """Write the element at some indices."""
        self.append(memref.StoreOp.create(operands=[value, buffer, *(self.index(index) for index in indices)]))

    def subview(
        self,
        buffer: SSAValue,
        offsets: Sequence[Index],
        sizes: Sequence[Index],
        dropped: Sequence[int] = (),
        strides: Sequence[int] | None = None,
    ) -> SSAValue:
        """A part of a buffer; axes in `dropped`, of size 1, are left out of the result."""
        offsets = [known_index(offset) for offset in offsets]
        sizes = [known_index(size) for size in sizes]
        steps = [1] * len(sizes) if strides is None else list(strides)
        type_ = subview_type(memref_type(buffer), offsets, sizes, dropped, steps)
        return self.value(memref.SubviewOp.get(buffer, offsets, sizes, steps, type_))

    # Control flow

    def for_loop(
        self,
        lower: Index,
        upper: Index,
        step: int,
        carried: Sequence[SSAValue],
        body: Callable[[Emitter, SSAValue, Sequence[SSAValue]], Sequence[SSAValue]],
    ) -> Sequence[SSAValue]:
        """`scf.for`; `body(emitter, induction variable, carried values)` returns the values for the next iteration."""
        block = Block(arg_types=[INDEX, *(value.type for value in carried)])
        inner = self.nested(block)
        inner.append(scf.YieldOp(*body(inner, block.args[0], block.args[1:])))
        return self.append(scf.ForOp(self.index(lower), self.index(upper), self.index(step), carried, block)).results

    def loop(self, lower: Index, upper: Index, step: int, body: Callable[[Emitter, SSAValue], None]) -> None:
        """`scf.for` without carried values."""

        def run(inner: Emitter, index: SSAValue, _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            body(inner, index)
            return ()

        self.for_loop(lower, upper, step, (), run)

    def branch(
        self,
        condition: SSAValue,
        on_true: Callable[[Emitter], None],
        on_false: Callable[[Emitter], None] | None = None,
    ) -> None:
        """`scf.if` without results."""
        self.append(scf.IfOp(condition, [], self._side(on_true), self._side(on_false)))

    def _side(self, emit: Callable[[Emitter], None] | None) -> Region:
        if emit is None:
            return Region()
        block = Block()
        inner = self.nested(block)
        emit(inner)
        inner.append(scf.YieldOp())
        return Region(block)

    def forall(
        self,
        upper_bounds: Sequence[Index],
        steps: Sequence[int],
        body: Callable[[Emitter, Sequence[SSAValue]], None],
        attributes: dict[str, Attribute],
    ) -> None:
        """`scf.forall` from 0 to the upper bounds."""
        block = Block(arg_types=[INDEX] * len(upper_bounds))
        inner = self.nested(block)
        body(inner, block.args)
        inner.append(scf.InParallelOp())
        uppers = [known_index(bound) for bound in upper_bounds]
        op = self.append(scf.ForallOp([0] * len(uppers), uppers, list(steps), block))
        op.attributes.update(attributes)


def memref_type(buffer: SSAValue) -> AnyMemRef:
    """The type of a buffer."""
    type_ = buffer.type
    if not is_memref(type_):
        raise ValueError(f"expected a buffer, found {type_}")
    return type_


def given_size(buffer: SSAValue, axis: int) -> SSAValue | None:
    """The operand that says how large a dynamic axis is, where the op that makes the buffer has one."""
    owner = buffer.owner
    dynamic_before = memref_type(buffer).get_shape()[:axis].count(DYNAMIC_INDEX)
    if isinstance(owner, memref.AllocOp | memref.AllocaOp):
        return owner.dynamic_sizes[dynamic_before]
    if isinstance(owner, memref.ViewOp | memref.ReinterpretCastOp | memref.SubviewOp):
        return owner.sizes[dynamic_before]
    return None


def strides_of(type_: AnyMemRef) -> list[int | None]:
    """The strides of a buffer type in elements, None where they depend on a dynamic size."""
    strides = type_.get_strides()
    if strides is None:
        raise ValueError(f"{type_} has no strides")
    return [None if stride is None or stride == DYNAMIC_INDEX else stride for stride in strides]


def subview_type(
    source: AnyMemRef,
    offsets: Sequence[Index],
    sizes: Sequence[Index],
    dropped: Sequence[int],
    steps: Sequence[int],
) -> AnyMemRef:
    """The type of a subview, as MLIR infers it."""
    strides = strides_of(source)
    offset = source.get_offset()
    for start, stride in zip(offsets, strides, strict=True):
        if start == 0:
            continue
        if isinstance(start, int) and stride is not None and offset is not None:
            offset += start * stride
        else:
            offset = None
    kept = [axis for axis in range(len(sizes)) if axis not in dropped]
    shape = [size if isinstance(size, int) else DYNAMIC_INDEX for size in sizes]
    scaled = [None if stride is None else stride * step for stride, step in zip(strides, steps, strict=True)]
    layout = StridedLayoutAttr([scaled[axis] for axis in kept], offset)
    return MemRefType(source.get_element_type(), [shape[axis] for axis in kept], layout, source.memory_space)


def row_major_strides(emitter: Emitter, sizes: Sequence[Index]) -> list[Index]:
    """The strides of a contiguous buffer."""
    strides: list[Index] = [1]
    for size in list(sizes)[:0:-1]:
        strides.append(emitter.multiply(strides[-1], size))
    return strides[::-1][: len(sizes)] if sizes else []


def scalar_attribute(value: float, type_: Attribute) -> Attribute:
    """A number as an attribute of a float, integer or index type."""
    if isinstance(type_, AnyFloat):
        return FloatAttr(float(value), type_)
    if is_integer(type_):
        return IntegerAttr(int(value), type_)
    return IntegerAttr(int(value), INDEX)


def splat_attribute(value: Attribute, type_: AnyVector) -> Attribute:
    """A dense attribute with one scalar everywhere; raises ValueError for a value that is no number."""
    if not isinstance(value, FloatAttr | IntegerAttr):
        raise ValueError(f"{value} is not a number")
    return DenseIntOrFPElementsAttr.from_list(cast("VectorType[Any]", type_), [value.value.data])


def vector_of(shape: Sequence[int], element_type: Attribute) -> AnyVector:
    """A vector type."""
    return VectorType(element_type, shape)


def delinearized(emitter: Emitter, flat: SSAValue, counts: Sequence[Index]) -> list[Index]:
    """The position along every axis of number `flat`; the last axis varies fastest."""
    indices: list[Index] = []
    rest = flat
    for number, count in enumerate(reversed(counts)):
        if number == len(counts) - 1:
            indices.append(rest)
        elif count == 1:
            indices.append(0)
        else:
            size = emitter.index(count)
            indices.append(emitter.computed(arith.RemUIOp, (rest, size), INDEX))
            rest = emitter.computed(arith.DivUIOp, (rest, size), INDEX)
    return indices[::-1]
