"""Composites: named functions with a decomposition into primitives, kept for readability and specialized kernels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr, StringAttr, UnitAttr, f64
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.pattern_rewriter import RewritePattern
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, Differentiability, GraphOp, InferenceError
from lamina.dialects.graph.construction import check_axes, check_equal_sizes, construct, flag, without_axes
from lamina.dialects.graph.dims import Dim, Shape
from lamina.dialects.graph.properties import INTEGERS, TENSOR, Keyword, integer, integers
from lamina.dialects.graph.types import ANY, FLOAT, NUMBER, ElementKind

if TYPE_CHECKING:
    from lamina.dialects.graph.builder import GraphBuilder

Doubles = npt.NDArray[np.float64]


class CompositeOp(GraphOp, ABC):
    """An op that is defined by primitives. f16 and bf16 are computed in f32 and rounded once, at the end."""

    DIFFERENTIABILITY: ClassVar = Differentiability.BY_DECOMPOSITION
    IS_KERNEL: ClassVar[bool] = False
    """Whether a kernel of the op alone is lowered as a whole."""

    @abstractmethod
    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        """Build the same function of the operands from primitives (and other composites); gives the results."""


def check_element_kind(name: str, what: str, kind: ElementKind, element_type: Attribute) -> None:
    """An element type of a kind; raises InferenceError."""
    if not kind.accepts(element_type):
        raise InferenceError(f"{name}: {what}: expected {kind.description}, found {element_type}")


class Activation(CompositeOp, ABC):
    """A function of each element; the result has the operand's type."""

    ELEMENTS: ClassVar[ElementKind] = FLOAT

    operand = operand_def(TENSOR)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue | Operation):
        construct(self, (operand,), {})

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        check_element_kind(self.name, "operand", self.ELEMENTS, operand.element_type)
        return (AbstractTensor(operand.shape, operand.element_type),)


