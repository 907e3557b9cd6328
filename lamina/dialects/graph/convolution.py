"""Convolution with any order of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.irdl.declarative_assembly_format import (
    AttributeVariable,
    CustomDirective,
    ParsingState,
    PrintingState,
    irdl_custom_directive,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, GraphOp, InferenceError
from lamina.dialects.graph.construction import (
    check_at_least,
    check_axes,
    check_equal_sizes,
    check_length,
    construct,
    unequal_pairs,
)
from lamina.dialects.graph.contraction import contraction_dtype
from lamina.dialects.graph.dims import Dim, maximum
from lamina.dialects.graph.properties import INTEGERS, TENSOR, Integers, integer, integers
from lamina.dialects.graph.reduction import window_output_size, windows
from lamina.dialects.graph.types import NUMBER


@dataclass(frozen=True)
class AxisOrder:
    """Which axis of a tensor plays which part.

    `first` and `second` are batch and feature of an input or output, output and input feature of a kernel.
    """

    first: int
    second: int
    spatial: tuple[int, ...]

    @property
    def permutation(self) -> tuple[int, ...]:
        """The axes in the order first, second, spatial."""
        return (self.first, self.second, *self.spatial)


def axis_order(first: int, second: int, rank: int) -> AxisOrder:
    """An order of axes whose spatial axes are all others, ascending; negative axes count from the end."""
    first, second = first % rank, second % rank
    return AxisOrder(first, second, tuple(axis for axis in range(rank) if axis not in (first, second)))


def axis_properties(input: AxisOrder, kernel: AxisOrder, output: AxisOrder) -> dict[str, Attribute]:
    """The nine properties of a convolution that say which axis plays which part."""
    return {
        "input_batch_dimension": integer(input.first),
        "input_feature_dimension": integer(input.second),
        "input_spatial_dimensions": integers(input.spatial),
        "kernel_output_feature_dimension": integer(kernel.first),
        "kernel_input_feature_dimension": integer(kernel.second),
        "kernel_spatial_dimensions": integers(kernel.spatial),
        "output_batch_dimension": integer(output.first),
        "output_feature_dimension": integer(output.second),
        "output_spatial_dimensions": integers(output.spatial),
    }


@irdl_custom_directive
class Axes(CustomDirective):
    """The order of a tensor's axes, `[b, 0, 1, f]`: letters for batch and features, numbers for the spatial axes."""

    first: AttributeVariable
    second: AttributeVariable
    spatial: AttributeVariable

    @property
    def letters(self) -> tuple[str, str]:
        return ("o", "i") if "kernel" in self.first.name else ("b", "f")

    def parse(self, parser: Parser, state: ParsingState) -> None:
        position = parser.pos
        parts = parser.parse_comma_separated_list(
            Parser.Delimiter.SQUARE, lambda: parser.parse_optional_integer() or parser.parse_optional_identifier() or 0
        )
        axes = {part: axis for axis, part in enumerate(parts)}
        spatial = range(len(parts) - 2)
        if len(axes) != len(parts) or set(axes) != {*self.letters, *spatial}:
            first, second = self.letters
            parser.raise_error(f"expected {first}, {second} and the numbers of the spatial axes", position, parser.pos)
        self.first.set(state, integer(axes[self.letters[0]]))
        self.second.set(state, integer(axes[self.letters[1]]))
        self.spatial.set(state, integers([axes[number] for number in spatial]))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        spatial = cast(Integers, self.spatial.get(op)).get_values()
        parts = {axis: str(number) for number, axis in enumerate(spatial)}
        for letter, attribute in zip(self.letters, (self.first, self.second), strict=True):
            parts[cast("IntegerAttr[I64]", attribute.get(op)).value.data] = letter
        state.print_whitespace(printer)
        printer.print_string(f"[{', '.join(parts[axis] for axis in sorted(parts))}]")


