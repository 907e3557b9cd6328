"""Elementwise functions of one operand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import BoolAttr, LocationAttr, i1
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from lamina.dialects.graph import dims
from lamina.dialects.graph.arithmetic import (
    Numbers,
    erf,
    logistic,
)
from lamina.dialects.graph.base import (
    AbstractTensor,
    Differentiability,
)
from lamina.dialects.graph.construction import construct
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.elementwise_base import (
    FloatUnaryOp,
    PredicateOp,
    RoundingOp,
    UnaryOp,
)
from lamina.dialects.graph.types import (
    FLOAT,
    INTEGER_OR_BOOLEAN,
    ElementKind,
)


@irdl_op_definition
class AbsOp(UnaryOp):
    """Absolute value. Floats and integers; the smallest signed integer stays as it is. ONNX Abs, StableHLO abs."""

    name = "graph.abs"

    def compute(self, operand: Numbers) -> Any:
        return np.abs(operand)

    def track(self, operand: Dim) -> Dim | None:
        return dims.maximum(operand, -operand)


@irdl_op_definition
class NegateOp(UnaryOp):
    """Negation. Floats and integers (modulo 2^bits); the sign of zero and of NaN flips. ONNX Neg, StableHLO negate."""

    name = "graph.negate"

    def compute(self, operand: Numbers) -> Any:
        return np.negative(operand)

    def track(self, operand: Dim) -> Dim | None:
        return -operand


@irdl_op_definition
class SignOp(UnaryOp):
    """-1, 0 or 1. Floats and integers; both zeros give 0, NaN gives NaN. ONNX Sign, StableHLO sign."""

    name = "graph.sign"
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.DISCRETE

    def compute(self, operand: Numbers) -> Any:
        return np.sign(operand)


@irdl_op_definition
class ExpOp(FloatUnaryOp):
    """e to the power of the operand. ONNX Exp, StableHLO exponential."""

    name = "graph.exp"

    def compute(self, operand: Numbers) -> Any:
        return np.exp(operand)


@irdl_op_definition
class Expm1Op(FloatUnaryOp):
    """exp(x) - 1, exact near zero. StableHLO exponential_minus_one."""

    name = "graph.expm1"

    def compute(self, operand: Numbers) -> Any:
        return np.expm1(operand)


@irdl_op_definition
class LogOp(FloatUnaryOp):
    """Natural logarithm; negative operands give NaN, zeros -inf. ONNX Log, StableHLO log."""

    name = "graph.log"

    def compute(self, operand: Numbers) -> Any:
        return np.log(operand)


@irdl_op_definition
class Log1pOp(FloatUnaryOp):
    """log(1 + x), exact near zero. StableHLO log_plus_one."""

    name = "graph.log1p"

    def compute(self, operand: Numbers) -> Any:
        return np.log1p(operand)


@irdl_op_definition
class SqrtOp(FloatUnaryOp):
    """Square root; negative operands give NaN. ONNX Sqrt, StableHLO sqrt."""

    name = "graph.sqrt"

    def compute(self, operand: Numbers) -> Any:
        return np.sqrt(operand)


@irdl_op_definition
class RsqrtOp(FloatUnaryOp):
    """1 / sqrt(x); zeros give an infinity of their sign, negative operands NaN. StableHLO rsqrt."""

    name = "graph.rsqrt"

    def compute(self, operand: Numbers) -> Any:
        return 1 / np.sqrt(operand)


@irdl_op_definition
class SinOp(FloatUnaryOp):
    """Sine; infinities give NaN. ONNX Sin, StableHLO sine."""

    name = "graph.sin"

    def compute(self, operand: Numbers) -> Any:
        return np.sin(operand)


@irdl_op_definition
class CosOp(FloatUnaryOp):
    """Cosine; infinities give NaN. ONNX Cos, StableHLO cosine."""

    name = "graph.cos"

    def compute(self, operand: Numbers) -> Any:
        return np.cos(operand)


@irdl_op_definition
class TanOp(FloatUnaryOp):
    """Tangent; infinities give NaN. ONNX Tan, StableHLO tan."""

    name = "graph.tan"

    def compute(self, operand: Numbers) -> Any:
        return np.tan(operand)


@irdl_op_definition
class AsinOp(FloatUnaryOp):
    """Inverse sine; NaN outside [-1, 1]. ONNX Asin."""

    name = "graph.asin"

    def compute(self, operand: Numbers) -> Any:
        return np.arcsin(operand)


@irdl_op_definition
class AcosOp(FloatUnaryOp):
    """Inverse cosine; NaN outside [-1, 1]. ONNX Acos."""

    name = "graph.acos"

    def compute(self, operand: Numbers) -> Any:
        return np.arccos(operand)


@irdl_op_definition
class AtanOp(FloatUnaryOp):
    """Inverse tangent. ONNX Atan."""

    name = "graph.atan"

    def compute(self, operand: Numbers) -> Any:
        return np.arctan(operand)


@irdl_op_definition
class SinhOp(FloatUnaryOp):
    """Hyperbolic sine. ONNX Sinh."""

    name = "graph.sinh"

    def compute(self, operand: Numbers) -> Any:
        return np.sinh(operand)


@irdl_op_definition
class CoshOp(FloatUnaryOp):
    """Hyperbolic cosine. ONNX Cosh."""

    name = "graph.cosh"

    def compute(self, operand: Numbers) -> Any:
        return np.cosh(operand)


@irdl_op_definition
class AsinhOp(FloatUnaryOp):
    """Inverse hyperbolic sine. ONNX Asinh."""

    name = "graph.asinh"

    def compute(self, operand: Numbers) -> Any:
        return np.arcsinh(operand)


@irdl_op_definition
class AcoshOp(FloatUnaryOp):
    """Inverse hyperbolic cosine; NaN below 1. ONNX Acosh."""

    name = "graph.acosh"

    def compute(self, operand: Numbers) -> Any:
        return np.arccosh(operand)


@irdl_op_definition
class AtanhOp(FloatUnaryOp):
    """Inverse hyperbolic tangent; ±1 gives ±inf, NaN outside. ONNX Atanh."""

    name = "graph.atanh"

    def compute(self, operand: Numbers) -> Any:
        return np.arctanh(operand)


@irdl_op_definition
class TanhOp(FloatUnaryOp):
    """Hyperbolic tangent; ±inf gives ±1. ONNX Tanh, StableHLO tanh."""

    name = "graph.tanh"

    def compute(self, operand: Numbers) -> Any:
        return np.tanh(operand)


@irdl_op_definition
class ErfOp(FloatUnaryOp):
    """Error function; ±inf gives ±1. ONNX Erf."""

    name = "graph.erf"

    def compute(self, operand: Numbers) -> Any:
        return erf(operand).astype(operand.dtype)


@irdl_op_definition
class LogisticOp(FloatUnaryOp):
    """1 / (1 + exp(-x)). ONNX Sigmoid, StableHLO logistic."""

    name = "graph.logistic"

    def compute(self, operand: Numbers) -> Any:
        return logistic(operand)


@irdl_op_definition
class FloorOp(RoundingOp):
    """The largest integral value not above the operand. ONNX Floor, StableHLO floor."""

    name = "graph.floor"

    def compute(self, operand: Numbers) -> Any:
        return np.floor(operand)


@irdl_op_definition
class CeilOp(RoundingOp):
    """The smallest integral value not below the operand. ONNX Ceil, StableHLO ceil."""

    name = "graph.ceil"

    def compute(self, operand: Numbers) -> Any:
        return np.ceil(operand)


@irdl_op_definition
class RoundNearestEvenOp(RoundingOp):
    """The nearest integral value, ties to the even one. ONNX Round, StableHLO round_nearest_even."""

    name = "graph.round_nearest_even"

    def compute(self, operand: Numbers) -> Any:
        return np.rint(operand)


@irdl_op_definition
class NotOp(UnaryOp):
    """Logical negation of i1, the complement of an integer's bits. ONNX Not and BitwiseNot, StableHLO not."""

    name = "graph.not"
    ELEMENTS: ClassVar[ElementKind] = INTEGER_OR_BOOLEAN
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED

    def compute(self, operand: Numbers) -> Any:
        return np.invert(operand)


