"""Reductions: whole axes, positions of extremes, running and windowed reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import (
    I64,
    DenseArrayBase,
    IntegerAttr,
    StringAttr,
    UnitAttr,
    i64,
)
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.pattern_rewriter import RewritePattern
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, Differentiability, GraphOp, InferenceError
from lamina.dialects.graph.construction import (
    check_at_least,
    check_axes,
    check_length,
    construct,
    flag,
    without_axes,
)
from lamina.dialects.graph.dims import Dim, maximum
from lamina.dialects.graph.properties import INTEGERS, TENSOR, Keyword, integer, integers
from lamina.dialects.graph.types import BFLOAT16, FLOAT16, INTEGER_OR_BOOLEAN, NUMBER, ElementKind


@dataclass(frozen=True)
class Kind:
    """A way to combine two elements: its NumPy function, its identity, and what it applies to."""

    combine: np.ufunc
    identity: Callable[[np.dtype[Any]], Any]
    elements: ElementKind = NUMBER


def _lowest(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def _highest(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.inf


def _all_ones(dtype: np.dtype[Any]) -> Any:
    return True if dtype.kind == "b" else ~np.zeros((), dtype)


KINDS: Mapping[str, Kind] = {
    "add": Kind(np.add, lambda dtype: 0),
    "multiply": Kind(np.multiply, lambda dtype: 1),
    "maximum": Kind(np.maximum, _lowest),
    "minimum": Kind(np.minimum, _highest),
    "and": Kind(np.bitwise_and, _all_ones, INTEGER_OR_BOOLEAN),
    "or": Kind(np.bitwise_or, lambda dtype: 0, INTEGER_OR_BOOLEAN),
}


def identity_of(kind: str, dtype: np.dtype[Any]) -> Any:
    """The value that leaves others unchanged: 0, 1, ∓inf (floats) or the extreme integer, all ones."""
    return np.asarray(KINDS[kind].identity(dtype)).astype(dtype)[()]


def accumulation_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that sums are formed in: float32 for float16 and bfloat16, else the dtype itself."""
    return np.dtype(np.float32) if dtype in (FLOAT16, BFLOAT16) else dtype


def check_kind(name: str, kind: str, element_type: Attribute, allowed: Mapping[str, Kind] = KINDS) -> None:
    """A known kind that applies to the element type; raises InferenceError."""
    if kind not in allowed:
        raise InferenceError(f"{name}: kind: expected one of {', '.join(allowed)}, found {kind}")
    if not allowed[kind].elements.accepts(element_type):
        raise InferenceError(f"{name}: {kind}: expected {allowed[kind].elements.description}, found {element_type}")


def window_output_size(size: Dim, window: Dim, stride: int, dilation: int, low: int, high: int) -> Dim:
    """The number of positions of a dilated window: (size + padding - window) // stride + 1, and 0 where none fits."""
    count = (size + low + high - ((window - 1) * dilation + 1)) // stride + 1
    return maximum(count, 0)


