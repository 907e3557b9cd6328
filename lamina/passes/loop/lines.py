"""Where the lines of memory begin: how far a buffer's elements are from the next one."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.memref import ExtractAlignedPointerAsIndexOp, ExtractStridedMetaDataOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr

from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_memref
from lamina.passes.loop.emitter import INDEX, Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import StructuredOp, maps_of

LINE_BYTES = 64


def until_line(emitter: Emitter, buffer: SSAValue, position: Index = 0) -> Index:
    """How many elements lie between a buffer's start, moved on by `position` elements, and the next start of a line."""
    width = element_bytes(memref_type(buffer).get_element_type())
    described = ExtractStridedMetaDataOp(buffer)
    emitter.append(described)
    pointer = emitter.value(ExtractAlignedPointerAsIndexOp.build(operands=[buffer], result_types=[INDEX]))
    address = emitter.add(pointer, emitter.multiply(emitter.add(described.offset, position), width))
    mask = emitter.index(LINE_BYTES - 1)
    negated = emitter.index(emitter.subtract(0, address))
    rest = emitter.value(arith.AndIOp.create(operands=[negated, mask], result_types=[INDEX]))
    return emitter.divide(rest, width)


def contiguous_operands(op: StructuredOp, names: Sequence[str], axes: Sequence[str]) -> dict[str, SSAValue]:
    """For named axes, the buffer that is contiguous along each and has several of them: the result, or an input."""
    found: dict[str, SSAValue] = {}
    dims = {names.index(axis) for axis in axes}
    operands = zip(op.operands, maps_of(op), strict=True)
    for operand, map_ in reversed(list(operands)):
        if not is_memref(operand.type) or not map_.results:
            continue
        last = map_.results[-1]
        if not isinstance(last, AffineDimExpr) or last.position not in dims:
            continue
        if len(map_.used_dims()) > 1:
            found.setdefault(names[last.position], operand)
    return found