@irdl_op_definition
class IsNanOp(PredicateOp):
    """Whether the operand is NaN. ONNX IsNaN."""

    name = "graph.is_nan"

    def compute(self, operand: Numbers) -> Any:
        return np.isnan(operand)


@irdl_op_definition
class IsInfOp(UnaryOp):
    """Whether the operand is an infinity of the signs asked for; the result is i1. ONNX IsInf."""

    name = "graph.is_inf"
    ELEMENTS: ClassVar[ElementKind] = FLOAT
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED
    detect_negative = prop_def(BoolAttr)
    detect_positive = prop_def(BoolAttr)
    assembly_format = (
        "$operand `,` `negative` $detect_negative `,` `positive` $detect_positive attr-dict "
        "`:` custom<ElementwiseTypes>(type(operands), type($result))"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        detect_negative: bool = True,
        detect_positive: bool = True,
        *,
        location: LocationAttr | None = None,
    ):
        properties = {
            "detect_negative": BoolAttr.from_bool(detect_negative),
            "detect_positive": BoolAttr.from_bool(detect_positive),
        }
        construct(self, (operand,), properties, location=location)

    def result_element_type(self, operands: Sequence[AbstractTensor]) -> Attribute:
        self.check_elements(operands)
        return i1

    def compute(self, operand: Numbers) -> Any:
        negative, positive = bool(self.detect_negative), bool(self.detect_positive)
        return (np.isneginf(operand) & negative) | (np.isposinf(operand) & positive)
