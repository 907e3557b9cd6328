"""Data movement as index arithmetic: where an element of the result comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.constant import is_splat
from lamina.dialects.graph.dims import Dim, Shape, symbols_of
from lamina.dialects.graph.types import is_float, is_unsigned
from lamina.dialects.loop import arith
from lamina.lowering.graph_to_linalg.body import Body, Indexer, IndexRule, ScalarRule, through_index_rule
from lamina.lowering.graph_to_linalg.elementwise import convert
from lamina.lowering.graph_to_linalg.emitter import INDEX, FunctionScope, element_type_of, signless
from lamina.lowering.graph_to_linalg.indexing import ZERO, Index, Indices, Linear
from lamina.lowering.graph_to_linalg.properties import integer, integers, keyword
from lamina.passes.graph.shape_analysis import ShapeAnalysis

# ---- pure movements: one element of the operand for each of the result


def _transpose(indexer: Indexer, op: Operation, indices: Indices) -> tuple[SSAValue, Indices]:
    at = dict(zip(integers(op, "permutation"), indices, strict=True))
    return op.operands[0], tuple(at[axis] for axis in range(len(indices)))


def _broadcast(indexer: Indexer, op: Operation, indices: Indices) -> tuple[SSAValue, Indices]:
    shape = indexer.shape(op.operands[0])
    aligned = indices[len(indices) - len(shape) :]
    return op.operands[0], tuple(ZERO if size == 1 else at for at, size in zip(aligned, shape, strict=True))


def _reverse(indexer: Indexer, op: Operation, indices: Indices) -> tuple[SSAValue, Indices]:
    reversed_axes = integers(op, "dimensions")
    sizes = indexer.shape(op.operands[0])
    return op.operands[0], tuple(
        indexer.subtract_from(size - 1, at) if axis in reversed_axes else at
        for axis, (at, size) in enumerate(zip(indices, sizes, strict=True))
    )


def _slice(indexer: Indexer, op: Operation, indices: Indices) -> tuple[SSAValue, Indices]:
    return _sliced(indexer, op, indices, integers(op, "starts"), integers(op, "strides"))


def _dynamic_slice(indexer: Indexer, op: Operation, indices: Indices) -> tuple[SSAValue, Indices]:
    return _sliced(indexer, op, indices, elements(indexer.function, op, 1), elements(indexer.function, op, 3))


def _sliced(
    indexer: Indexer, op: Operation, indices: Indices, starts: Sequence[Dim], strides: Sequence[Dim]
) -> tuple[SSAValue, Indices]:
    sizes = indexer.shape(op.operands[0])
    return op.operands[0], tuple(
        indexer.add(indexer.multiply(at, stride), slice_start(indexer.function, start, size))
        for at, start, size, stride in zip(indices, starts, sizes, strides, strict=True)
    )


def slice_start(function: FunctionScope, start: Dim, size: Dim) -> Dim | SSAValue:
    """Where a NumPy slice starts: negative positions count from the end, all are clamped to the axis."""
    if isinstance(start, int):
        if isinstance(size, int):
            return min(max(start + size if start < 0 else start, 0), size)
        if start >= 0:
            return start  # Past the end the slice is empty, and nothing is read.
    value, zero, end = function.size(start), function.constant(0, INDEX), function.size(size)
    wrapped = function.index_op(arith.AddiOp, value, end)
    from_end = function.select(function.compare("slt", value, zero), wrapped, value)
    not_past_end = function.index_op(arith.MinSIOp, from_end, end)
    return function.index_op(arith.MaxSIOp, not_past_end, zero)


def elements(function: FunctionScope, op: Operation, index: int) -> Sequence[Dim]:
    """The elements of a small integer operand as sizes; raises LaminaError where they are not tracked."""
    known = function.analysis.elements(op.operands[index])
    if known is None:
        raise LaminaError(
            f"{op.name}: the number of elements of operand {index} has to be known", where=location_text(op.location)
        )
    return known


def _reshape(indexer: Indexer, op: Operation, indices: Indices) -> tuple[SSAValue, Indices]:
    """Axes fall into groups of equal products; in each the position is linearized and taken apart again."""
    source, target = indexer.shape(op.operands[0]), indexer.shape(op.results[0])
    found: dict[int, Index] = {}
    for source_axes, target_axes in reshape_groups(source, target):
        position: Index = ZERO
        for axis in target_axes:
            position = indexer.add(indexer.multiply(position, target[axis]), indices[axis])
        for axis in reversed(source_axes[1:]):
            position, found[axis] = indexer.divide(position, source[axis])
        if source_axes:
            found[source_axes[0]] = position
    return op.operands[0], tuple(found.get(axis, ZERO) for axis in range(len(source)))


def reshape_groups(source: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """Runs of axes (size 1 left out) of two shapes that hold the same number of elements, as short as possible."""
    sources = [axis for axis, size in enumerate(source) if size != 1]
    targets = [axis for axis, size in enumerate(target) if size != 1]
    groups: list[tuple[list[int], list[int]]] = []
    while sources or targets:
        left, right = _shortest_equal_run([source[axis] for axis in sources], [target[axis] for axis in targets])
        groups.append((sources[:left], targets[:right]))
        sources, targets = sources[left:], targets[right:]
    return groups


def _shortest_equal_run(left: Sequence[Dim], right: Sequence[Dim]) -> tuple[int, int]:
    products: list[dict[Dim, int]] = []
    for sizes in (left, right):
        product: Dim = 1
        counts: dict[Dim, int] = {}
        for count, size in enumerate(sizes, 1):
            product = product * size
            counts.setdefault(product, count)
        products.append(counts)
    for product, count in products[0].items():
        if product in products[1] and product != 0:
            return count, products[1][product]
    return len(left), len(right)


def _unpack(indexer: Indexer, op: Operation, indices: Indices) -> tuple[SSAValue, Indices]:
    (operand,) = op.operands
    axis, tile = integer(op, "dimension"), indexer.shape(operand)[-1]
    at = indices[axis]
    panel, lane = indexer.panel(at, tile) if isinstance(tile, int) else indexer.divide(at, tile)
    return operand, (panel, *indices[:axis], *indices[axis + 1 :], lane)


INDEX_RULES: Mapping[str, IndexRule] = {
    "graph.transpose": _transpose,
    "graph.broadcast": _broadcast,
    "graph.dynamic_broadcast": _broadcast,
    "graph.reverse": _reverse,
    "graph.slice": _slice,
    "graph.dynamic_slice": _dynamic_slice,
    "graph.reshape": _reshape,
    "graph.dynamic_reshape": _reshape,
    "graph.unpack": _unpack,
}


# ---- choices between operands


def _pad(body: Body, op: Operation, indices: Indices) -> SSAValue:
    return _padded(body, op, indices, integers(op, "low"), integers(op, "interior"))


def _dynamic_pad(body: Body, op: Operation, indices: Indices) -> SSAValue:
    return _padded(body, op, indices, elements(body.function, op, 2), (0,) * len(indices))


def _padded(body: Body, op: Operation, indices: Indices, low: Sequence[Dim], interior: Sequence[int]) -> SSAValue:
    source, value = op.operands[0], op.operands[1]
    sizes = body.shape(source)
    moved = tuple(
        body.add(at, -1 * before) if isinstance(before, int) else body.compute(arith.SubiOp, at, before)
        for at, before in zip(indices, low, strict=True)
    )
    mode = keyword(op, "mode")
    if mode != "constant":
        fold = _edge if mode == "edge" else _reflected
        return body.read(source, tuple(fold(body, at, size) for at, size in zip(moved, sizes, strict=True)))
    tests: list[SSAValue | None] = []
    positions: list[Index] = []
    for at, size, gap in zip(moved, sizes, interior, strict=True):
        if gap:
            # An element sits at every (gap + 1)-th position; negative ones are out of range whatever the quotient.
            tests.append(body.inside(at, 0, (size - 1) * (gap + 1) + 1))
            at, offset = _split(body, at, gap + 1)
            tests.append(body.compare("eq", body.index(offset), body.index(0)))
        else:
            tests.append(body.inside(at, 0, size))
        positions.append(at)
    condition = body.all_of(tests)
    if condition is None:
        return body.read(source, tuple(positions))
    readable = body.is_stored(source)
    clamped = tuple(body.clamp(at, 0, size - 1) if readable else at for at, size in zip(positions, sizes, strict=True))
    return body.choose(
        condition,
        lambda inner: inner.read(source, clamped),
        lambda inner: inner.read(value, ()),
        always_readable=readable,
    )


def _pack(body: Body, op: Operation, indices: Indices) -> SSAValue:
    (operand,) = op.operands
    axis, tile = integer(op, "dimension"), integer(op, "tile")
    sizes = body.shape(operand)
    panel, *others, lane = indices
    at = body.add(body.multiply(panel, tile), lane)
    condition = body.inside(at, 0, sizes[axis])
    readable = body.is_stored(operand)
    if condition is not None and readable:
        at = body.clamp(at, 0, sizes[axis] - 1)
    position = (*others[:axis], at, *others[axis:])
    if condition is None:
        return body.read(operand, position)
    return body.choose(
        condition,
        lambda inner: inner.read(operand, position),
        lambda inner: inner.constant(0, inner.scalar_type(op.results[0])),
        always_readable=readable,
    )


def _split(body: Body, index: Index, divisor: int) -> tuple[Index, Index]:
    if body.is_at_least(index, 0):
        return body.divide(index, divisor)
    return body.compute(arith.DivSIOp, index, divisor), body.compute(arith.RemSIOp, index, divisor)


def _edge(body: Body, index: Index, size: Dim) -> Index:
    return body.clamp(index, 0, size - 1)


def _reflected(body: Body, index: Index, size: Dim) -> Index:
    """Back and forth without repeating the edges: period 2 (size - 1)."""
    if body.is_at_least(index, 0) and body.is_at_most(index, size - 1):
        return index
    period = body.index(body.compute(arith.MaxSIOp, body.index((size - 1) * 2), body.index(1)))
    remainder = body.index_op(arith.RemSIOp, body.index(index), period)
    # |remainder| is the same distance from the mirror at 0 on either side.
    negated = body.index_op(arith.SubiOp, body.index(0), remainder)
    distance = body.index_op(arith.MaxSIOp, remainder, negated)
    return body.index_op(arith.MinSIOp, distance, body.index_op(arith.SubiOp, period, distance))


def _concatenate(body: Body, op: Operation, indices: Indices) -> SSAValue:
    axis = integer(op, "dimension")
    parts: list[tuple[SSAValue, Dim]] = []
    offset: Dim = 0
    for operand in op.operands:
        size = body.shape(operand)[axis]
        if size != 0:
            parts.append((operand, offset))
        offset = offset + size
    readable = all(body.is_stored(operand) for operand, _ in parts)

    def part(inner: Body, number: int) -> SSAValue:
        operand, start = parts[number]
        at = indices[axis]
        at = inner.add(at, -1 * start) if isinstance(start, int) else inner.compute(arith.SubiOp, at, start)
        if readable:
            at = inner.clamp(at, 0, inner.shape(operand)[axis] - 1)
        return inner.read(operand, (*indices[:axis], at, *indices[axis + 1 :]))

    def parts_from(inner: Body, number: int) -> SSAValue:
        if number == len(parts) - 1:
            return part(inner, number)
        before = inner.inside(indices[axis], 0, parts[number + 1][1])
        if before is None:
            return part(inner, number)
        return inner.choose(
            before,
            lambda chosen: part(chosen, number),
            lambda other: parts_from(other, number + 1),
            always_readable=readable,
        )

    return parts_from(body, 0)


def _dynamic_update_slice(body: Body, op: Operation, indices: Indices) -> SSAValue:
    source, update = op.operands[0], op.operands[1]
    function = body.function
    sizes, update_sizes = body.shape(source), body.shape(update)
    tests: list[SSAValue | None] = []
    positions: list[Index] = []
    for at, start, size, extent in zip(indices, elements(function, op, 2), sizes, update_sizes, strict=True):
        first = clamped_start(function, start, size - extent)
        at = body.compute(arith.SubiOp, at, first) if not isinstance(first, int) else body.add(at, -first)
        tests.append(body.inside(at, 0, extent))
        positions.append(at)
    condition = body.all_of(tests)
    if condition is None:
        return body.read(update, tuple(positions))
    readable = body.is_stored(source) and body.is_stored(update)
    clamped = tuple(
        body.clamp(at, 0, size - 1) if readable else at for at, size in zip(positions, update_sizes, strict=True)
    )
    return body.choose(
        condition,
        lambda inner: inner.read(update, clamped),
        lambda inner: inner.read(source, indices),
        always_readable=readable,
    )


def clamped_start(function: FunctionScope, start: Dim, last: Dim) -> int | SSAValue:
    """Where a window begins that may begin at `last` at most, and at 0 at least."""
    if isinstance(start, int) and isinstance(last, int):
        return max(min(start, last), 0)
    if last == 0:
        return 0
    not_past = function.index_op(arith.MinSIOp, function.size(start), function.size(last))
    return function.index_op(arith.MaxSIOp, not_past, function.constant(0, INDEX))


# ---- reading at computed positions


def _gather(body: Body, op: Operation, indices: Indices) -> SSAValue:
    """StableHLO's gather: batch axes of the result pick an index vector, offset axes walk the slice behind it."""
    source, positions = op.operands
    sizes = body.shape(source)
    offset_axes, collapsed = integers(op, "offset_dims"), integers(op, "collapsed_slice_dims")
    batching = integers(op, "operand_batching_dims")
    slice_sizes = [
        size if given == -1 else given for given, size in zip(integers(op, "slice_sizes"), sizes, strict=True)
    ]
    batch = tuple(at for axis, at in enumerate(indices) if axis not in offset_axes)
    found: list[Index] = [ZERO] * len(sizes)

    walked = [axis for axis in range(len(sizes)) if axis not in collapsed and axis not in batching]
    for axis, at in zip(walked, (indices[axis] for axis in offset_axes), strict=True):
        found[axis] = at
    vector_axis = integer(op, "index_vector_dim")
    for axis, index_axis in zip(batching, integers(op, "start_indices_batching_dims"), strict=True):
        found[axis] = batch[index_axis - (index_axis > vector_axis)]
    has_vector_axis = vector_axis < len(body.shape(positions))
    for component, axis in enumerate(integers(op, "start_index_map")):
        last = sizes[axis] - slice_sizes[axis]
        if last == 0:
            continue
        at = (*batch[:vector_axis], Linear(constant=component), *batch[vector_axis:]) if has_vector_axis else batch
        start = to_index(body, body.read(positions, at), element_type_of(positions))
        found[axis] = body.add(body.clamp(start, 0, last), found[axis])
    return body.read(source, tuple(found))


