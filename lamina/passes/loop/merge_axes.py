"""Axes that lie next to each other in every buffer of an op become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AffineMapAttr,
    ArrayAttr,
    DictionaryAttr,
    MemRefType,
    NoneAttr,
    StringAttr,
)
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap

from lamina.dialects.loop import memref
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.emitter import Constants, Emitter, Index, memref_type, row_major_strides
from lamina.passes.loop.stages import Group
from lamina.passes.loop.structured import AXES, SCHEDULE, maps_of


def merge_axes(group: Group, constants: Constants) -> Group:
    """Carry out `merge` of the schedule of a group of one op; the axes of a run are named after its last.

        linalg.generic {(c, h, w) -> (h, w, c), (c, h, w) -> (c, h, w)} … merge = [["h", "w"]]
    →
        %x1 = memref.reinterpret_cast %x … : memref<14x14x64xf32> to memref<196x64xf32>
        linalg.generic {(c, w) -> (w, c), (c, w) -> (c, w)} …
    """
    op = group.anchor
    attribute = op.attributes.get(SCHEDULE)
    runs = _runs(attribute, group.names[op])
    buffers = [operand for operand in op.operands if is_memref(operand.type)]
    plain = all(isinstance(memref_type(buffer).layout, NoneAttr) for buffer in buffers)
    if not isinstance(op, linalg.GenericOp) or not runs or not plain:
        return group
    emitter = Emitter.ahead_of(op, constants)
    gone = {dim for run in runs for dim in run[:-1]}
    kept = [dim for dim in range(len(op.iterator_types)) if dim not in gone]
    operands: list[SSAValue] = []
    maps: list[AffineMap] = []
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        dims = [result.position if isinstance(result, AffineDimExpr) else None for result in map_.results]
        results: list[AffineExpr] = [
            AffineDimExpr(kept.index(dim)) if dim is not None else result
            for result, dim in zip(map_.results, dims, strict=True)
            if dim not in gone
        ]
        maps.append(AffineMap(len(kept), 0, tuple(results)))
        operands.append(_merged(emitter, operand, dims, gone))
    names = [group.names[op][dim] for dim in kept]
    block, inputs = op.body.detach_block(0), len(op.inputs)
    copy = linalg.GenericOp(
        operands[:inputs],
        operands[inputs:],
        Region(block),
        [AffineMapAttr(map_) for map_ in maps],
        [op.iterator_types.data[dim] for dim in kept],
        attributes={**op.attributes, AXES: ArrayAttr([StringAttr(name) for name in names])},
    )
    emitter.location = op.location
    emitter.append(copy)
    op.detach()
    op.erase()
    return Group(group.schedule, copy, [copy], {copy: names})


def _runs(schedule: Attribute | None, names: Sequence[str]) -> list[list[int]]:
    merge = schedule.data.get("merge") if isinstance(schedule, DictionaryAttr) else None
    if not isinstance(merge, ArrayAttr):
        return []
    runs = cast("ArrayAttr[ArrayAttr[StringAttr]]", merge)
    return [[names.index(name.data) for name in run] for run in runs]


def _merged(emitter: Emitter, operand: SSAValue, dims: Sequence[int | None], gone: set[int]) -> SSAValue:
    """A buffer whose axes over dims that are gone are one with the axis behind them."""
    if not any(dim in gone for dim in dims):
        return operand
    sizes: list[Index] = []
    factor: Index = 1
    for axis, dim in enumerate(dims):
        factor = emitter.multiply(factor, emitter.size(operand, axis))
        if dim not in gone:
            sizes.append(factor)
            factor = 1
    shape = [size if isinstance(size, int) else DYNAMIC_INDEX for size in sizes]
    type_ = MemRefType(memref_type(operand).get_element_type(), shape)
    strides = row_major_strides(emitter, sizes)
    return emitter.value(memref.ReinterpretCastOp.from_dynamic(operand, [0], sizes, strides, type_))
