"""Reading and writing vectors at linear positions, whole or masked, and scalar bodies at vector shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, BoolAttr, IndexType, i1
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import arith, vector
from lamina.dialects.loop.types import is_vector
from lamina.passes.loop.emitter import Emitter, Index, memref_type, splat_attribute, vector_of
from lamina.passes.loop.structured import Linear, emit_linear

TRUE = BoolAttr.from_bool(True)


@dataclass(frozen=True)
class VectorAxis:
    """An axis of the vectors of a tile: the iteration dim, the lanes, and how many of them exist (None: all)."""

    dim: int
    lanes: int
    count: Index | None = None


def axis_of(positions: Sequence[Linear], dim: int) -> int | None:
    """The operand axis whose position moves with a dim; None where none does. Raises ValueError for several."""
    found = [axis for axis, position in enumerate(positions) if position.coefficient(dim)]
    if len(found) > 1:
        raise ValueError(f"iteration dim {dim} moves several axes of an operand")
    return found[0] if found else None


def can_access(positions: Sequence[Linear] | None, dims: Sequence[int]) -> bool:
    """Whether vectors along `dims` can be read at these positions: no two of them move one axis, none moves two."""
    if positions is None:
        return False
    moved = [axis for dim in dims for axis, position in enumerate(positions) if position.coefficient(dim)]
    return len(set(moved)) == len(moved) == len({d for d in dims if any(p.coefficient(d) for p in positions)})


def present_axes(positions: Sequence[Linear], axes: Sequence[VectorAxis]) -> list[VectorAxis]:
    """The vector axes that an operand varies along."""
    return [axis for axis in axes if any(position.coefficient(axis.dim) for position in positions)]


class VectorMemory:
    """Vector reads and writes for one tile shape; masks are made once."""

    def __init__(self, axes: Sequence[VectorAxis], masks: dict[tuple[VectorAxis, ...], SSAValue] | None = None):
        self.axes = tuple(axes)
        self.shape = [axis.lanes for axis in axes]
        self._masks: dict[tuple[VectorAxis, ...], SSAValue] = {} if masks is None else masks

    def prepare(self, emitter: Emitter, accesses: Sequence[Sequence[Linear]]) -> None:
        """Make the masks that accesses at these positions need, where `emitter` stands (outside inner loops)."""
        for positions in accesses:
            self._mask(emitter, positions)

    def _mask(self, emitter: Emitter, positions: Sequence[Linear]) -> SSAValue | None:
        """The mask of an access, None where all lanes exist. Its axes are in the order of the memory's."""
        axes = present_axes(positions, self.axes)
        if all(axis.count is None for axis in axes):
            return None
        axes.sort(key=lambda axis: axis_of(positions, axis.dim) or 0)
        key = tuple(axes)
        found = self._masks.get(key)
        if found is None:
            found = self._masks[key] = self._new_mask(emitter, axes)
        return found

    def _new_mask(self, emitter: Emitter, axes: Sequence[VectorAxis]) -> SSAValue:
        shape = [axis.lanes for axis in axes]
        counts = [axis.lanes if axis.count is None else axis.count for axis in axes]
        static = [count for count in counts if isinstance(count, int)]
        if len(static) == len(counts):
            return emitter.value(vector.ConstantMaskOp(static, shape))
        return emitter.value(
            vector.CreateMaskOp.create(
                operands=[emitter.index(count) for count in counts], result_types=[vector_of(shape, i1)]
            )
        )

    def _place(
        self, emitter: Emitter, buffer: SSAValue, positions: Sequence[Linear], at: Sequence[Index]
    ) -> tuple[SSAValue, list[Index], AffineMap, list[VectorAxis]]:
        """Where a vector is: a buffer (a sub-view where lanes are not neighbors), indices, permutation, axes."""
        axes = present_axes(positions, self.axes)
        indices = [emit_linear(emitter, position, at) for position in positions]
        moved = {axis: axis_of(positions, axis.dim) or 0 for axis in axes}
        steps = [1] * len(positions)
        for axis, place in moved.items():
            steps[place] = positions[place].coefficient(axis.dim) if axis.lanes > 1 else 1
        if all(step == 1 for step in steps):
            permutation = AffineMap(len(positions), 0, tuple(AffineDimExpr(moved[axis]) for axis in axes))
            return buffer, indices, permutation, axes
        sizes: list[Index] = [1] * len(positions)
        for axis, place in moved.items():
            sizes[place] = axis.lanes if axis.count is None else axis.count
        dropped = [place for place in range(len(positions)) if place not in moved.values()]
        view = emitter.subview(buffer, indices, sizes, dropped, steps)
        order = sorted(moved.values())
        permutation = AffineMap(len(order), 0, tuple(AffineDimExpr(order.index(moved[axis])) for axis in axes))
        return view, [0] * len(order), permutation, axes

    def read(self, emitter: Emitter, buffer: SSAValue, positions: Sequence[Linear], at: Sequence[Index]) -> SSAValue:
        """A vector along the axes that the operand varies along; a scalar where there are none."""
        if not present_axes(positions, self.axes):
            return emitter.load(buffer, [emit_linear(emitter, position, at) for position in positions])
        source, indices, permutation, axes = self._place(emitter, buffer, positions, at)
        element = memref_type(buffer).get_element_type()
        mask = self._mask(emitter, positions)
        return emitter.value(
            vector.TransferReadOp(
                source,
                [emitter.index(index) for index in indices],
                emitter.scalar_constant(0, element),
                vector_of([axis.lanes for axis in axes], element),
                ArrayAttr([TRUE] * len(axes)),
                AffineMapAttr(permutation),
                mask,
            )
        )

    def write(
        self, emitter: Emitter, value: SSAValue, buffer: SSAValue, positions: Sequence[Linear], at: Sequence[Index]
    ) -> None:
        """Write a vector of the tile's shape."""
        target, indices, permutation, axes = self._place(emitter, buffer, positions, at)
        emitter.append(
            vector.TransferWriteOp(
                value,
                target,
                [emitter.index(index) for index in indices],
                ArrayAttr([TRUE] * len(axes)),
                self._mask(emitter, positions),
                AffineMapAttr(permutation),
            )
        )

    def spread(self, emitter: Emitter, value: SSAValue, positions: Sequence[Linear]) -> SSAValue:
        """A value as `read` gives it, repeated along the axes that it does not vary along."""
        axes = present_axes(positions, self.axes)
        if len(axes) == len(self.axes):
            return value
        element = value.type.get_element_type() if is_vector(value.type) else value.type
        if axes and axes[-1] is not self.axes[-1]:
            padded = [axis.lanes if axis in axes else 1 for axis in self.axes]
            value = emitter.value(vector.ShapeCastOp(value, vector_of(padded, element)))
        return emitter.computed(vector.BroadcastOp, (value,), vector_of(self.shape, element))

    def splat(self, emitter: Emitter, value: SSAValue) -> SSAValue:
        """A scalar in every element of the tile."""
        type_ = vector_of(self.shape, value.type)
        owner = value.owner
        if isinstance(owner, arith.ConstantOp):
            return emitter.constants.get(splat_attribute(owner.value, type_), type_)
        return emitter.computed(vector.BroadcastOp, (value,), type_)


