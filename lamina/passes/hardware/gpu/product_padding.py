"""Copies that only pad a factor of a product: its loads give zeros there instead."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import arith, memref
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.borders import BORDER, border_widths
from lamina.passes.loop.cleanup import touches_memory
from lamina.passes.loop.structured import iterators_of, maps_of


def without_padding(op: linalg.GenericOp, inputs: Sequence[int] = (0, 1)) -> dict[int, Sequence[int]]:
    """Make a product read what is padded, as some inputs; by input, the positions before the first of every axis.

        linalg.generic outs(%padded) attrs = {lamina.border = …} {%x where it exists, else 0}
        linalg.generic ins(%padded, %b) {product}
    →
        linalg.generic ins(%x, %b) {product}, whose loads have to check their positions
    """
    found: dict[int, Sequence[int]] = {}
    for number in inputs:
        padded = op.inputs[number]
        stage = _padding_stage(padded, op)
        source = None if stage is None else _source_of(stage)
        if stage is None or source is None or not is_memref(source.type) or not is_memref(padded.type):
            continue
        rank = padded.type.get_num_dims()
        low, high = border_widths(stage, rank)
        if source.type.get_num_dims() != rank or low[-1] or high[-1]:
            continue
        if source.type.get_element_type() != padded.type.get_element_type():
            continue
        if any(
            isinstance(one, AffineDimExpr) and (before or behind)
            for one, before, behind in zip(maps_of(op)[number].results, low, high, strict=True)
        ):
            continue
        op.operands[number] = source
        stage.detach()
        stage.erase()
        found[number] = low
    return found


def _padding_stage(padded: SSAValue, op: linalg.GenericOp) -> linalg.GenericOp | None:
    """The stage that pads a buffer for this op only, with nothing but fills and arithmetic between."""
    if not isinstance(padded.owner, memref.AllocOp):
        return None
    users = {use.operation for use in padded.uses if not isinstance(use.operation, memref.DeallocOp)}
    others = [one for one in users if one is not op]
    if len(others) != 1 or op not in users or not isinstance(others[0], linalg.GenericOp):
        return None
    stage = others[0]
    if BORDER not in stage.attributes or list(stage.operands) != [padded] or not all(iterators_of(stage)):
        return None
    if maps_of(stage)[0] != AffineMap.identity(maps_of(stage)[0].num_dims):
        return None
    between = stage.next_op
    while between is not None and between is not op:
        if touches_memory(between) and not isinstance(between, linalg.FillOp | memref.AllocOp):
            return None
        between = between.next_op
    return None if between is None else stage


def _source_of(stage: linalg.GenericOp) -> SSAValue | None:
    """The buffer that a stage pads with zeros."""
    block = stage.body.block
    loads = [inner for inner in block.walk() if isinstance(inner, memref.LoadOp)]
    terminator = block.last_op
    chosen = terminator.operands[0].owner if terminator is not None else None
    if len(loads) != 1 or not isinstance(chosen, arith.SelectOp) or chosen.operands[1] is not loads[0].results[0]:
        return None
    zero = chosen.operands[2].owner
    value = zero.value if isinstance(zero, arith.ConstantOp) else None
    return loads[0].operands[0] if isinstance(value, FloatAttr) and value.value.data == 0 else None