def to_index(body: Body | FunctionScope, value: SSAValue, element_type: Attribute) -> SSAValue:
    """An integer of a graph-level element type as an `index`."""
    return body.emit(arith.IndexCastUIOp if is_unsigned(element_type) else arith.IndexCastOp, (value,), INDEX)


# ---- values that come from nowhere


def _iota(body: Body, op: Operation, indices: Indices) -> SSAValue:
    element_type = element_type_of(op.results[0])
    position = body.index(indices[integer(op, "dimension")])
    if not is_float(element_type):
        return body.emit(arith.IndexCastOp, (position,), signless(element_type))
    return convert(body, body.emit(arith.IndexCastOp, (position,), i64), i64, element_type)


def _dimension(body: Body, op: Operation, indices: Indices) -> SSAValue:
    size = body.shape(op.operands[0])[integer(op, "axis")]
    return body.emit(arith.IndexCastOp, (body.index(size),), i64)


def _shape_of(body: Body, op: Operation, indices: Indices) -> SSAValue:
    (at,) = indices
    sizes = body.shape(op.operands[0])
    if isinstance(at, Linear) and not at.terms:
        return body.emit(arith.IndexCastOp, (body.index(sizes[at.constant]),), i64)
    chosen = body.index(sizes[-1])
    for axis in range(len(sizes) - 1):
        is_axis = body.compare("eq", body.index(at), body.index(axis))
        chosen = body.select(is_axis, body.index(sizes[axis]), chosen)
    return body.emit(arith.IndexCastOp, (chosen,), i64)


