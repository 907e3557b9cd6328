"""Reductions, positions of extremes, running sums and the softmax family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from xdsl.dialects.builtin import f64, i64
from xdsl.ir import SSAValue

from lamina.dialects.graph.types import is_boolean, is_float
from lamina.frontends.onnx.axes import axes_of, given_axes
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.data_movement import flattened
from lamina.frontends.onnx.node import Converter, Node, Versions

Combine: TypeAlias = "Callable[[OnnxBuilder, SSAValue, Sequence[int], bool], SSAValue]"
"""Reduces a value along axes, keeping them or not."""


def reduction(combine: Combine, before: Callable[[OnnxBuilder, SSAValue], SSAValue] | None = None) -> Converter:
    """A reduction over the axes that are given, or all; `before` is done to the elements even without axes."""

    def convert(node: Node, build: OnnxBuilder) -> SSAValue:
        value = node.operand(0)
        axes = given_axes(node, build, 1) or ()
        rank = build.rank(value)
        if not axes and node.flag("noop_with_empty_axes"):
            return value if before is None else combine(build, before(build, value), (), True)
        value = value if before is None else before(build, value)
        dimensions = axes_of(axes, rank) if axes else tuple(range(rank))
        return combine(build, value, sorted(dimensions), node.integer("keepdims", 1) != 0)

    return convert


def kind(name: str) -> Combine:
    """A reduction of the dialect; of booleans, maximum is or, minimum is and."""

    def combine(build: OnnxBuilder, value: SSAValue, dimensions: Sequence[int], keep: bool) -> SSAValue:
        chosen = BOOLEAN_KINDS.get(name, name) if is_boolean(build.element_type(value)) else name
        return build.reduce_axes(chosen, value, dimensions, keep=keep)

    return combine


BOOLEAN_KINDS: Mapping[str, str] = {"maximum": "or", "minimum": "and"}


def in_floats(combine: Combine) -> Combine:
    """A reduction that needs floats; integers are reduced in f64 and truncated."""

    def wide(build: OnnxBuilder, value: SSAValue, dimensions: Sequence[int], keep: bool) -> SSAValue:
        element_type = build.element_type(value)
        value = value if is_float(element_type) else build.cast(value, f64)
        return build.cast(combine(build, value, dimensions, keep), element_type)

    return wide


def then(combine: Combine, after: Callable[[OnnxBuilder, SSAValue], SSAValue]) -> Combine:
    """A reduction followed by a function of its result."""
    return lambda build, value, dimensions, keep: after(build, combine(build, value, dimensions, keep))


def mean(build: OnnxBuilder, value: SSAValue, dimensions: Sequence[int], keep: bool) -> SSAValue:
    if not dimensions:
        return value
    element_type = build.element_type(value)
    if is_float(element_type):
        return build.mean(value, dimensions, keep)
    count = build.element_count(value, dimensions, element_type)
    return build.divide(build.reduce("add", value, dimensions, keep), count)


def log_sum_exp(build: OnnxBuilder, value: SSAValue, dimensions: Sequence[int], keep: bool) -> SSAValue:
    """max + log(sum(exp(x - max))); an infinite maximum is not subtracted, since inf - inf is NaN."""
    largest = build.reduce_axes("maximum", value, dimensions)
    shift = build.select(build.is_inf(largest), 0, largest)
    total = build.reduce_axes("add", build.exp(build.subtract(value, shift)), dimensions, keep=keep)
    if not keep and dimensions:
        sizes = [size for axis, size in enumerate(build.sizes_of(shift)) if axis not in dimensions]
        shift = build.reshape_to(shift, sizes)
    return build.add(build.log(total), shift)


def square(build: OnnxBuilder, value: SSAValue) -> SSAValue:
    """The elements times themselves."""
    return build.multiply(value, value)


def arg_reduction(name: str) -> Converter:
    """The position of the first extreme, or the last one with `select_last_index`."""

    def convert(node: Node, build: OnnxBuilder) -> SSAValue:
        value = node.operand(0)
        axis = build.axis(value, node.integer("axis"))
        keep = node.integer("keepdims", 1) != 0
        return build.arg_reduce(name, value, axis, keep, node.integer("select_last_index", 0) != 0)

    return convert


def cumulative(name: str) -> Converter:
    """A running sum or product."""

    def convert(node: Node, build: OnnxBuilder) -> SSAValue:
        value = node.operand(0)
        (axis,) = build.require_integers(node.operand(1), "the axis")
        return build.cumulative(name, value, build.axis(value, axis), node.flag("exclusive"), node.flag("reverse"))

    return convert


def softmax_like(apply: Callable[[OnnxBuilder, SSAValue, int], SSAValue]) -> Versions:
    """A function along an axis; before opset 13, of the matrix with all axes from that one on as columns."""

    def along(node: Node, build: OnnxBuilder) -> SSAValue:
        value = node.operand(0)
        return apply(build, value, build.axis(value, node.integer("axis")))

    def of_matrix(node: Node, build: OnnxBuilder) -> SSAValue:
        value = node.operand(0)
        axis = build.axis(value, node.integer("axis"))
        if axis == build.rank(value) - 1:
            return apply(build, value, axis)
        return build.reshape_to(apply(build, flattened(build, value, axis), 1), build.sizes_of(value))

    return {1: of_matrix, 13: along}


def hardmax(build: OnnxBuilder, value: SSAValue, axis: int) -> SSAValue:
    """1 at the first largest element, 0 elsewhere."""
    first = build.arg_reduce("maximum", value, axis, True)
    positions = build.along_axis(build.positions([build.size(value, axis)], 0, i64), axis, build.rank(value))
    return build.cast(build.compare("EQ", positions, first), build.element_type(value))


def _absolute(build: OnnxBuilder, value: SSAValue) -> SSAValue:
    return build.abs(value)


SUM = kind("add")

REDUCTION: Mapping[str, Versions] = {
    "ArgMax": {1: arg_reduction("maximum")},
    "ArgMin": {1: arg_reduction("minimum")},
    "CumProd": {1: cumulative("multiply")},
    "CumSum": {1: cumulative("add")},
    "Hardmax": softmax_like(hardmax),
    "LogSoftmax": softmax_like(lambda build, value, axis: build.log_softmax(value, axis)),
    "ReduceL1": {1: reduction(SUM, _absolute)},
    "ReduceL2": {1: reduction(in_floats(then(SUM, lambda build, value: build.sqrt(value))), square)},
    "ReduceLogSum": {
        1: reduction(in_floats(then(SUM, lambda build, value: build.log(value))), lambda build, value: value)
    },
    "ReduceLogSumExp": {1: reduction(in_floats(log_sum_exp), lambda build, value: value)},
    "ReduceMax": {1: reduction(kind("maximum"))},
    "ReduceMean": {1: reduction(mean)},
    "ReduceMin": {1: reduction(kind("minimum"))},
    "ReduceProd": {1: reduction(kind("multiply"))},
    "ReduceSum": {1: reduction(SUM)},
    "ReduceSumSquare": {1: reduction(SUM, square)},
    "Softmax": softmax_like(lambda build, value, axis: build.softmax(value, axis)),
}