def windows(padded: Array, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """A view of all windows of an array: the positions' axes, then the windows' axes."""
    extents = [(size - 1) * dilation + 1 for size, dilation in zip(sizes, dilations, strict=True)]
    rank = padded.ndim
    if any(extent > size for extent, size in zip(extents, padded.shape, strict=True)):
        counts = [
            max((size - extent) // stride + 1, 0)
            for size, extent, stride in zip(padded.shape, extents, strides, strict=True)
        ]
        return np.zeros((*counts, *sizes), padded.dtype)
    view = np.lib.stride_tricks.sliding_window_view(padded, extents)
    positions = tuple(slice(None, None, stride) for stride in strides)
    taps = tuple(slice(None, None, dilation) for dilation in dilations)
    return view[positions + taps] if rank else view


@irdl_op_definition
class ReduceOp(GraphOp, HasCanonicalizationPatternsInterface):
    """Combine all elements along some axes.

    Operand: a tensor of any shape; numbers for add, multiply, maximum, minimum, integers or i1 for and, or. Result: the
    same element type, the axes `dimensions` dropped, or of size 1 with `keep_dimensions`.

    Sums and products of f16 and bf16 are formed in f32 and rounded once; integers wrap around; the order of a
    floating-point reduction is not fixed. maximum and minimum propagate NaN. Nothing to combine gives the identity:
    0, 1, -inf or the smallest integer, +inf or the largest, all ones, 0.

    Constraints:
    1. `kind` is one of add, multiply, maximum, minimum, and, or, and applies to the element type.
    2. `dimensions` are distinct and within [0, rank).

    ONNX ReduceSum, ReduceProd, ReduceMax, ReduceMin; StableHLO reduce.
    """

    name = "graph.reduce"
    operand = operand_def(TENSOR)
    kind = prop_def(StringAttr)
    dimensions = prop_def(INTEGERS)
    keep_dimensions = opt_prop_def(UnitAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    custom_directives = (Keyword,)
    assembly_format = (
        "custom<Keyword>($kind) $operand `,` $dimensions (`keep_dimensions` $keep_dimensions^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        kind: str,
        dimensions: Sequence[int],
        keep_dimensions: bool = False,
    ):
        properties = {
            "kind": StringAttr(kind),
            "dimensions": integers(dimensions),
            "keep_dimensions": flag(keep_dimensions),
        }
        construct(self, (operand,), properties)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        dimensions = self.dimensions.get_values()
        check_kind(self.name, self.kind.data, operand.element_type)
        check_axes(self.name, "dimensions", dimensions, len(operand.shape))
        shape = without_axes(operand.shape, dimensions, keep=self.keep_dimensions is not None)
        return (AbstractTensor(shape, operand.element_type),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        wide = operand.astype(accumulation_dtype(operand.dtype))
        reduced = KINDS[self.kind.data].combine.reduce(
            wide,
            axis=tuple(self.dimensions.get_values()),
            keepdims=self.keep_dimensions is not None,
            dtype=wide.dtype,
            initial=identity_of(self.kind.data, wide.dtype),
        )
        return np.asarray(reduced).astype(operand.dtype)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.reduction import MergeReductions, ReduceOfUnitAxes

        return (ReduceOfUnitAxes(), MergeReductions())


EXTREMES: Mapping[str, Callable[..., Any]] = {"maximum": np.argmax, "minimum": np.argmin}


@irdl_op_definition
class ArgReduceOp(GraphOp):
    """The position of the largest or smallest element along an axis.

    Operand: a tensor of numbers. Result: i64, the axis dropped, or of size 1 with `keep_dimensions`.

    Of several equal extremes the first one, with `select_last` the last one; NaN counts as the extreme, as in NumPy.
    Where a symbolic size turns out to be 0, the position is 0.

    Constraints:
    1. `kind` is maximum or minimum; the elements are numbers.
    2. `dimension` is within [0, rank); its size is not known to be 0.

    ONNX ArgMax, ArgMin; StableHLO has no counterpart (a variadic reduce).
    """

    name = "graph.arg_reduce"
    DIFFERENTIABILITY: ClassVar = Differentiability.INTEGER_VALUED
    operand = operand_def(TENSOR)
    kind = prop_def(StringAttr)
    dimension = prop_def(IntegerAttr[I64])
    keep_dimensions = opt_prop_def(UnitAttr)
    select_last = opt_prop_def(UnitAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    custom_directives = (Keyword,)
    assembly_format = (
        "custom<Keyword>($kind) $operand `,` $dimension (`keep_dimensions` $keep_dimensions^)? "
        "(`select_last` $select_last^)? attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        kind: str,
        dimension: int,
        keep_dimensions: bool = False,
        select_last: bool = False,
    ):
        properties = {
            "kind": StringAttr(kind),
            "dimension": integer(dimension),
            "keep_dimensions": flag(keep_dimensions),
            "select_last": flag(select_last),
        }
        construct(self, (operand,), properties)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        dimension = self.dimension.value.data
        check_kind(self.name, self.kind.data, operand.element_type, {kind: KINDS[kind] for kind in EXTREMES})
        check_axes(self.name, "dimension", (dimension,), len(operand.shape))
        if operand.shape[dimension] == 0:
            raise InferenceError(f"{self.name}: dimension: expected a non-empty axis, found size 0")
        shape = without_axes(operand.shape, (dimension,), keep=self.keep_dimensions is not None)
        return (AbstractTensor(shape, i64),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        axis = self.dimension.value.data
        keep = self.keep_dimensions is not None
        size = operand.shape[axis]
        # Exact, and NumPy's functions know no NaN of bfloat16.
        wide = np.asarray(operand.astype(accumulation_dtype(operand.dtype)))
        if not size:
            # The shape of any reduction; the sum of nothing is 0 as the position is.
            return np.asarray(np.sum(wide, axis=axis, keepdims=keep)).astype(np.int64)
        find = EXTREMES[self.kind.data]
        if self.select_last is None:
            return np.asarray(find(wide, axis=axis, keepdims=keep), np.int64)
        return np.asarray(size - 1 - find(np.flip(wide, axis), axis=axis, keepdims=keep), np.int64)


@irdl_op_definition
class CumulativeOp(GraphOp):
    """Running reduction along an axis: element i combines the elements up to i.

    Operand and result: the same type; kinds and accumulation as in `reduce` (f16 and bf16 are carried along in f32).
    `exclusive` leaves element i itself out (the first is the identity), `reverse` runs from the end.

    Constraints:
    1. `kind` as in `reduce`.
    2. `dimension` is within [0, rank).

    ONNX CumSum; StableHLO has no counterpart (a reduce_window).
    """

    name = "graph.cumulative"
    operand = operand_def(TENSOR)
    kind = prop_def(StringAttr)
    dimension = prop_def(IntegerAttr[I64])
    exclusive = opt_prop_def(UnitAttr)
    reverse = opt_prop_def(UnitAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    custom_directives = (Keyword,)
    assembly_format = (
        "custom<Keyword>($kind) $operand `,` $dimension (`exclusive` $exclusive^)? (`reverse` $reverse^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        kind: str,
        dimension: int,
        exclusive: bool = False,
        reverse: bool = False,
    ):
        properties = {
            "kind": StringAttr(kind),
            "dimension": integer(dimension),
            "exclusive": flag(exclusive),
            "reverse": flag(reverse),
        }
        construct(self, (operand,), properties)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        check_kind(self.name, self.kind.data, operand.element_type)
        check_axes(self.name, "dimension", (self.dimension.value.data,), len(operand.shape))
        return (AbstractTensor(operand.shape, operand.element_type),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        axis = self.dimension.value.data
        wide = operand.astype(accumulation_dtype(operand.dtype))
        if self.reverse is not None:
            wide = np.flip(wide, axis)
        if self.exclusive is not None:
            shifted = np.full_like(wide, identity_of(self.kind.data, wide.dtype))
            np.moveaxis(shifted, axis, 0)[1:] = np.moveaxis(wide, axis, 0)[:-1]
            wide = shifted
        running = np.asarray(KINDS[self.kind.data].combine.accumulate(wide, axis=axis, dtype=wide.dtype))
        if self.reverse is not None:
            running = np.flip(running, axis)
        return running.astype(operand.dtype)


@irdl_op_definition
class ReduceWindowOp(GraphOp):
    """Combine the elements of a window that slides over all axes.

    Operand: a tensor of numbers or booleans, rank r. Result: the same element type; per axis
    (size + low + high - dilated window) // stride + 1 positions, where the dilated window is
    (window - 1) * dilation + 1, and none where the window does not fit. Padding reads as the kind's identity; kinds
    and accumulation as in `reduce`.

    Constraints:
    1. `kind` as in `reduce`.
    2. `window_dimensions`, `window_strides`, `window_dilations` have r entries, each at least 1.
    3. `padding` has 2·r entries, low and high for each axis, none negative.

    ONNX MaxPool, and AveragePool with a division; StableHLO reduce_window.
    """

    name = "graph.reduce_window"
    operand = operand_def(TENSOR)
    kind = prop_def(StringAttr)
    window_dimensions = prop_def(INTEGERS)
    window_strides = prop_def(INTEGERS)
    window_dilations = prop_def(INTEGERS)
    padding = prop_def(INTEGERS)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    custom_directives = (Keyword,)
    assembly_format = (
        "custom<Keyword>($kind) $operand `,` `window` `=` $window_dimensions `,` `strides` `=` $window_strides `,` "
        "`dilations` `=` $window_dilations `,` `padding` `=` $padding attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        kind: str,
        window_dimensions: Sequence[int],
        window_strides: Sequence[int] | None = None,
        window_dilations: Sequence[int] | None = None,
        padding: Sequence[int] | None = None,
    ):
        ones = (1,) * len(window_dimensions)
        properties = {
            "kind": StringAttr(kind),
            "window_dimensions": integers(window_dimensions),
            "window_strides": integers(ones if window_strides is None else window_strides),
            "window_dilations": integers(ones if window_dilations is None else window_dilations),
            "padding": integers((0, 0) * len(ones) if padding is None else padding),
        }
        construct(self, (operand,), properties)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        rank = len(operand.shape)
        check_kind(self.name, self.kind.data, operand.element_type)
        for what in ("window_dimensions", "window_strides", "window_dilations"):
            values = _values(self, what)
            check_length(self.name, what, values, rank)
            check_at_least(self.name, what, values, 1)
        padding = self.padding.get_values()
        check_length(self.name, "padding", padding, 2 * rank)
        check_at_least(self.name, "padding", padding, 0)
        shape = tuple(
            window_output_size(size, window, stride, dilation, padding[2 * axis], padding[2 * axis + 1])
            for axis, (size, window, stride, dilation) in enumerate(
                zip(
                    operand.shape,
                    self.window_dimensions.get_values(),
                    self.window_strides.get_values(),
                    self.window_dilations.get_values(),
                    strict=True,
                )
            )
        )
        return (AbstractTensor(shape, operand.element_type),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        rank = operand.ndim
        wide = operand.astype(accumulation_dtype(operand.dtype))
        identity = identity_of(self.kind.data, wide.dtype)
        padding = np.reshape(self.padding.get_values(), (rank, 2))
        padded = np.pad(wide, padding, constant_values=identity) if rank else wide
        view = windows(
            padded,
            self.window_dimensions.get_values(),
            self.window_strides.get_values(),
            self.window_dilations.get_values(),
        )
        reduced = KINDS[self.kind.data].combine.reduce(
            view, axis=tuple(range(rank, 2 * rank)), dtype=wide.dtype, initial=identity
        )
        return np.asarray(reduced).astype(operand.dtype)


def _values(op: GraphOp, name: str) -> tuple[int, ...]:
    attribute = op.properties[name]
    assert isinstance(attribute, DenseArrayBase)
    return tuple(int(value) for value in attribute.get_values())


REDUCTION_OPS: tuple[type[GraphOp], ...] = (ReduceOp, ArgReduceOp, CumulativeOp, ReduceWindowOp)
