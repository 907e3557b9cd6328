"""Scatter of rows: a copy of the operand, then one row of updates after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType, f32, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue

from lamina.dialects.loop import arith, scf
from lamina.dialects.tensor import tensor
from lamina.lowering.graph_to_linalg import elementwise
from lamina.lowering.graph_to_linalg.body import Body
from lamina.lowering.graph_to_linalg.emitter import INDEX, FunctionScope, Tensor, element_type_of, tensor_type
from lamina.lowering.graph_to_linalg.indexing import dim_index, identity_indices
from lamina.lowering.graph_to_linalg.properties import keyword
from lamina.lowering.graph_to_linalg.spaces import Axis

if TYPE_CHECKING:
    from lamina.lowering.graph_to_linalg.stages import Lowering


def lower_scatter(
    lowering: Lowering,
    op: Operation,
    destination: SSAValue,
    permutation: Sequence[int],
    *,
    holds_operand: bool = False,
) -> SSAValue:
    """A counted loop over the updates that carries the destination; `flatten-scatters` has run.

    The operand is copied first unless the destination holds it.

        %r = scf.for %u iter_args(%rows = %copy) {
          %p = extract %positions[%u], clamped
          %new = linalg.generic ins(row %p of %rows, row %u of %updates) …     // the old row where %p was outside
          yield (%new inserted as row %p)

    The order of the updates is kept, so that sums do not depend on the number of threads.
    """
    from lamina.lowering.graph_to_linalg.caller import insert_at
    from lamina.lowering.graph_to_linalg.stages import Output, generic

    function = lowering.function
    operand, positions, updates = op.operands
    sizes = function.shape(operand)
    target = destination
    if list(permutation) != [0, 1]:
        target = function.empty_like(op.results[0])
    filled = target if holds_operand and target is destination else lowering.copy(operand, target)
    numbers, source = (_in_memory(lowering, each) for each in (positions, updates))
    rows, width = (function.size(size) for size in sizes)
    zero, one = function.constant(0, INDEX), function.constant(1, INDEX)
    count = function.size(function.shape(updates)[0])
    # Of no rows there is none to read: all updates are dropped.
    count = function.select(function.compare("eq", rows, zero), zero, count)
    last = function.index_op(arith.SubiOp, rows, one)
    block = Block(arg_types=[INDEX, filled.type])
    inner = function.nested()
    at, carried = block.args
    given = inner.emit(tensor.ExtractOp, (numbers, at), i64)
    position = inner.emit(arith.IndexCastOp, (given,), INDEX)
    place = inner.index_op(arith.MaxSIOp, inner.index_op(arith.MinSIOp, position, last), zero)
    hit = inner.compare("eq", position, place)
    old = _row_at(inner, carried, place, width)
    new = _row_at(inner, source, at, width)
    fresh = inner.empty((sizes[1],), tensor_type((sizes[1],), element_type_of(old)))

    def build(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        left, right = (body.inputs.argument(each, identity_indices(1)) for each in (old, new))
        return [body.select(hit, _combined(body, keyword(op, "kind"), element_type_of(operand), left, right), left)]

    (row,) = generic(inner, [Axis("i0", sizes[1])], [Output(fresh, (0,))], build)
    inner.append(scf.YieldOp(insert_at(inner, row, carried, place, [width])))
    block.add_ops(inner.ops)
    result = function.append(scf.ForOp(zero, count, one, [filled], block)).results[0]
    if target is destination:
        return result

    def transposed(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        return [body.inputs.argument(result, (dim_index(0), dim_index(1)))]

    axes = [Axis(f"i{axis}", size) for axis, size in enumerate(sizes)]
    return generic(function, axes, [Output(destination, tuple(permutation))], transposed)[0]


def _in_memory(lowering: Lowering, value: SSAValue) -> SSAValue:
    """The tensor that holds a value; one that is computed where it is read is stored first."""
    found = lowering.function.values.get(value)
    return found if found is not None else lowering.copy(value, lowering.function.empty_like(value))


def _row_at(function: FunctionScope, source: SSAValue, position: SSAValue, width: SSAValue) -> SSAValue:
    """A row of a matrix, as a view."""
    type_ = cast(Tensor, source.type)
    size = type_.get_shape()[1]
    sizes = [1, width if size == DYNAMIC_INDEX else size]
    row = TensorType(type_.get_element_type(), [size])
    return function.append(tensor.ExtractSliceOp(source, [position, 0], sizes, [1, 1], row)).results[0]


def _combined(body: Body, kind: str, element_type: Attribute, left: SSAValue, right: SSAValue) -> SSAValue:
    if kind == "assign":
        return right
    compute = elementwise.COMPUTE[f"graph.{kind}"]
    if not isinstance(element_type, elementwise.NARROW_FLOATS):
        return compute(body, element_type, (left, right))
    wide = [body.emit(arith.ExtFOp, (each,), f32) for each in (left, right)]
    return body.emit(arith.TruncFOp, (compute(body, f32, wide),), left.type)