def splat_value(value: Attribute) -> float | int | None:
    """The element that all elements of a `dense` constant equal; None for other constants."""
    return cast(DenseIntOrFPElementsAttr, value).get_attrs()[0].value.data if is_splat(value) else None


def _constant(body: Body, op: Operation, indices: Indices) -> SSAValue:
    """Splats are scalars; the elements of other constants are read from a tensor."""
    value = op.properties["value"]
    splat = splat_value(value)
    if splat is not None:
        return body.constant(splat, body.scalar_type(op.results[0]))
    body.function.values[op.results[0]] = body.tensor_constant(cast(DenseIntOrFPElementsAttr, value))
    return body.read(op.results[0], indices)


SCALAR_RULES: Mapping[str, ScalarRule] = {
    **{name: through_index_rule(rule) for name, rule in INDEX_RULES.items()},
    "graph.pad": _pad,
    "graph.dynamic_pad": _dynamic_pad,
    "graph.concatenate": _concatenate,
    "graph.pack": _pack,
    "graph.dynamic_update_slice": _dynamic_update_slice,
    "graph.gather": _gather,
    "graph.iota": _iota,
    "graph.dynamic_iota": _iota,
    "graph.dimension": _dimension,
    "graph.shape_of": _shape_of,
    "graph.constant": _constant,
}

ELEMENT_OPERANDS: Mapping[str, tuple[int, ...]] = {
    "graph.dynamic_slice": (1, 2, 3),
    "graph.dynamic_update_slice": (2,),
    "graph.dynamic_pad": (2, 3),
    "graph.dynamic_reshape": (1,),
    "graph.dynamic_broadcast": (1,),
    "graph.dynamic_iota": (0,),
    "graph.shape_of": (0,),
    "graph.dimension": (0,),
}
"""Operands of which only the size or the elements known as sizes are used, never the tensor as such."""


def size_symbols(analysis: ShapeAnalysis, op: Operation) -> set[str]:
    """The symbols that lowering an op needs: those of its result's sizes and of its element operands."""
    needed = {name for result in op.results for size in analysis.shape(result) for name in symbols_of(size)}
    for index in ELEMENT_OPERANDS.get(op.name, ()):
        known = analysis.of(op.operands[index])
        needed |= {name for dim in (*known.shape, *(known.elements or ())) for name in symbols_of(dim)}
    return needed