# Scalar bodies

TRAPPING = (
    arith.DivSIOp,
    arith.DivUIOp,
    arith.RemSIOp,
    arith.RemUIOp,
    arith.FloorDivSIOp,
    arith.CeilDivSIOp,
    arith.CeilDivUIOp,
)
"""Ops that must not be computed in lanes that do not exist."""


def is_vectorizable(block: Block) -> bool:
    """Whether a scalar body can be computed at any vector shape."""
    *ops, _ = block.ops
    return all(
        op.name.startswith(("arith.", "math."))
        and not isinstance(op, TRAPPING)
        and not op.regions
        and not any(isinstance(value.type, IndexType) for value in (*op.operands, *op.results))
        for op in ops
    )


def vector_body(emitter: Emitter, block: Block, arguments: Sequence[SSAValue], memory: VectorMemory) -> list[SSAValue]:
    """Compute a scalar body on vectors; what it yields.

        ^bb(%x: f32): %y = math.exp %x : f32; linalg.yield %y
    → math.exp %v : vector<8x48xf32>
    """
    known: dict[SSAValue, SSAValue] = dict(zip(block.args, arguments, strict=True))

    def mapped(value: SSAValue) -> SSAValue:
        found = known.get(value)
        return memory.splat(emitter, value) if found is None else found

    outer = emitter.location
    *ops, terminator = block.ops
    for op in ops:
        if isinstance(op, arith.ConstantOp):
            type_ = vector_of(memory.shape, op.result.type)
            known[op.result] = emitter.constants.get(splat_attribute(op.value, type_), type_)
            continue
        emitter.location = op.location
        copy = at_shape(op, [mapped(operand) for operand in op.operands], memory.shape)
        known[op.results[0]] = emitter.value(copy)
    emitter.location = outer
    return [mapped(value) for value in terminator.operands]


def at_shape(op: Operation, operands: Sequence[SSAValue], shape: Sequence[int]) -> Operation:
    """An elementwise op on vectors instead of scalars."""
    result_types: list[Attribute] = [vector_of(shape, result.type) for result in op.results]
    return type(op).create(
        operands=operands, result_types=result_types, properties=op.properties, attributes=op.attributes
    )


def cast_at_shape(op: Operation, value: SSAValue) -> Operation:
    """A cast of a scalar body on a scalar or a vector."""
    if is_vector(value.type):
        return at_shape(op, [value], value.type.get_shape())
    return type(op).create(operands=[value], result_types=[op.results[0].type], properties=op.properties)
