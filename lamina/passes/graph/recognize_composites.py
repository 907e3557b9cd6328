"""`recognize-composites`: what exporters spell out becomes the composite that it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.context import resources_of
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.canonicalization.support import sizes, splat
from lamina.dialects.graph.composite import SQRT_HALF, SQRT_TWO_OVER_PI, TANH_CUBIC, ReluOp
from lamina.dialects.graph.elementwise import (
    AddOp,
    CastOp,
    DivideOp,
    ErfOp,
    ExpOp,
    LogisticOp,
    LogOp,
    MaximumOp,
    MinimumOp,
    MultiplyOp,
    SelectOp,
    SubtractOp,
    TanhOp,
)
from lamina.dialects.graph.reduction import ReduceOp
from lamina.dialects.graph.types import dtype_of
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.matching import (
    element_type,
    equal,
    factors,
    is_float_tensor,
    linear,
    over_root,
    polynomial,
    rank,
    scalar,
    sole_user,
    squared,
    trailing_mean,
    visited_factors,
)
from lamina.passes.graph.nan_guards import needlessly_guarded
from lamina.passes.graph.rewriting import take_over
from lamina.resources import ResourceStore


@dataclass(frozen=True)
class Match:
    """A composite that gives the value of `last`: its name, operands and properties.

    A constant operand that is not in the text yet is an array. Without a name, the only operand is the value.
    """

    last: Operation
    composite: str
    operands: tuple[SSAValue | np.ndarray, ...]
    properties: Mapping[str, int | float | str]


Pattern = Callable[[Operation, ResourceStore], Match | None]


@dataclass(frozen=True)
class RecognizeCompositesPass(LaminaPass):
    """Replace trees of primitives by the composite that they compute.

    ```mlir
    %a = graph.divide %x, 1.414…      →      %y = graph.gelu %x
    %b = graph.erf %a
    %c = graph.add %b, 1.0
    %d = graph.multiply %x, %c
    %y = graph.multiply %d, 0.5
    ```

    Recognized, factors and summands in any order: GELU with erf and with tanh, SiLU, ReLU, clamp, softmax and log
    softmax, layer norm and RMS norm (with or without scale and bias, and between casts).

    A guard `where(is_nan(softmax), 0, softmax)` is for rows that a mask hides as a whole. It goes where the scores are
    a scaled product without a mask, or with one that is finite, or constant with something left of each row: NaN can
    come only from NaN or infinite scores then, and is passed on instead of being hidden. Other guards stay.
    """

    name = "recognize-composites"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"composites-recognized"})
    counters: ClassVar[Mapping[str, str]] = {"recognized": "composites that took the place of primitives"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in graph_functions(op):
            self.count("recognized", recognize(function, resources))


def recognize(function: func.FuncOp, resources: ResourceStore) -> int:
    """Recognize the composites of one function; dead ops are removed. Gives how many were found."""
    found = 0
    for op in list(function.walk()):
        if op.parent is None:
            continue
        for pattern in PATTERNS.get(type(op), ()):
            match = pattern(op, resources)
            if match is not None and _replace(match, resources):
                found += 1
                break
    region_dce(function.body)
    return found


def _replace(match: Match, resources: ResourceStore) -> bool:
    """Put the composite in place of the last op; not where its type would be another."""
    last = match.last
    before = last.prev_op
    if not match.composite:
        (result,) = cast("tuple[SSAValue]", match.operands)
        return result.type == last.results[0].type and take_over(last, result, before)
    builder = GraphBuilder(InsertPoint.before(last), resources, last.location)
    operands = [builder.value(operand) for operand in match.operands]
    if match.composite in ("layer_norm", "rms_norm"):
        operands[1:] = [_trimmed(builder, operand, operands[0], match) for operand in operands[1:]]
    # The op itself stays: patterns that are yet to be tried may look at it.
    return take_over(last, builder.create(match.composite, operands, **match.properties), before)


def _trimmed(builder: GraphBuilder, parameter: SSAValue, x: SSAValue, match: Match) -> SSAValue:
    """A parameter of a norm without the axes of size 1 in front of the normalized ones."""
    count = rank(x) - int(match.properties["axis"])
    return parameter if rank(parameter) <= count else builder.reshape(parameter, sizes(parameter)[-count:])


# ---- activations


def activation(op: Operation, resources: ResourceStore) -> Match | None:
    """x · g(x) for the gates of GELU and SiLU; x is any of the factors."""
    root = op.results[0]
    if not is_float_tensor(root):
        return None
    for x in visited_factors(root):
        if rank(x) != rank(root):
            continue
        coefficient, values = factors(root, x)
        others = [value for value in values if value is not x]
        if len(values) != 2 or len(others) != 1:
            continue
        gate = _gate(coefficient, others[0], x)
        if gate is not None:
            name, properties = gate
            return Match(op, name, (x,), properties)
    return None


def _gate(coefficient: float, gate: SSAValue, x: SSAValue) -> tuple[str, Mapping[str, str]] | None:
    """The activation that x · coefficient · gate is."""
    type_ = element_type(x)
    if isinstance(gate.owner, LogisticOp):
        return ("silu", {}) if coefficient == 1 and gate.owner.operand is x else None
    core, slope, shift = linear(gate)
    owner = core.owner
    if not isinstance(owner, ErfOp | TanhOp) or rank(core) != rank(x):
        return None
    if not all(equal(coefficient * part, 0.5, type_) for part in (slope, shift)):
        return None
    inner = polynomial(owner.operand, x)
    approximate = "tanh" if isinstance(owner, TanhOp) else "none"
    expected = GELU_ARGUMENTS[approximate]
    if inner is None or {degree for degree, part in inner.items() if part} != set(expected):
        return None
    if not all(equal(inner[degree], part, type_) for degree, part in expected.items()):
        return None
    return "gelu", {"approximate": approximate}


GELU_ARGUMENTS: Mapping[str, Mapping[int, float]] = {
    "none": {1: SQRT_HALF},
    "tanh": {1: SQRT_TWO_OVER_PI, 3: SQRT_TWO_OVER_PI * TANH_CUBIC},
}
"""What erf and tanh are taken of, as polynomials in x."""


def silu_quotient(op: Operation, resources: ResourceStore) -> Match | None:
    """x / (1 + exp(-x))"""
    assert isinstance(op, DivideOp)
    if not is_float_tensor(op.lhs):
        return None
    core, slope, shift = linear(op.rhs)
    if not isinstance(core.owner, ExpOp) or (slope, shift) != (1, 1) or rank(core) != rank(op.result):
        return None
    return Match(op, "silu", (op.lhs,), {}) if polynomial(core.owner.operand, op.lhs) == {1: -1.0} else None


def rectifier(op: Operation, resources: ResourceStore) -> Match | None:
    """maximum(x, 0) is relu; maximum(minimum(x, b), a) and minimum(maximum(x, a), b) with a <= b are clamp."""
    assert isinstance(op, MaximumOp | MinimumOp)
    x, bound = _with_bound(op)
    if x is None or bound is None or rank(x) != rank(op.results[0]):
        return None
    inner = x.owner
    opposite = (MinimumOp,) if isinstance(op, MaximumOp) else (MaximumOp, ReluOp)
    if isinstance(inner, opposite):
        core, other = _with_bound(inner)
        if core is not None and other is not None and rank(core) == rank(x):
            lower, upper = (bound, other) if isinstance(op, MaximumOp) else (other, bound)
            if lower <= upper:
                dtype = dtype_of(element_type(core))
                ends = (np.asarray(lower).astype(dtype), np.asarray(upper).astype(dtype))
                return Match(op, "clamp", (ends[0], core, ends[1]), {})
    is_zero = bound == 0 and not np.signbit(bound)
    return Match(op, "relu", (x,), {}) if isinstance(op, MaximumOp) and is_zero else None


def _with_bound(op: MaximumOp | MinimumOp | ReluOp) -> tuple[SSAValue | None, float | None]:
    """The operand and the constant of a maximum or minimum of floats."""
    if isinstance(op, ReluOp):
        return (op.operand, 0.0) if is_float_tensor(op.operand) else (None, None)
    if not is_float_tensor(op.lhs):
        return None, None
    left, right = scalar(op.lhs), scalar(op.rhs)
    if (left is None) == (right is None):
        return None, None
    return (op.lhs, right) if left is None else (op.rhs, left)


# ---- softmax


def softmax(op: Operation, resources: ResourceStore) -> Match | None:
    """exp(x - max) / sum(exp(x - max))"""
    assert isinstance(op, DivideOp)
    exponentials = op.lhs.owner
    total = op.rhs.owner
    if not isinstance(exponentials, ExpOp) or not _is_reduction(total, "add", op.lhs):
        return None
    return _along_axis(op, "softmax", exponentials.operand, cast(ReduceOp, total))


def log_softmax(op: Operation, resources: ResourceStore) -> Match | None:
    """x - max - log(sum(exp(x - max)))"""
    assert isinstance(op, SubtractOp)
    logarithm = op.rhs.owner
    if not isinstance(logarithm, LogOp) or not isinstance(total := logarithm.operand.owner, ReduceOp):
        return None
    exponentials = total.operand.owner
    if not isinstance(exponentials, ExpOp) or exponentials.operand is not op.lhs:
        return None
    return _along_axis(op, "log_softmax", op.lhs, total) if _is_reduction(total, "add", total.operand) else None


def _is_reduction(op: object, kind: str, of: SSAValue) -> bool:
    """Whether an op reduces a value along one axis that is kept."""
    return (
        isinstance(op, ReduceOp)
        and op.kind.data == kind
        and op.operand is of
        and op.keep_dimensions is not None
        and len(op.dimensions.get_values()) == 1
    )


def _along_axis(op: Operation, name: str, shifted: SSAValue, total: ReduceOp) -> Match | None:
    owner = shifted.owner
    if not isinstance(owner, SubtractOp) or not _is_reduction(largest := owner.rhs.owner, "maximum", owner.lhs):
        return None
    if cast(ReduceOp, largest).dimensions != total.dimensions:
        return None
    return Match(op, name, (owner.lhs,), {"dimension": total.dimensions.get_values()[0]})


def nan_guard(op: Operation, resources: ResourceStore) -> Match | None:
    """select(is_nan(y), 0, y) of a softmax y no row of which a mask hides"""
    assert isinstance(op, SelectOp)
    y = needlessly_guarded(op, resources)
    return None if y is None else Match(op, "", (y,), {})


# ---- norms


def norm(op: Operation, resources: ResourceStore) -> Match | None:
    """x / √(mean(x²) + epsilon), of x or of x - mean(x), and what scales and shifts it"""
    for numerator, variance in over_root(op.results[0]):
        found = _norm_of(op, numerator, variance)
        if found is not None:
            return found
    return None


def _norm_of(op: Operation, numerator: SSAValue, variance: SSAValue) -> Match | None:
    mean, slope, epsilon = linear(variance)
    averaged = trailing_mean(mean)
    if averaged is None or slope != 1 or epsilon < 0 or rank(mean) != rank(variance):
        return None
    square, axis = averaged
    if squared(square) is not numerator:
        return None
    owner = numerator.owner
    name, x = "rms_norm", numerator
    if isinstance(owner, SubtractOp) and trailing_mean(owner.rhs) == (owner.lhs, axis):
        name, x = "layer_norm", owner.lhs
    last, x = _through_cast(op, x)
    scaled = _parameter(last, MultiplyOp, x, axis)
    scale, last = scaled if scaled is not None else (None, last)
    bias: SSAValue | np.ndarray | None = None
    if name == "layer_norm":
        shifted = _parameter(last, AddOp, x, axis)
        bias, last = shifted if shifted is not None else (None, last)
    dtype = dtype_of(element_type(x))
    shape = (1,) * (rank(x) - axis)
    parameters: list[SSAValue | np.ndarray] = [np.ones(shape, dtype) if scale is None else scale]
    if name == "layer_norm":
        # Adding -0.0 changes nothing, not even -0.0.
        parameters.append(np.full(shape, -0.0, dtype) if bias is None else bias)
    if any(isinstance(parameter, SSAValue) and element_type(parameter) != element_type(x) for parameter in parameters):
        return None
    return Match(last, name, (x, *parameters), {"axis": axis, "epsilon": epsilon})


def _through_cast(op: Operation, x: SSAValue) -> tuple[Operation, SSAValue]:
    """A norm of cast(x) that is cast back is a norm of x: composites compute f16 and bf16 in f32."""
    wide = x.owner
    user = sole_user(op.results[0])
    if isinstance(wide, CastOp) and isinstance(user, CastOp) and user.result.type == wide.operand.type:
        return user, wide.operand
    return op, x


def _parameter(
    last: Operation, kind: type[AddOp | MultiplyOp], x: SSAValue, axis: int
) -> tuple[SSAValue | np.ndarray, Operation] | None:
    """The other operand of the only user of `last`, where it is of `kind` and the operand fits the trailing axes."""
    user = sole_user(last.results[0])
    if not isinstance(user, kind) or user.parent is not last.parent:
        return None
    other = user.rhs if user.lhs is last.results[0] else user.lhs
    number = splat(other)
    if number is not None and user.results[0].type == x.type:
        return np.full((1,) * (rank(x) - axis), number, dtype_of(element_type(x))), user
    # Axes in front of the normalized ones have size 1, or the parameter is not one for all rows.
    expected = [*[1] * axis, *sizes(x)[axis:]]
    if rank(other) > rank(x):
        return None
    aligned = zip(reversed(sizes(other)), reversed(expected), strict=False)
    if not all(size == 1 or (size == whole and size != DYNAMIC_INDEX) for size, whole in aligned):
        return None
    return other, user


PATTERNS: Mapping[type[Operation], Sequence[Pattern]] = {
    MultiplyOp: (activation, norm),
    DivideOp: (activation, silu_quotient, softmax, norm),
    SubtractOp: (log_softmax,),
    MaximumOp: (rectifier,),
    MinimumOp: (rectifier,),
    SelectOp: (nan_guard,),
}
"""What is tried on each op, in this order."""
