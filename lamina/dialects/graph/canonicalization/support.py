"""What canonicalization patterns share: constants as Python values, replacements that keep types and locations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseIntOrFPElementsAttr, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter

from lamina.dialects.graph.base import Array, GraphOp, abstract_operands, compatible, set_result_types
from lamina.dialects.graph.constant import ConstantOp, constant_attribute, dense_array
from lamina.dialects.graph.types import is_float
from lamina.resources import ResourceStore


def splat(value: SSAValue) -> float | int | bool | None:
    """The one element that a constant repeats; None for other values and for empty constants."""
    owner = value.owner
    if not isinstance(owner, ConstantOp) or not isinstance(owner.value, DenseIntOrFPElementsAttr):
        return None
    elements = dense_array(owner.value).reshape(-1)
    if not elements.size:
        return None
    # Bits, so that NaN repeats itself and -0.0 is not 0.0.
    width = elements.dtype.itemsize
    bits = elements.view(np.dtype(f"u{width}"))
    if elements.size > 1 and not bool((bits == bits[0]).all()):
        return None
    first = elements[0]
    return float(cast(float, first)) if is_float(owner.type.get_element_type()) else cast("int | bool", first.item())


def elements(value: SSAValue) -> tuple[int, ...] | None:
    """The elements of a small constant vector of integers."""
    owner = value.owner
    return owner.small_integer_elements() if isinstance(owner, ConstantOp) else None


def constant(array: Array) -> ConstantOp:
    """A constant small enough for the text (or a splat)."""
    return ConstantOp(constant_attribute(array, ResourceStore()))


def sizes(value: SSAValue) -> tuple[int, ...]:
    """The sizes in a tensor's type, `DYNAMIC_INDEX` for `?`."""
    return cast("TensorType[Attribute]", value.type).get_shape()


def static_sizes(value: SSAValue) -> tuple[int, ...] | None:
    """The sizes in a tensor's type where all are static."""
    shape = sizes(value)
    return None if DYNAMIC_INDEX in shape else shape


def keeps_shape(op: GraphOp, operand: SSAValue) -> bool:
    """Whether an op's result certainly has the type and the sizes of one of its operands."""
    if op.results[0].type != operand.type:
        return False
    operands = abstract_operands(op)
    index = next(position for position, candidate in enumerate(op.operands) if candidate is operand)
    return op.infer(operands)[0].shape == operands[index].shape


def forward(op: GraphOp, value: SSAValue, rewriter: PatternRewriter) -> None:
    """Replace an op by a value, where its users see no other type."""
    if value.type == op.results[0].type:
        rewriter.replace(op, (), (value,))


def replace(op: GraphOp, new: GraphOp | Sequence[GraphOp], rewriter: PatternRewriter) -> None:
    """Replace an op by new ones, the last giving its result with the same type; they take its location."""
    new_ops: Sequence[GraphOp] = (new,) if isinstance(new, GraphOp) else new
    declared = op.results[0].type
    result = new_ops[-1].results[0]
    if not compatible(declared, cast("TensorType[Attribute]", result.type)):
        for unused in reversed(new_ops):
            unused.erase()
        return
    for new_op in new_ops:
        new_op.location = op.location
    set_result_types(new_ops[-1], (declared,))
    rewriter.replace(op, cast("Sequence[Operation]", new_ops))