@irdl_op_definition
class ConvolutionOp(GraphOp):
    """A kernel slides over the spatial axes of an input (cross-correlation: the kernel is not flipped).

    Operands: the input with a batch, a feature and n spatial axes, and the kernel with an output feature, an input
    feature and n spatial axes, of one element type. Result: that element type, with a batch, a feature and n spatial
    axes.

    The input is first dilated (`lhs_dilation` - 1 zeros between neighbors: transposed convolution), then padded with
    zeros. Per spatial axis the output has (size + low + high - dilated kernel) // stride + 1 positions. With groups,
    output features are computed from the input features of their group only. Accumulation as in `dot_general`.

    Constraints:
    1. The element types are equal numbers, the ranks equal and at least 2.
    2. Each axis of input, kernel and output has one part.
    3. `window_strides`, `lhs_dilation`, `rhs_dilation` have n entries, each at least 1; `padding` has 2·n, none
       negative. No spatial axis of the kernel is of size 0.
    4. `feature_group_count` is at least 1 and divides the kernel's output features; input features = groups x the
       kernel's input features.

    ONNX Conv, ConvTranspose; StableHLO convolution (without batch_group_count and window_reversal).
    """

    name = "graph.convolution"
    lhs = operand_def(TENSOR)
    rhs = operand_def(TENSOR)
    window_strides = prop_def(INTEGERS)
    padding = prop_def(INTEGERS)
    lhs_dilation = prop_def(INTEGERS)
    rhs_dilation = prop_def(INTEGERS)
    feature_group_count = prop_def(IntegerAttr[I64])
    input_batch_dimension = prop_def(IntegerAttr[I64])
    input_feature_dimension = prop_def(IntegerAttr[I64])
    input_spatial_dimensions = prop_def(INTEGERS)
    kernel_input_feature_dimension = prop_def(IntegerAttr[I64])
    kernel_output_feature_dimension = prop_def(IntegerAttr[I64])
    kernel_spatial_dimensions = prop_def(INTEGERS)
    output_batch_dimension = prop_def(IntegerAttr[I64])
    output_feature_dimension = prop_def(IntegerAttr[I64])
    output_spatial_dimensions = prop_def(INTEGERS)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    custom_directives = (Axes,)
    assembly_format = (
        "$lhs `,` $rhs `,` "
        "custom<Axes>($input_batch_dimension, $input_feature_dimension, $input_spatial_dimensions) `x` "
        "custom<Axes>($kernel_output_feature_dimension, $kernel_input_feature_dimension, $kernel_spatial_dimensions) "
        "`->` custom<Axes>($output_batch_dimension, $output_feature_dimension, $output_spatial_dimensions) `,` "
        "`strides` `=` $window_strides `,` `padding` `=` $padding `,` `lhs_dilation` `=` $lhs_dilation `,` "
        "`rhs_dilation` `=` $rhs_dilation `,` `groups` `=` $feature_group_count "
        "attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(
        self,
        lhs: SSAValue | Operation,
        rhs: SSAValue | Operation,
        window_strides: Sequence[int],
        padding: Sequence[int] | None = None,
        lhs_dilation: Sequence[int] | None = None,
        rhs_dilation: Sequence[int] | None = None,
        feature_group_count: int = 1,
        input_order: AxisOrder | None = None,
        kernel_order: AxisOrder | None = None,
        output_order: AxisOrder | None = None,
    ):
        """Axis orders left out are ONNX's: batch or output feature first, feature second, then the spatial axes."""
        ones = (1,) * len(window_strides)
        orders = [order or axis_order(0, 1, len(ones) + 2) for order in (input_order, kernel_order, output_order)]
        properties: dict[str, Attribute] = {
            "window_strides": integers(window_strides),
            "padding": integers((0, 0) * len(ones) if padding is None else padding),
            "lhs_dilation": integers(ones if lhs_dilation is None else lhs_dilation),
            "rhs_dilation": integers(ones if rhs_dilation is None else rhs_dilation),
            "feature_group_count": integer(feature_group_count),
            **axis_properties(*orders),
        }
        construct(self, (lhs, rhs), properties)

    @property
    def input_order(self) -> AxisOrder:
        """The input's axes: batch, feature, spatial."""
        return _order(self.input_batch_dimension, self.input_feature_dimension, self.input_spatial_dimensions)

    @property
    def kernel_order(self) -> AxisOrder:
        """The kernel's axes: output feature, input feature, spatial."""
        return _order(
            self.kernel_output_feature_dimension, self.kernel_input_feature_dimension, self.kernel_spatial_dimensions
        )

    @property
    def output_order(self) -> AxisOrder:
        """The output's axes: batch, feature, spatial."""
        return _order(self.output_batch_dimension, self.output_feature_dimension, self.output_spatial_dimensions)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        lhs, rhs = operands
        rank = len(lhs.shape)
        self._check(lhs, rhs)
        groups = self.feature_group_count.value.data
        source, kernel, output = self.input_order, self.kernel_order, self.output_order
        features = rhs.shape[kernel.first]
        check_equal_sizes(self.name, "input features and kernel features of all groups", *self._feature_sizes(operands))
        if isinstance(features, int) and features % groups:
            raise InferenceError(
                f"{self.name}: expected output features divisible by {groups} groups, found {features}"
            )
        shape: list[Dim] = [0] * rank
        shape[output.first] = lhs.shape[source.first]
        shape[output.second] = features
        padding = self.padding.get_values()
        for number, (stride, dilation, spread) in enumerate(
            zip(
                self.window_strides.get_values(),
                self.rhs_dilation.get_values(),
                self.lhs_dilation.get_values(),
                strict=True,
            )
        ):
            size = dilated(lhs.shape[source.spatial[number]], spread)
            window = rhs.shape[kernel.spatial[number]]
            if window == 0:
                raise InferenceError(f"{self.name}: expected a non-empty kernel, found {list(rhs.shape)}")
            low, high = padding[2 * number], padding[2 * number + 1]
            shape[output.spatial[number]] = window_output_size(size, window, stride, dilation, low, high)
        return (AbstractTensor(tuple(shape), lhs.element_type),)

    def _check(self, lhs: AbstractTensor, rhs: AbstractTensor) -> None:
        rank = len(lhs.shape)
        if rank < 2 or len(rhs.shape) != rank:
            raise InferenceError(
                f"{self.name}: expected operands of equal rank, at least 2, found {rank} and {len(rhs.shape)}"
            )
        if lhs.element_type != rhs.element_type or not NUMBER.accepts(lhs.element_type):
            raise InferenceError(
                f"{self.name}: expected equal numeric element types, found {lhs.element_type} and {rhs.element_type}"
            )
        for what, order in (("input", self.input_order), ("kernel", self.kernel_order), ("output", self.output_order)):
            check_length(self.name, f"{what} axes", order.permutation, rank)
            check_axes(self.name, f"{what} axes", order.permutation, rank)
        for what, property_ in (
            ("window_strides", self.window_strides),
            ("lhs_dilation", self.lhs_dilation),
            ("rhs_dilation", self.rhs_dilation),
        ):
            check_length(self.name, what, property_.get_values(), rank - 2)
            check_at_least(self.name, what, property_.get_values(), 1)
        check_length(self.name, "padding", self.padding.get_values(), 2 * (rank - 2))
        check_at_least(self.name, "padding", self.padding.get_values(), 0)
        check_at_least(self.name, "feature_group_count", (self.feature_group_count.value.data,), 1)

    def _feature_sizes(self, operands: Sequence[AbstractTensor]) -> tuple[Dim, Dim]:
        lhs, rhs = operands
        groups = self.feature_group_count.value.data
        return lhs.shape[self.input_order.second], rhs.shape[self.kernel_order.second] * groups

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        return unequal_pairs([self._feature_sizes(operands)])

    def reference(self, *operands: Array) -> Array:
        lhs, rhs = operands
        dtype = contraction_dtype(lhs.dtype)
        groups = self.feature_group_count.value.data
        source = lhs.transpose(self.input_order.permutation).astype(dtype)
        kernel = rhs.transpose(self.kernel_order.permutation).astype(dtype)
        batch, features, *sizes = source.shape
        spread = self.lhs_dilation.get_values()
        padding = np.reshape(self.padding.get_values(), (len(sizes), 2))
        dilated_sizes = [max((size - 1) * step + 1, 0) for size, step in zip(sizes, spread, strict=True)]
        padded = np.zeros((batch, features, *np.add(dilated_sizes, padding.sum(1, dtype=int))), dtype)
        inner = tuple(
            slice(low, low + size, step) for low, size, step in zip(padding[:, 0], dilated_sizes, spread, strict=True)
        )
        padded[(slice(None), slice(None), *inner)] = source
        outputs, group_features, *taps = kernel.shape
        view = windows(
            padded,
            (1, 1, *taps),
            (1, 1, *self.window_strides.get_values()),
            (1, 1, *self.rhs_dilation.get_values()),
        )
        rank = len(sizes)
        positions = view.shape[2 : 2 + rank]
        # (groups, batch · positions, group features · taps) x (groups, group features · taps, group outputs)
        patches = view.reshape(batch, groups, group_features, *positions, *taps)
        patches = patches.transpose(1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
        patches = patches.reshape(groups, batch * math.prod(positions), group_features * math.prod(taps))
        weights = kernel.reshape(groups, outputs // groups, group_features * math.prod(taps)).transpose(0, 2, 1)
        result = np.matmul(patches, weights).reshape(groups, batch, *positions, outputs // groups)
        result = result.transpose(1, 0, 2 + rank, *range(2, 2 + rank)).reshape(batch, outputs, *positions)
        return result.transpose(np.argsort(self.output_order.permutation)).astype(lhs.dtype)


def dilated(size: Dim, dilation: int) -> Dim:
    """A size with `dilation` - 1 elements inserted between neighbors; 0 stays 0."""
    return size if dilation == 1 else maximum((size - 1) * dilation + 1, 0)


def _order(first: IntegerAttr[I64], second: IntegerAttr[I64], spatial: Integers) -> AxisOrder:
    return AxisOrder(first.value.data, second.value.data, spatial.get_values())


CONVOLUTION_OPS: tuple[type[GraphOp], ...] = (ConvolutionOp,)