@irdl_op_definition
class ReluOp(Activation, HasCanonicalizationPatternsInterface):
    """max(x, 0); NaN gives NaN.

    Operand and result: floats or integers of any shape.

    Constraints:
    1. The elements are numbers.

    ONNX Relu; in StableHLO a maximum.
    """

    name = "graph.relu"
    ELEMENTS: ClassVar[ElementKind] = NUMBER

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        return (builder.maximum(self.operand, 0),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        return np.maximum(operand, np.zeros((), operand.dtype))

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.composite import ReluOfRelu

        return (ReluOfRelu(),)


@irdl_op_definition
class StopGradientOp(Activation):
    """The operand, which counts as a constant when the function is differentiated.

    Operand and result: any tensor. Removed by `remove-gradient-stops` when compilation starts.

    JAX stop_gradient, PyTorch detach; StableHLO has no counterpart.
    """

    name = "graph.stop_gradient"
    ELEMENTS: ClassVar[ElementKind] = ANY
    DIFFERENTIABILITY: ClassVar = Differentiability.STOPPED

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        return (self.operand,)

    def reference(self, *operands: Array) -> Array:
        return operands[0]


SQRT_HALF = math.sqrt(0.5)
SQRT_TWO_OVER_PI = math.sqrt(2 / math.pi)
TANH_CUBIC = 0.044715
APPROXIMATIONS = ("none", "tanh")


def _erfc(x: Doubles) -> Doubles:
    return np.asarray(np.frompyfunc(math.erfc, 1, 1)(x), np.float64)


@irdl_op_definition
class GeluOp(Activation):
    """Gaussian error linear unit: x · Φ(x) with the normal distribution function Φ(x) = (1 + erf(x / √2)) / 2.

    With `approximate` = tanh: x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2. Hendrycks and Gimpel, "Gaussian Error
    Linear Units", 2016.

    Operand and result: floats of any shape. -inf gives NaN (-inf · 0).

    Constraints:
    1. `approximate` is none or tanh.
    2. The elements are floats.

    ONNX Gelu; StableHLO has no counterpart.
    """

    name = "graph.gelu"
    approximate = prop_def(StringAttr, default_value=StringAttr("none"))
    custom_directives = (Keyword,)
    assembly_format = (
        "$operand (`approximate` `=` custom<Keyword>($approximate)^)? attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(self, operand: SSAValue | Operation, approximate: str = "none"):
        construct(self, (operand,), {"approximate": StringAttr(approximate)})

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        if self.approximate.data not in APPROXIMATIONS:
            raise InferenceError(
                f"{self.name}: approximate: expected one of {', '.join(APPROXIMATIONS)}, found {self.approximate.data}"
            )
        return super().infer(operands)

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        x = builder.widen(self.operand)
        if self.approximate.data == "tanh":
            # (1 + tanh z) / 2 = 1 / (1 + exp(-2z)), without its cancellation
            factor = builder.multiply(builder.multiply(x, x), 2 * SQRT_TWO_OVER_PI * TANH_CUBIC)
            twice = builder.multiply(x, builder.add(factor, 2 * SQRT_TWO_OVER_PI))
            result = builder.multiply(x, builder.logistic(twice))
        else:
            inner = builder.erf(builder.multiply(x, SQRT_HALF))
            result = builder.multiply(builder.multiply(x, 0.5), builder.add(inner, 1.0))
        return (builder.cast(result, builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        x = operand.astype(np.float64)
        if self.approximate.data == "tanh":
            result = x / (1 + np.exp(-2 * SQRT_TWO_OVER_PI * (x + TANH_CUBIC * x**3)))
        else:
            result = x * _erfc(-x * SQRT_HALF) / 2
        return result.astype(operand.dtype)


@irdl_op_definition
class SiluOp(Activation):
    """Sigmoid linear unit, also called swish: x / (1 + exp(-x)).

    Operand and result: floats of any shape. -inf gives NaN (-inf · 0).

    Constraints:
    1. The elements are floats.

    ONNX Swish; StableHLO has no counterpart.
    """

    name = "graph.silu"

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        x = builder.widen(self.operand)
        return (builder.cast(builder.multiply(x, builder.logistic(x)), builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        x = operand.astype(np.float64)
        return (x / (1 + np.exp(-x))).astype(operand.dtype)


class AlongAxis(CompositeOp, ABC):
    """A function of all elements along one axis; the result has the operand's type."""

    operand = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = "$operand `,` $dimension attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue | Operation, dimension: int):
        construct(self, (operand,), {"dimension": integer(dimension)})

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        check_element_kind(self.name, "operand", FLOAT, operand.element_type)
        check_axes(self.name, "dimension", (self.dimension.value.data,), len(operand.shape))
        return (AbstractTensor(operand.shape, operand.element_type),)

    def shifted(self, builder: GraphBuilder) -> SSAValue:
        """The elements minus the largest along the axis, so that no exponential overflows."""
        x = builder.widen(self.operand)
        return builder.subtract(x, builder.reduce("maximum", x, (self.dimension.value.data,), True))

    def exponentials(self, operand: Array) -> tuple[Doubles, Doubles, Doubles]:
        """In NumPy: the shifted elements, their exponentials, and the sum of these."""
        axis = self.dimension.value.data
        x = operand.astype(np.float64)
        shifted = x - np.max(x, axis, keepdims=True, initial=-np.inf)
        exponentials = np.exp(shifted)
        return shifted, exponentials, exponentials.sum(axis, keepdims=True)


@irdl_op_definition
class SoftmaxOp(AlongAxis):
    """exp(x - max(x)) / sum(exp(x - max(x))) along an axis.

    Operand and result: floats of any shape. A row of -inf only, or one with +inf or NaN, gives NaN.

    Constraints:
    1. The elements are floats.
    2. `dimension` is within [0, rank).

    ONNX Softmax (opset 13 and later); StableHLO has no counterpart.
    """

    name = "graph.softmax"

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        exponentials = builder.exp(self.shifted(builder))
        total = builder.reduce("add", exponentials, (self.dimension.value.data,), True)
        # One division for a row: the total is at least 1, so its reciprocal is as accurate as any.
        weights = builder.multiply(exponentials, builder.divide(1.0, total))
        return (builder.cast(weights, builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        _, exponentials, total = self.exponentials(operands[0])
        return (exponentials / total).astype(operands[0].dtype)


@irdl_op_definition
class LogSoftmaxOp(AlongAxis):
    """x - max(x) - log(sum(exp(x - max(x)))) along an axis.

    Operand and result: floats of any shape; special values as in `softmax`.

    Constraints:
    1. The elements are floats.
    2. `dimension` is within [0, rank).

    ONNX LogSoftmax (opset 13 and later); StableHLO has no counterpart.
    """

    name = "graph.log_softmax"

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        shifted = self.shifted(builder)
        total = builder.reduce("add", builder.exp(shifted), (self.dimension.value.data,), True)
        return (builder.cast(builder.subtract(shifted, builder.log(total)), builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        shifted, _, total = self.exponentials(operands[0])
        return (shifted - np.log(total)).astype(operands[0].dtype)


@irdl_op_definition
class MeanOp(CompositeOp, HasCanonicalizationPatternsInterface):
    """The arithmetic mean along some axes; NaN where there is nothing to average.

    Operand: floats of any shape. Result: the same element type, the axes dropped, or of size 1 with `keep_dimensions`.

    Constraints:
    1. The elements are floats.
    2. `dimensions` are distinct and within [0, rank).

    ONNX ReduceMean, GlobalAveragePool; StableHLO has no counterpart.
    """

    name = "graph.mean"
    operand = operand_def(TENSOR)
    dimensions = prop_def(INTEGERS)
    keep_dimensions = opt_prop_def(UnitAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$operand `,` $dimensions (`keep_dimensions` $keep_dimensions^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )

    def __init__(self, operand: SSAValue | Operation, dimensions: Sequence[int], keep_dimensions: bool = False):
        properties = {"dimensions": integers(dimensions), "keep_dimensions": flag(keep_dimensions)}
        construct(self, (operand,), properties)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        dimensions = self.dimensions.get_values()
        check_element_kind(self.name, "operand", FLOAT, operand.element_type)
        check_axes(self.name, "dimensions", dimensions, len(operand.shape))
        shape = without_axes(operand.shape, dimensions, keep=self.keep_dimensions is not None)
        return (AbstractTensor(shape, operand.element_type),)

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        mean = average(
            builder, builder.widen(self.operand), self.dimensions.get_values(), self.keep_dimensions is not None
        )
        return (builder.cast(mean, builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        mean = mean_in_f64(operand, self.dimensions.get_values(), self.keep_dimensions is not None)
        return mean.astype(operand.dtype)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.reduction import MeanOfUnitAxes

        return (MeanOfUnitAxes(),)


def mean_in_f64(operand: Array, axes: Sequence[int], keep_dimensions: bool = True) -> Doubles:
    """In NumPy: the mean along some axes, NaN of nothing."""
    total = np.sum(operand, axis=tuple(axes), keepdims=keep_dimensions, dtype=np.float64)
    return np.asarray(np.divide(total, math.prod(operand.shape[axis] for axis in axes)))


def average(builder: GraphBuilder, x: SSAValue, dimensions: Sequence[int], keep_dimensions: bool) -> SSAValue:
    """The sum along some axes over their number of elements."""
    total = builder.reduce("add", x, dimensions, keep_dimensions)
    return builder.divide(total, builder.element_count(x, dimensions, builder.element_type(x)))


class TrailingNorm(CompositeOp, ABC):
    """A normalization over the trailing axes of an operand, from `axis` on.

    Subclasses declare all operands: xDSL puts those of a base class last.
    """

    axis = prop_def(IntegerAttr[I64])
    epsilon = prop_def(FloatAttr[Float64Type])
    result = result_def(TENSOR)
    traits = traits_def(Pure())

    def _parameter_pairs(self, operands: Sequence[AbstractTensor]) -> list[tuple[Dim, Dim]]:
        """Sizes of the parameters that have to equal the operand's, aligned at the end; those of size 1 stretch."""
        normalized = operands[0].shape[self.axis.value.data :]
        return [
            (size, expected)
            for parameter in operands[1:]
            for size, expected in zip(reversed(parameter.shape), reversed(normalized), strict=False)
            if size != 1
        ]

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, *parameters = operands
        check_element_kind(self.name, "operand", FLOAT, operand.element_type)
        check_axes(self.name, "axis", (self.axis.value.data,), len(operand.shape))
        check_parameters(self.name, operand, parameters, len(operand.shape) - self.axis.value.data)
        for size, expected in self._parameter_pairs(operands):
            check_equal_sizes(self.name, "parameter", expected, size)
        return (AbstractTensor(operand.shape, operand.element_type),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        return [pair for pair in self._parameter_pairs(operands) if pair[0] != pair[1]]

    def normalized_axes(self, rank: int) -> range:
        """The axes that statistics are taken over."""
        return range(self.axis.value.data, rank)


def check_parameters(name: str, operand: AbstractTensor, parameters: Sequence[AbstractTensor], most_axes: int) -> None:
    """Parameters of the operand's element type and of no more axes than expected; raises InferenceError."""
    for parameter in parameters:
        if parameter.element_type != operand.element_type or len(parameter.shape) > most_axes:
            raise InferenceError(
                f"{name}: parameter: expected {operand.element_type} with at most {most_axes} axes, "
                f"found {parameter.type}"
            )


@irdl_op_definition
class LayerNormOp(TrailingNorm):
    """(x - mean(x)) / √(variance(x) + epsilon) · scale + bias, over the axes from `axis` on.

    The variance is the mean of the squared deviations. Ba, Kiros and Hinton, "Layer Normalization", 2016.

    Operands: x, floats of any shape; scale and bias of its element type, broadcast to its shape from `axis` on. Result:
    x's type.

    Constraints:
    1. The element types are one float type.
    2. `axis` is within [0, rank).
    3. scale and bias have at most rank - axis axes, each of size 1 or x's.

    ONNX LayerNormalization; StableHLO has no counterpart.
    """

    name = "graph.layer_norm"
    operand = operand_def(TENSOR)
    scale = operand_def(TENSOR)
    bias = operand_def(TENSOR)
    assembly_format = (
        "$operand `,` $scale `,` $bias `,` `axis` `=` $axis `,` `epsilon` `=` $epsilon attr-dict "
        "`:` type($operand) `,` type($scale) `,` type($bias) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        scale: SSAValue | Operation,
        bias: SSAValue | Operation,
        axis: int,
        epsilon: float = 1e-5,
    ):
        construct(self, (operand, scale, bias), {"axis": integer(axis), "epsilon": FloatAttr(epsilon, f64)})

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        x, scale, bias = (builder.widen(operand) for operand in self.operands)
        axes = self.normalized_axes(builder.rank(x))
        centered = builder.subtract(x, average(builder, x, axes, True))
        variance = average(builder, builder.multiply(centered, centered), axes, True)
        normal = builder.multiply(centered, builder.rsqrt(builder.add(variance, self.epsilon.value.data)))
        result = builder.add(builder.multiply(normal, scale), bias)
        return (builder.cast(result, builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        x, scale, bias = (operand.astype(np.float64) for operand in operands)
        axes = self.normalized_axes(x.ndim)
        centered = x - mean_in_f64(x, axes)
        deviation = np.sqrt(mean_in_f64(centered * centered, axes) + self.epsilon.value.data)
        return (centered / deviation * scale + bias).astype(operands[0].dtype)


@irdl_op_definition
class RmsNormOp(TrailingNorm):
    """x / √(mean(x²) + epsilon) · scale, over the axes from `axis` on.

    Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.

    Operands: x, floats of any shape; scale of its element type, broadcast to its shape from `axis` on. Result: x's
    type.

    Constraints:
    1. The element types are one float type.
    2. `axis` is within [0, rank).
    3. scale has at most rank - axis axes, each of size 1 or x's.

    ONNX RMSNormalization; StableHLO has no counterpart.
    """

    name = "graph.rms_norm"
    operand = operand_def(TENSOR)
    scale = operand_def(TENSOR)
    assembly_format = (
        "$operand `,` $scale `,` `axis` `=` $axis `,` `epsilon` `=` $epsilon attr-dict "
        "`:` type($operand) `,` type($scale) `->` type($result)"
    )

    def __init__(self, operand: SSAValue | Operation, scale: SSAValue | Operation, axis: int, epsilon: float = 1e-5):
        construct(self, (operand, scale), {"axis": integer(axis), "epsilon": FloatAttr(epsilon, f64)})

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        x, scale = (builder.widen(operand) for operand in self.operands)
        square = average(builder, builder.multiply(x, x), self.normalized_axes(builder.rank(x)), True)
        normal = builder.multiply(x, builder.rsqrt(builder.add(square, self.epsilon.value.data)))
        return (builder.cast(builder.multiply(normal, scale), builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        x, scale = (operand.astype(np.float64) for operand in operands)
        square = mean_in_f64(x * x, self.normalized_axes(x.ndim))
        return (x / np.sqrt(square + self.epsilon.value.data) * scale).astype(operands[0].dtype)


@irdl_op_definition
class BatchNormOp(CompositeOp):
    """(x - mean) / √(variance + epsilon) · scale + bias with given statistics per feature: inference.

    Ioffe and Szegedy, "Batch Normalization", 2015.

    Operands: x, floats with the features along `dimension`; scale, bias, mean and variance, one number per feature, of
    its element type. Result: x's type.

    Constraints:
    1. The element types are one float type.
    2. `dimension` is within [0, rank).
    3. scale, bias, mean and variance have one axis, of the size of x's `dimension`.

    ONNX BatchNormalization; StableHLO batch_norm_inference.
    """

    name = "graph.batch_norm"
    operand = operand_def(TENSOR)
    scale = operand_def(TENSOR)
    bias = operand_def(TENSOR)
    mean = operand_def(TENSOR)
    variance = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    epsilon = prop_def(FloatAttr[Float64Type])
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$operand `,` $scale `,` $bias `,` $mean `,` $variance `,` `dimension` `=` $dimension `,` "
        "`epsilon` `=` $epsilon attr-dict "
        "`:` type($operand) `,` type($scale) `,` type($bias) `,` type($mean) `,` type($variance) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        scale: SSAValue | Operation,
        bias: SSAValue | Operation,
        mean: SSAValue | Operation,
        variance: SSAValue | Operation,
        dimension: int = 1,
        epsilon: float = 1e-5,
    ):
        properties = {"dimension": integer(dimension), "epsilon": FloatAttr(epsilon, f64)}
        construct(self, (operand, scale, bias, mean, variance), properties)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, *parameters = operands
        check_element_kind(self.name, "operand", FLOAT, operand.element_type)
        check_axes(self.name, "dimension", (self.dimension.value.data,), len(operand.shape))
        check_parameters(self.name, operand, parameters, 1)
        for parameter in parameters:
            if len(parameter.shape) != 1:
                raise InferenceError(f"{self.name}: parameter: expected one axis, found {parameter.type}")
            check_equal_sizes(self.name, "parameter", operand.shape[self.dimension.value.data], parameter.shape[0])
        return (AbstractTensor(operand.shape, operand.element_type),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        operand, *parameters = operands
        features = operand.shape[self.dimension.value.data]
        return [(item.shape[0], features) for item in parameters if item.shape[0] != features]

    def _aligned(self, shape: Shape) -> list[int]:
        """The shape that broadcasts a vector along the features."""
        return [-1 if axis == self.dimension.value.data else 1 for axis in range(len(shape))]

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        x = builder.widen(self.operand)
        shape = self._aligned(builder.shape(x))
        scale, bias, mean, variance = (
            builder.reshape(builder.widen(parameter), shape) for parameter in self.operands[1:]
        )
        factor = builder.multiply(scale, builder.rsqrt(builder.add(variance, self.epsilon.value.data)))
        result = builder.add(builder.multiply(builder.subtract(x, mean), factor), bias)
        return (builder.cast(result, builder.element_type(self.operand)),)

    def reference(self, *operands: Array) -> Array:
        x, *parameters = (operand.astype(np.float64) for operand in operands)
        shape = self._aligned(x.shape)
        scale, bias, mean, variance = (parameter.reshape(shape) for parameter in parameters)
        result = (x - mean) / np.sqrt(variance + self.epsilon.value.data) * scale + bias
        return result.astype(operands[0].dtype)


COMPOSITE_OPS: tuple[type[GraphOp], ...] = (
    ReluOp,
    StopGradientOp,
    GeluOp,
    SiluOp,
    SoftmaxOp,
    LogSoftmaxOp,
    MeanOp,
    LayerNormOp,
    RmsNormOp,
    BatchNormOp,
)
