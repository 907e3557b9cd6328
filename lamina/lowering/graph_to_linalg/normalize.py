"""Kernels before planning: what would need a case of its own becomes a composition of ops that have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import cast

import numpy as np
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.construction import accumulation_type
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.data_movement import PadOp, ReverseOp, TransposeOp
from lamina.dialects.graph.elementwise import CastOp
from lamina.dialects.graph.properties import integers
from lamina.dialects.graph.reduction import CumulativeOp, ReduceOp, ReduceWindowOp, identity_of
from lamina.dialects.graph.types import dtype_of
from lamina.dialects.hardware.gpu_target import reads_any_layout
from lamina.lowering.graph_to_linalg.emitter import Tensor, element_type_of
from lamina.resources import ResourceStore

PIECES, LONG_PIECE = 16, 256
"""Of a reduction of everything: parts that threads share evenly, and how long a part is at least."""

Rewrite = Callable[[Operation], Sequence[Operation]]
"""The ops that replace an op (the last one gives its result); none where it stays."""


def normalize(block: Block) -> None:
    """Rewrite the ops of a block until none of the rules applies; the new ops get the location of the old."""
    pending = [op for op in block.ops if op.name in REWRITES]
    while pending:
        op = pending.pop()
        replacement = REWRITES[op.name](op)
        if not replacement:
            continue
        for new in replacement:
            new.location = op.location
        Rewriter.insert_op(list(replacement), InsertPoint.before(op))
        op.results[0].replace_all_uses_with(replacement[-1].results[0])
        Rewriter.erase_op(op)
        pending += [new for new in replacement if new.name in REWRITES]


def _is_narrow(value: SSAValue) -> bool:
    element_type = element_type_of(value)
    return accumulation_type(element_type) != element_type


def _with_element_type(value: SSAValue, element_type: Attribute) -> Tensor:
    return TensorType(element_type, cast(Tensor, value.type).get_shape())


def _in_f32(op: Operation) -> Sequence[Operation]:
    """Sums and products of f16 and bf16 are formed in f32: cast, combine, cast back."""
    (operand,) = op.operands
    kind = op.properties["kind"]
    if not _is_narrow(operand) or getattr(kind, "data", None) not in ("add", "multiply"):
        return ()
    wide = CastOp(operand, f32)
    combined = type(op).create(
        operands=[wide.result],
        result_types=[_with_element_type(op.results[0], f32)],
        properties=op.properties,
    )
    return wide, combined, CastOp(combined.results[0], element_type_of(op.results[0]))


def _reduce(op: Operation) -> Sequence[Operation]:
    """A reduction of everything is one of rows, which run in parallel, and then one of their results."""
    assert isinstance(op, ReduceOp)
    narrow = _in_f32(op)
    shape = cast(Tensor, op.operand.type).get_shape()
    dimensions = op.dimensions.get_values()
    if narrow or any(shape[axis] != 1 for axis in range(len(shape)) if axis not in dimensions):
        return narrow
    outer = next((axis for axis in range(1, len(shape)) if prod(shape[:axis]) >= PIECES), len(shape))
    if min(shape, default=0) <= 0 or prod(shape[outer:]) < LONG_PIECE:
        return ()
    rows = ReduceOp(op.operand, op.kind.data, range(outer, len(shape)), True)
    rest = ReduceOp.create(operands=[rows.result], result_types=[op.result.type], properties=op.properties)
    return rows, rest


def _cumulative(op: Operation) -> Sequence[Operation]:
    """A reverse scan is a scan of the reversed operand, reversed."""
    assert isinstance(op, CumulativeOp)
    if op.reverse is None:
        return _in_f32(op)
    axis = op.dimension.value.data
    turned = ReverseOp(op.operand, (axis,))
    scan = CumulativeOp(turned.result, op.kind.data, axis, exclusive=op.exclusive is not None)
    return turned, scan, ReverseOp(scan.result, (axis,))


def _reduce_window(op: Operation) -> Sequence[Operation]:
    """Padding becomes a stored operand of its own, so that windows are read without tests."""
    assert isinstance(op, ReduceWindowOp)
    padding = op.padding.get_values()
    if not any(padding):
        return _in_f32(op)
    element_type = element_type_of(op.operand)
    identity = identity_of(op.kind.data, dtype_of(element_type))
    rank = len(padding) // 2
    value, padded = _padded(op.operand, identity, padding[::2], padding[1::2], (0,) * rank)
    windows = ReduceWindowOp.create(
        operands=[padded.result],
        result_types=[op.result.type],
        properties={**op.properties, "padding": integers((0,) * len(padding))},
    )
    return value, padded, windows


def _padded(
    operand: SSAValue, value: object, low: Sequence[int], high: Sequence[int], interior: Sequence[int]
) -> tuple[ConstantOp, PadOp]:
    scalar = np.asarray(value).astype(dtype_of(element_type_of(operand)))
    constant = ConstantOp.from_array(scalar, ResourceStore())
    return constant, PadOp(operand, constant.result, low, high, interior)


def _dot_general(op: Operation) -> Sequence[Operation]:
    """A product of f16 or bf16 is accumulated in f32; columns of the right operand are made contiguous."""
    assert isinstance(op, DotGeneralOp)
    if _is_narrow(op.result):
        wide = DotGeneralOp.create(
            operands=list(op.operands),
            result_types=[_with_element_type(op.result, f32)],
            properties={**op.properties, "element_type": f32},
        )
        return wide, CastOp(wide.result, element_type_of(op.result))
    batch, free, contracted = op.rhs_axes
    rank = len(batch) + len(free) + len(contracted)
    rows = [cast(Tensor, op.lhs.type).get_shape()[axis] for axis in op.lhs_axes[1]]
    # For a single row, rearranging costs as much as the product.
    if not free or free[-1] == rank - 1 or all(size == 1 for size in rows) or reads_any_layout(op):
        return ()
    turned = TransposeOp(op.rhs, (*batch, *contracted, *free))
    product = DotGeneralOp.create(
        operands=[op.lhs, turned.result],
        result_types=[op.result.type],
        properties={
            **op.properties,
            "rhs_batching_dimensions": integers(range(len(batch))),
            "rhs_contracting_dimensions": integers(range(len(batch), len(batch) + len(contracted))),
        },
    )
    return turned, product


def _convolution(op: Operation) -> Sequence[Operation]:
    """Padding and dilation of the input become a stored operand; f16 and bf16 are accumulated in f32."""
    assert isinstance(op, ConvolutionOp)
    order = op.input_order
    padding, dilation = op.padding.get_values(), op.lhs_dilation.get_values()
    if any(padding) or any(step > 1 for step in dilation):
        rank = len(order.permutation)
        low, high, interior = [0] * rank, [0] * rank, [0] * rank
        for number, axis in enumerate(order.spatial):
            low[axis], high[axis], interior[axis] = padding[2 * number], padding[2 * number + 1], dilation[number] - 1
        value, padded = _padded(op.lhs, 0, low, high, interior)
        ones = (1,) * len(dilation)
        plain = ConvolutionOp.create(
            operands=[padded.result, op.rhs],
            result_types=[op.result.type],
            properties={**op.properties, "padding": integers((0,) * len(padding)), "lhs_dilation": integers(ones)},
        )
        return value, padded, plain
    if not _is_narrow(op.result):
        return ()
    # The op has no property for its result's type: the declared f32 result says what is accumulated.
    wide = ConvolutionOp.create(
        operands=list(op.operands),
        result_types=[_with_element_type(op.result, f32)],
        properties=op.properties,
    )
    return wide, CastOp(wide.result, element_type_of(op.result))


REWRITES: Mapping[str, Rewrite] = {
    ReduceOp.name: _reduce,
    CumulativeOp.name: _cumulative,
    ReduceWindowOp.name: _reduce_window,
    DotGeneralOp.name: _dot_general,
    ConvolutionOp.name: _convolution,
}
