"""The innermost axes of a structured op as one long axis, where memory has them in one piece."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    IntegerAttr,
    MemRefType,
    NoneAttr,
    StridedLayoutAttr,
    StringAttr,
    i64,
)
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from lamina.dialects.loop import memref
from lamina.dialects.loop.types import AnyMemRef, is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.emitter import Emitter, memref_type, strides_of
from lamina.passes.loop.structured import AXES, axes_of, extent, iterators_of, maps_of


def merge_inner_axes(emitter: Emitter, op: linalg.GenericOp) -> None:
    """Make the last two dims of an op one, again and again, as long as they are of one kind and every operand has them
    as its last axes without a gap, or has neither; dims of size 1 go. The op is changed in place.

        linalg.generic {["reduction", "reduction"], (h, w) -> (h, w)} ins(%x : memref<64x64xf32>) …
    →
        %row = memref.collapse_shape %x [[0, 1]] : memref<64x64xf32> into memref<4096xf32>
        linalg.generic {["reduction"], (w) -> (w)} ins(%row) …

    Loops over memory are as long as they can be; a sum needs one step across the lanes, not one for every row.
    """
    if any(isinstance(inner, linalg.IndexOp) or inner.regions for inner in op.body.walk()):
        return
    _drop_unit_dims(emitter, op)
    while len(op.iterator_types) > 1 and _merges(op):
        _merge(emitter, op)


def _drop_unit_dims(emitter: Emitter, op: linalg.GenericOp) -> None:
    """Leave out dims of size 1, which stand between others where a reduction keeps its axes; one dim stays."""
    count = len(op.iterator_types)
    if not count:
        return
    kept = [dim for dim in range(count) if extent(emitter, op, dim) != 1] or [count - 1]
    if len(kept) == count:
        return
    new = [AffineDimExpr(kept.index(dim)) if dim in kept else AffineConstantExpr(0) for dim in range(count)]
    maps = [
        AffineMap(len(kept), 0, tuple(result.replace_dims_and_symbols(new, []) for result in map_.results))
        for map_ in maps_of(op)
    ]
    pairs = zip(maps_of(op), maps, strict=True)
    plain = [
        (isinstance(old, AffineDimExpr), isinstance(now, AffineDimExpr))
        for a, b in pairs
        for old, now in zip(a.results, b.results, strict=True)
    ]
    if any(now and not before for before, now in plain):
        return  # a plain dim has to run over the whole axis, and this one may run over a part of it
    set_dims(op, kept, maps)


def set_dims(op: linalg.GenericOp, dims: Sequence[int], maps: Sequence[AffineMap]) -> None:
    """Give an op other iteration dims, which are some of its own in another order, and the maps over them."""
    op.properties["indexing_maps"] = ArrayAttr([AffineMapAttr(map_) for map_ in maps])
    op.properties["iterator_types"] = ArrayAttr([list(op.iterator_types)[dim] for dim in dims])
    names = axes_of(op)
    if names is not None:
        op.attributes[AXES] = ArrayAttr([StringAttr(names[dim]) for dim in dims])


def _merges(op: linalg.GenericOp) -> bool:
    kinds = iterators_of(op)
    last = len(kinds) - 1
    if kinds[last] != kinds[last - 1]:
        return False
    moved = False
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        used = {dim for result in map_.results for dim in result.used_dims()} & {last - 1, last}
        if not used:
            continue
        if not is_memref(operand.type) or map_.results[-2:] != (AffineDimExpr(last - 1), AffineDimExpr(last)):
            return False
        others = {dim for result in map_.results[:-2] for dim in result.used_dims()}
        if others & {last - 1, last} or not _is_dense(operand.type):
            return False
        moved = True
    return moved


def _is_dense(type_: AnyMemRef) -> bool:
    """Whether the last two axes, of static size, are one piece of memory."""
    rows, columns = type_.get_shape()[-2:]
    outer, inner = strides_of(type_)[-2:]
    return rows != DYNAMIC_INDEX and columns != DYNAMIC_INDEX and inner == 1 and outer == columns


def _merge(emitter: Emitter, op: linalg.GenericOp) -> None:
    last = len(op.iterator_types) - 1
    maps: list[AffineMap] = []
    for number, (operand, map_) in enumerate(zip(list(op.operands), maps_of(op), strict=True)):
        results = map_.results
        if results and results[-1] == AffineDimExpr(last):
            results = (*results[:-2], AffineDimExpr(last - 1))
            op.operands[number] = _collapsed(emitter, operand)
        maps.append(AffineMap(last, 0, tuple(results)))
    set_dims(op, range(last), maps)


def _collapsed(emitter: Emitter, buffer: SSAValue) -> SSAValue:
    type_ = memref_type(buffer)
    shape = list(type_.get_shape())
    layout = type_.layout
    if isinstance(layout, StridedLayoutAttr):
        strides = list(layout.strides)
        layout = StridedLayoutAttr([*strides[:-2], strides[-1]], layout.offset)
    elif not isinstance(layout, NoneAttr):
        return buffer
    result = MemRefType(type_.get_element_type(), [*shape[:-2], shape[-2] * shape[-1]], layout)
    axes = [*range(len(shape) - 1), len(shape)]
    groups = [[*range(first, second)] for first, second in pairwise(axes)]
    groups[-1] = [len(shape) - 2, len(shape) - 1]
    reassociation = ArrayAttr([ArrayAttr([IntegerAttr(axis, i64) for axis in group]) for group in groups])
    return emitter.value(
        memref.CollapseShapeOp.create(
            operands=[buffer], result_types=[result], properties={"reassociation": reassociation}
        )
    )
