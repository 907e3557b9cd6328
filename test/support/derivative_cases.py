"""One function per derivative rule (more where a rule has branches), with inputs away from kinks and its JAX twin.

A case builds a function of f64 arguments with the graph builder; `jax` is the same function in JAX, None where JAX
has none (the reason beside it). `symbolic` says whether the rule also holds with all sizes above 1 unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from xdsl.dialects.builtin import f64, i64
from xdsl.ir import SSAValue

from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.resize import ResizeOp

Build = Callable[..., SSAValue]


@dataclass(frozen=True)
class Case:
    """A function to differentiate: `ops` are the graph ops whose rules it needs."""

    name: str
    ops: tuple[str, ...]
    inputs: tuple[np.ndarray, ...]
    build: Build = field(repr=False)
    jax: Callable[..., Any] | None = field(repr=False)
    symbolic: bool | str = True


CASES: list[Case] = []


def rng(name: str) -> np.random.Generator:
    return np.random.default_rng(sum(map(ord, name)))


def normal(name: str, *shape: int) -> np.ndarray:
    return rng(name + str(shape)).standard_normal(shape)


def case(
    name: str,
    ops: str,
    inputs: Sequence[np.ndarray],
    build: Build,
    jax: Callable[..., Any] | None,
    **options: Any,
) -> None:
    CASES.append(Case(name, tuple(f"graph.{op}" for op in ops.split()), tuple(inputs), build, jax, **options))


def between(low: float, high: float) -> np.ndarray:
    return np.random.default_rng(7).uniform(low, high, (3, 4))


# ---- elementwise


def unary(name: str, x: np.ndarray, jax: Callable[..., Any]) -> None:
    case(name, name, [x], lambda b, x: b.create(name, (x,)), jax)


# `j` is (jax, jax.numpy), given when a case runs.
unary("abs", between(-2, -0.1), lambda j, x: j.np.abs(x))
unary("negate", between(-2, 2), lambda j, x: -x)
unary("exp", between(-2, 2), lambda j, x: j.np.exp(x))
unary("expm1", between(-2, 2), lambda j, x: j.np.expm1(x))
unary("log", between(0.3, 3), lambda j, x: j.np.log(x))
unary("log1p", between(-0.5, 3), lambda j, x: j.np.log1p(x))
unary("sqrt", between(0.3, 3), lambda j, x: j.np.sqrt(x))
unary("rsqrt", between(0.3, 3), lambda j, x: j.lax.rsqrt(x))
unary("sin", between(-2, 2), lambda j, x: j.np.sin(x))
unary("cos", between(-2, 2), lambda j, x: j.np.cos(x))
unary("tan", between(-1, 1), lambda j, x: j.np.tan(x))
unary("asin", between(-0.9, 0.9), lambda j, x: j.np.arcsin(x))
unary("acos", between(-0.9, 0.9), lambda j, x: j.np.arccos(x))
unary("atan", between(-2, 2), lambda j, x: j.np.arctan(x))
unary("sinh", between(-2, 2), lambda j, x: j.np.sinh(x))
unary("cosh", between(-2, 2), lambda j, x: j.np.cosh(x))
unary("asinh", between(-2, 2), lambda j, x: j.np.arcsinh(x))
unary("acosh", between(1.2, 3), lambda j, x: j.np.arccosh(x))
unary("atanh", between(-0.9, 0.9), lambda j, x: j.np.arctanh(x))
unary("tanh", between(-2, 2), lambda j, x: j.np.tanh(x))
unary("erf", between(-2, 2), lambda j, x: j.lax.erf(x))
unary("logistic", between(-2, 2), lambda j, x: j.lax.logistic(x))


def binary(name: str, left: np.ndarray, right: np.ndarray, jax: Callable[..., Any], suffix: str = "") -> None:
    case(name + suffix, name, [left, right], lambda b, x, y: b.create(name, (x, y)), jax)


X, Y, ROW, COLUMN = normal("x", 3, 4), normal("y", 3, 4), normal("row", 4), normal("column", 3, 1)
for suffix, left, right in (("", X, Y), ("_row", X, ROW), ("_outer", COLUMN, ROW), ("_scalar", X, normal("s"))):
    binary("add", left, right, lambda j, x, y: x + y, suffix)
    binary("subtract", left, right, lambda j, x, y: x - y, suffix)
    binary("multiply", left, right, lambda j, x, y: x * y, suffix)
    binary("divide", left, np.abs(right) + 0.5, lambda j, x, y: x / y, suffix)
    binary("maximum", left, right, lambda j, x, y: j.np.maximum(x, y), suffix)
    binary("minimum", left, right, lambda j, x, y: j.np.minimum(x, y), suffix)
    binary("power", np.abs(left) + 0.3, right, lambda j, x, y: x**y, suffix)
    binary("atan2", left, right, lambda j, x, y: j.np.arctan2(x, y), suffix)
binary("remainder", X * 3, np.abs(Y) + 0.6, lambda j, x, y: j.lax.rem(x, y))
case("square", "power", [X], lambda b, x: b.power(x, 2.0), lambda j, x: x**2)
case("cube", "power", [X], lambda b, x: b.power(x, 3.0), lambda j, x: x**3)
case(
    "select",
    "select",
    [X, ROW],
    lambda b, x, y: b.select(b.compare("GT", x, 0.2), b.multiply(x, x), y),
    lambda j, x, y: j.np.where(x > 0.2, x * x, y),
)
case(
    "select_outer",
    "select",
    [COLUMN, ROW],
    lambda b, x, y: b.select(b.compare("GT", y, 0.2), x, y),
    lambda j, x, y: j.np.where(y > 0.2, x, y),
)
case(
    "clamp",
    "clamp",
    [normal("low"), X * 2, ROW + 2.5],
    lambda b, low, x, high: b.clamp(low, x, high),
    lambda j, low, x, high: j.np.minimum(j.np.maximum(x, low), high),
)
case(
    "cast",
    "cast",
    [X],
    lambda b, x: b.multiply(b.cast(b.cast(x, f64), f64), x),
    lambda j, x: x * x,
)

# ---- data movement

case("reshape", "reshape", [X], lambda b, x: b.reshape(x, [2, 6]), lambda j, x: x.reshape(2, 6), symbolic=False)
case("reshape_rest", "reshape", [X], lambda b, x: b.reshape(x, [-1]), lambda j, x: x.reshape(-1))
case(
    "dynamic_reshape",
    "dynamic_reshape",
    [X],
    lambda b, x: b.dynamic_reshape(x, b.concatenate([b.slice(b.shape_of(x), [1], [2]), np.array([-1])], 0)),
    lambda j, x: x.reshape(x.shape[1], -1),
)
case("transpose", "transpose", [normal("t", 2, 3, 4)], lambda b, x: b.transpose(x, [2, 0, 1]),
     lambda j, x: x.transpose(2, 0, 1))  # fmt: skip
case("broadcast", "broadcast", [COLUMN], lambda b, x: b.broadcast(x, [2, -1, 5]),
     lambda j, x: j.np.broadcast_to(x, (2, x.shape[0], 5)))  # fmt: skip
case(
    "dynamic_broadcast",
    "dynamic_broadcast",
    [COLUMN, X],
    lambda b, x, y: b.multiply(b.dynamic_broadcast(x, b.shape_of(y)), y),
    lambda j, x, y: j.np.broadcast_to(x, y.shape) * y,
)
LONG = normal("long", 7, 5)
case("slice", "slice", [LONG], lambda b, x: b.slice(x, [1, 0], [6, 4], [2, 3]), lambda j, x: x[1:6:2, 0:4:3])
case("slice_negative", "slice", [LONG], lambda b, x: b.slice(x, [-5, 1], [-1, 2**63 - 1]), lambda j, x: x[-5:-1, 1:])
case("slice_nothing", "slice", [LONG], lambda b, x: b.slice(x, [3, 0], [3, 5]), lambda j, x: x[3:3, 0:5])
case("slice_whole", "slice", [LONG], lambda b, x: b.slice(x, [0, 0], [99, 2**63 - 1]), lambda j, x: x)


def bounds(b: GraphBuilder, *numbers: int) -> SSAValue:
    return b.constant(np.asarray(numbers, np.int64))


def unknown(b: GraphBuilder, *numbers: int) -> SSAValue:
    """A vector whose elements the compiler does not see: it goes through floats."""
    return b.cast(b.constant(np.asarray(numbers, np.float64)), i64)


case(
    "dynamic_slice",
    "dynamic_slice",
    [LONG],
    lambda b, x: b.dynamic_slice(x, unknown(b, 1, -3), unknown(b, 6, 5), bounds(b, 2, 1)),
    lambda j, x: x[1:6:2, -3:5],
)
case(
    "dynamic_slice_strides",
    "dynamic_slice",
    [LONG],
    lambda b, x: b.dynamic_slice(x, unknown(b, 1, -3), unknown(b, 6, 5), unknown(b, 2, 1)),
    lambda j, x: x[1:6:2, -3:5],
)
case("reverse", "reverse", [X], lambda b, x: b.reverse(x, [1]), lambda j, x: x[:, ::-1])
VALUE = normal("value")
case(
    "pad",
    "pad",
    [X, VALUE],
    lambda b, x, v: b.pad(x, v, [1, 0], [2, 3], [0, 2]),
    lambda j, x, v: j.lax.pad(x, v, [(1, 2, 0), (0, 3, 2)]),
)
case(
    "pad_crop",
    "pad",
    [LONG, VALUE],
    lambda b, x, v: b.pad(x, v, [-2, 1], [1, -2], [1, 0]),
    lambda j, x, v: j.lax.pad(x, v, [(-2, 1, 1), (1, -2, 0)]),
)
for mode in ("edge", "reflect"):
    case(
        f"pad_{mode}",
        "pad",
        [X],
        lambda b, x, mode=mode: b.pad(x, 0.0, [2, 0], [1, 3], mode=mode),
        lambda j, x, mode=mode: j.np.pad(x, ((2, 1), (0, 3)), mode=mode),
    )
    case(
        f"dynamic_pad_{mode}",
        "dynamic_pad",
        [X],
        lambda b, x, mode=mode: b.dynamic_pad(x, 0.0, unknown(b, 2, 0), unknown(b, 1, 3), mode=mode),
        lambda j, x, mode=mode: j.np.pad(x, ((2, 1), (0, 3)), mode=mode),
    )
case(
    "dynamic_pad",
    "dynamic_pad",
    [LONG, VALUE],
    lambda b, x, v: b.dynamic_pad(x, v, unknown(b, 1, -2), unknown(b, -2, 3)),
    lambda j, x, v: j.lax.pad(x, v, [(1, -2, 0), (-2, 3, 0)]),
)
case(
    "concatenate",
    "concatenate",
    [X, COLUMN, normal("c", 3, 2)],
    lambda b, x, y, z: b.concatenate([x, y, b.multiply(z, z), x], 1),
    lambda j, x, y, z: j.np.concatenate([x, y, z * z, x], 1),
)
case(
    "dynamic_update_slice",
    "dynamic_update_slice",
    [LONG, normal("u", 2, 3)],
    lambda b, x, u: b.dynamic_update_slice(x, u, unknown(b, 6, -1)),
    lambda j, x, u: j.lax.dynamic_update_slice(x, u, (6, 0)),
)
INDICES = np.array([[0, 5], [5, 2], [99, -3]])
case(
    "gather_take",
    "gather scatter",
    [LONG],
    lambda b, x: b.take(x, INDICES, 0),
    lambda j, x: j.np.take(x, INDICES, 0, mode="clip"),
)
case(
    "gather_take_last",
    "gather scatter",
    [LONG],
    lambda b, x: b.take(x, np.array([4, 0, 4]), 1),
    lambda j, x: j.np.take(x, np.array([4, 0, 4]), 1),
)
STARTS = np.array([[1, 2], [6, 0], [1, 2], [2, 9]])
case(
    "gather_slices",
    "gather",
    [LONG],
    lambda b, x: b.gather(
        x, STARTS, slice_sizes=[3, 2], offset_dims=[0, 2], start_index_map=[0, 1], index_vector_dim=1
    ),
    lambda j, x: j.lax.gather(x, STARTS, j.lax.GatherDimensionNumbers((0, 2), (), (0, 1)), (3, 2), mode="clip"),
)
for descending in (False, True):
    case(
        f"sort{'_descending' if descending else ''}",
        "sort",
        [normal("sort", 3, 5, 2)],
        lambda b, x, descending=descending: b.sort(x, 1, descending),
        lambda j, x, descending=descending: -j.lax.sort(-x, dimension=1) if descending else j.lax.sort(x, dimension=1),
    )
case(
    "top_k",
    "sort gather",
    [normal("top_k", 3, 5)],
    lambda b, x: b.top_k(x, 3, 1)[0],
    lambda j, x: j.lax.top_k(x, 3)[0],
    symbolic=False,
)
LABELS = np.array([3, 0, -1, 9])
for kept in (False, True):
    case(
        f"gather_labels{'_kept' if kept else ''}",
        "gather",
        [normal("labels", 4, 5)],
        lambda b, x, kept=kept: b.gather(
            x,
            b.constant(LABELS.reshape(4, 1, 1) if kept else LABELS),
            slice_sizes=[1, 1],
            collapsed_slice_dims=[1],
            start_index_map=[1],
            index_vector_dim=2 if kept else 1,
            operand_batching_dims=[0],
            start_indices_batching_dims=[0],
        ),
        lambda j, x, kept=kept: x[np.arange(4), np.clip(LABELS, 0, 4)].reshape((4, 1) if kept else (4,)),
        symbolic=False,
    )
case(
    "gather_batched",
    "gather",
    [LONG],
    lambda b, x: b.gather(
        x,
        np.array([[1, 2], [0, 0], [4, 4], [9, 1], [2, 2], [3, 0], [0, 1]])[..., None],
        slice_sizes=[1, 1],
        collapsed_slice_dims=[1],
        operand_batching_dims=[0],
        start_indices_batching_dims=[0],
        start_index_map=[1],
        index_vector_dim=2,
    ),
    lambda j, x: j.np.take_along_axis(x, np.array([[1, 2], [0, 0], [4, 4], [4, 1], [2, 2], [3, 0], [0, 1]]), 1),
    symbolic=False,
)
PLACES = np.array([[5], [1], [5], [77], [0]])
UPDATES = normal("updates", 5, 5)


def scatter(kind: str) -> Build:
    def build(b: GraphBuilder, x: SSAValue, u: SSAValue) -> SSAValue:
        return b.scatter(
            kind,
            x,
            PLACES,
            u,
            update_window_dims=[1],
            inserted_window_dims=[0],
            scatter_dims_to_operand_dims=[0],
            index_vector_dim=1,
        )

    return build


def jax_scatter(name: str, places: np.ndarray = PLACES) -> Callable[..., Any]:
    def run(j: Any, x: Any, u: Any) -> Any:
        numbers = j.lax.ScatterDimensionNumbers((1,), (0,), (0,))
        return getattr(j.lax, name)(x, places, u, numbers, mode="drop")

    return run


case("scatter_add", "scatter", [LONG, UPDATES], scatter("add"), jax_scatter("scatter_add"))
# Which of several assignments wins is not defined in JAX.
case("scatter_assign", "scatter", [LONG, UPDATES], scatter("assign"), None)
case("scatter_maximum", "scatter", [LONG, UPDATES], scatter("maximum"), None)
case("scatter_minimum", "scatter", [LONG, UPDATES], scatter("minimum"), None)
case(
    "pack",
    "pack unpack",
    [LONG],
    lambda b, x: b.multiply(b.create("pack", (x,), dimension=1, tile=3), 2.0),
    lambda j, x: 2 * j.np.pad(x, ((0, 0), (0, 1))).reshape(7, 2, 3).transpose(1, 0, 2),
    symbolic=False,
)
case(
    "unpack",
    "pack unpack",
    [normal("panels", 2, 7, 3)],
    lambda b, x: b.create("unpack", (x,), dimension=1, size=5),
    lambda j, x: x.transpose(1, 0, 2).reshape(7, 6)[:, :5],
    symbolic=False,
)

# ---- reductions

CUBE = normal("cube", 3, 2, 4)
FUNCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}
for kind, function in FUNCTIONS.items():
    for axes, kept in (((1,), False), ((0, 2), True), ((0, 1, 2), False), ((0, 1), False), ((), False)):
        case(
            f"reduce_{kind}_{''.join(map(str, axes))}{'_kept' if kept else ''}",
            "reduce",
            [CUBE],
            lambda b, x, kind=kind, axes=axes, kept=kept: b.reduce(kind, x, axes, kept),
            lambda j, x, function=function, axes=axes, kept=kept: getattr(j.np, function)(x, axis=axes, keepdims=kept),
        )
case(
    "reduce_multiply_zeros",
    "reduce",
    [np.where(np.abs(CUBE) < 0.6, 0.0, CUBE)],
    lambda b, x: b.reduce("multiply", x, [0, 2]),
    lambda j, x: j.np.prod(x, axis=(0, 2)),
    symbolic=False,
)
CUMULATIVE = {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin"}
for kind, function in CUMULATIVE.items():
    for exclusive, reverse in ((False, False), (False, True), (True, False), (True, True)):

        def running(j: Any, x: Any, function=function, exclusive=exclusive, reverse=reverse) -> Any:
            if exclusive:
                start = {"cumsum": 0.0, "cumprod": 1.0, "cummax": -np.inf, "cummin": np.inf}[function]
                pad = (0, 1) if reverse else (1, 0)
                cut = slice(1, None) if reverse else slice(None, -1)
                x = j.np.pad(x, ((0, 0), pad, (0, 0)), constant_values=start)
                x = x[:, cut]
            return getattr(j.lax, function)(x, axis=1, reverse=reverse)

        case(
            f"cumulative_{kind}{'_exclusive' if exclusive else ''}{'_reverse' if reverse else ''}",
            "cumulative",
            [normal("running", 2, 5, 3)],
            lambda b, x, kind=kind, exclusive=exclusive, reverse=reverse: b.cumulative(kind, x, 1, exclusive, reverse),
            running,
            symbolic=kind == "add",
        )
IMAGE = normal("image", 1, 2, 6, 7)
WINDOWS = {
    "": {"window_dimensions": [1, 1, 2, 3]},
    "_strided": {
        "window_dimensions": [1, 1, 3, 2],
        "window_strides": [1, 1, 2, 2],
        "padding": [0, 0, 0, 0, 1, 1, 0, 1],
    },
    "_dilated": {
        "window_dimensions": [1, 1, 2, 2],
        "window_strides": [1, 1, 1, 2],
        "window_dilations": [1, 1, 2, 3],
        "padding": [0, 0, 0, 0, 1, 2, 3, 0],
    },
}
WINDOW_STARTS = {"add": 0.0, "multiply": 1.0, "maximum": -np.inf, "minimum": np.inf}
for kind, start in WINDOW_STARTS.items():
    for suffix, window in WINDOWS.items():

        def slide(j: Any, x: Any, kind=kind, start=start, window=window) -> Any:
            reducer = {"add": j.lax.add, "multiply": j.lax.mul, "maximum": j.lax.max, "minimum": j.lax.min}[kind]
            pairs = np.reshape(window.get("padding", [0] * 8), (4, 2)).tolist()
            ones = [1] * 4
            return j.lax.reduce_window(
                x,
                start,
                reducer,
                window["window_dimensions"],
                window.get("window_strides", ones),
                pairs,
                None,
                window.get("window_dilations", ones),
            )

        case(
            f"reduce_window_{kind}{suffix}",
            "reduce_window",
            [IMAGE],
            lambda b, x, kind=kind, window=window: b.reduce_window(kind, x, **window),
            # JAX differentiates no windowed products, and extremes only without dilation.
            slide if kind == "add" or (kind != "multiply" and suffix != "_dilated") else None,
        )

# Windows side by side.
for shape, window in (((4, 6), (2, 3)), ((3, 4, 2), (1, 2, 1))):
    case(
        f"reduce_window_side_by_side_{len(shape)}",
        "reduce_window",
        [normal("window", *shape)],
        lambda b, x, window=window: b.reduce_window("maximum", x, window, window),
        lambda j, x, window=window: j.lax.reduce_window(x, -np.inf, j.lax.max, window, window, "VALID"),
        symbolic=False,
    )

# ---- contraction and convolution

case(
    "matmul", "dot_general", [normal("a", 3, 4), normal("b", 4, 5)],
    lambda b, x, y: b.dot_general(x, y, [1], [0]), lambda j, x, y: x @ y,
)  # fmt: skip
case(
    "matmul_batched", "dot_general", [normal("a", 2, 3, 4), normal("b", 2, 5, 4)],
    lambda b, x, y: b.dot_general(x, y, [2], [2], [0], [0]), lambda j, x, y: j.np.einsum("bmk,bnk->bmn", x, y),
)  # fmt: skip
case(
    "dot_general_mixed", "dot_general", [normal("a", 4, 2, 3, 5), normal("b", 6, 5, 2, 4, 3)],
    lambda b, x, y: b.dot_general(x, y, [3, 0], [1, 3], [1], [2]),
    lambda j, x, y: j.np.einsum("abcd,edbac->bcec", x, y) if False else j.lax.dot_general(
        x, y, (((3, 0), (1, 3)), ((1,), (2,)))
    ),
)  # fmt: skip
case(
    "outer_product", "dot_general", [normal("a", 3), normal("b", 4)],
    lambda b, x, y: b.dot_general(x, y, [], []), lambda j, x, y: j.np.outer(x, y),
)  # fmt: skip
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((2, 3, 6, 7), (4, 3, 3, 2), {"window_strides": [1, 1]}),
    "same": ((2, 3, 6, 7), (4, 3, 3, 3), {"window_strides": [1, 1], "padding": [1, 1, 1, 1]}),
    "strided": ((2, 3, 8, 7), (4, 3, 3, 2), {"window_strides": [2, 3], "padding": [1, 0, 0, 2]}),
    "pointwise_strided": ((2, 3, 6, 7), (4, 3, 1, 1), {"window_strides": [2, 2]}),
    "padded_far": ((1, 2, 5, 4), (3, 2, 2, 2), {"window_strides": [2, 1], "padding": [3, 2, 2, 4]}),
    "dilated": ((2, 2, 9, 8), (3, 2, 2, 3), {"window_strides": [2, 1], "padding": [1, 1, 2, 2], "rhs_dilation": [3, 2]}),
    "transposed": ((2, 2, 4, 5), (3, 2, 3, 3), {"window_strides": [1, 1], "padding": [1, 2, 2, 1], "lhs_dilation": [2, 3]}),
    "grouped": ((2, 4, 6, 5), (6, 2, 3, 2), {"window_strides": [2, 1], "padding": [1, 1, 0, 1], "feature_group_count": 2}),
    "depthwise": ((2, 3, 6, 5), (6, 1, 3, 3), {"window_strides": [1, 1], "padding": [1] * 4, "feature_group_count": 3}),
    "all": ((2, 4, 5, 6), (4, 2, 2, 2), {"window_strides": [2, 2], "padding": [2, 1, 0, 3], "lhs_dilation": [2, 1],
                                             "rhs_dilation": [1, 2], "feature_group_count": 2}),
}  # fmt: skip
for name, (shape, kernel, properties) in CONVOLUTIONS.items():

    def convolve(j: Any, x: Any, w: Any, properties=properties) -> Any:
        padding = np.reshape(properties.get("padding", [0] * 4), (2, 2)).tolist()
        return j.lax.conv_general_dilated(
            x, w, properties["window_strides"], padding, properties.get("lhs_dilation"),
            properties.get("rhs_dilation"), feature_group_count=properties.get("feature_group_count", 1),
        )  # fmt: skip

    case(
        f"convolution_{name}",
        "convolution",
        [normal("input", *shape), normal("kernel", *kernel)],
        lambda b, x, w, properties=properties: b.convolution(x, w, **properties),
        convolve,
        symbolic=False,
    )
    case(
        f"convolution_{name}_symbolic_input",
        "convolution",
        [normal("input", *shape)],
        lambda b, x, kernel=kernel, properties=properties: b.convolution(x, normal("kernel", *kernel), **properties),
        None,
        symbolic="batch_and_space",
    )

# ---- composites

case("relu", "relu", [X], lambda b, x: b.relu(x), lambda j, x: j.nn.relu(x))
case("gelu", "gelu", [X], lambda b, x: b.gelu(x), lambda j, x: j.nn.gelu(x, approximate=False))
case("gelu_tanh", "gelu", [X], lambda b, x: b.gelu(x, "tanh"), lambda j, x: j.nn.gelu(x))
case("silu", "silu", [X], lambda b, x: b.silu(x), lambda j, x: j.nn.silu(x))
case("softmax", "softmax", [X], lambda b, x: b.softmax(x, 1), lambda j, x: j.nn.softmax(x, 1))
case("softmax_0", "softmax", [X], lambda b, x: b.softmax(x, 0), lambda j, x: j.nn.softmax(x, 0))
case("log_softmax", "log_softmax", [X], lambda b, x: b.log_softmax(x, 1), lambda j, x: j.nn.log_softmax(x, 1))
case("mean", "mean", [CUBE], lambda b, x: b.mean(x, [0, 2]), lambda j, x: j.np.mean(x, (0, 2)))
case("mean_kept", "mean", [CUBE], lambda b, x: b.mean(x, [1], True), lambda j, x: j.np.mean(x, 1, keepdims=True))


def layer_norm(j: Any, x: Any, scale: Any, bias: Any, axes: tuple[int, ...] = (-1,)) -> Any:
    centered = x - x.mean(axes, keepdims=True)
    return centered / j.np.sqrt((centered * centered).mean(axes, keepdims=True) + 1e-5) * scale + bias


case(
    "layer_norm", "layer_norm", [CUBE, normal("scale", 4), normal("bias", 4)],
    lambda b, x, s, z: b.layer_norm(x, s, z, 2, 1e-5), layer_norm,
)  # fmt: skip
case(
    "layer_norm_axes", "layer_norm", [CUBE, normal("scale", 2, 4), normal("bias", 1)],
    lambda b, x, s, z: b.layer_norm(x, s, z, 1, 1e-5), lambda j, x, s, z: layer_norm(j, x, s, z, (1, 2)),
)  # fmt: skip
case(
    "rms_norm", "rms_norm", [CUBE, normal("scale", 4)],
    lambda b, x, s: b.rms_norm(x, s, 2, 1e-5),
    lambda j, x, s: x / j.np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * s,
)  # fmt: skip
case(
    "batch_norm", "batch_norm",
    [IMAGE, normal("scale", 2), normal("bias", 2), normal("mean", 2), np.abs(normal("variance", 2)) + 0.5],
    lambda b, x, s, z, m, v: b.batch_norm(x, s, z, m, v, 1, 1e-5),
    lambda j, x, s, z, m, v: (x - m[:, None, None]) / j.np.sqrt(v[:, None, None] + 1e-5) * s[:, None, None]
    + z[:, None, None],
)  # fmt: skip


def group_norm(j: Any, x: Any, scale: Any, bias: Any, groups: int) -> Any:
    """Features first, behind the batch."""
    rows = x.reshape(x.shape[0], groups, -1)
    centered = rows - rows.mean(-1, keepdims=True)
    normal = centered / j.np.sqrt((centered * centered).mean(-1, keepdims=True) + 1e-5)
    return normal.reshape(x.shape) * scale[:, None, None] + bias[:, None, None]


case(
    "group_norm", "group_norm", [normal("x", 2, 4, 2, 3), normal("scale", 4), normal("bias", 4)],
    lambda b, x, s, z: b.group_norm(x, s, z, 1, 2, 1e-5), lambda j, x, s, z: group_norm(j, x, s, z, 2),
)  # fmt: skip
case(
    "group_norm_last", "group_norm", [normal("x", 2, 2, 3, 4), normal("scale", 4), normal("bias", 4)],
    lambda b, x, s, z: b.group_norm(x, s, z, 3, 2, 1e-5),
    lambda j, x, s, z: j.np.moveaxis(group_norm(j, j.np.moveaxis(x, 3, 1), s, z, 2), 1, 3),
)  # fmt: skip


def attention(j: Any, q: Any, k: Any, v: Any) -> Any:
    scores = 0.5 * j.np.einsum("hqd,hkd->hqk", q, j.np.repeat(k, 2, 0))
    weights = j.nn.softmax(j.np.where(np.tri(4, 5, dtype=bool), scores, -np.inf), -1)
    return j.np.einsum("hqk,hkd->hqd", weights, j.np.repeat(v, 2, 0))


case(
    "attention", "attention", [normal("q", 4, 4, 3), normal("k", 2, 5, 3), normal("v", 2, 5, 2)],
    lambda b, q, k, v: b.attention(q, k, v, scale=0.5, causal="start"), attention, symbolic=False,
)  # fmt: skip


def mixed(j: Any, q: Any, k: Any, v: Any, mask: Any = 0.0, allowed: Any = True, scale: float = 0.5) -> Any:
    scores = scale * j.np.einsum("...qd,...kd->...qk", q, k) + mask
    return j.np.einsum("...qk,...kd->...qd", j.nn.softmax(j.np.where(allowed, scores, -np.inf), -1), v)


QUERY_KEY_VALUE = [normal("q", 2, 3, 4, 5), normal("k", 2, 3, 6, 5), normal("v", 2, 3, 6, 2)]
case(
    "attention_mask", "attention", [*QUERY_KEY_VALUE, normal("mask", 4, 6)],
    lambda b, q, k, v, m: b.attention(q, k, v, m, scale=0.5), mixed, symbolic=False,
)  # fmt: skip
case(
    "attention_heads_mask", "attention", [*QUERY_KEY_VALUE, normal("mask", 2, 1, 1, 6)],
    lambda b, q, k, v, m: b.attention(q, k, v, m, scale=0.5, causal="end"),
    lambda j, q, k, v, m: mixed(j, q, k, v, m, np.tri(4, 6, 2, dtype=bool)), symbolic=False,
)  # fmt: skip
case(
    "attention_tokens_first", "attention", [normal("q", 4, 3, 5), normal("k", 6, 3, 5), normal("v", 3, 6, 2)],
    lambda b, q, k, v: b.attention(q, k, v, scale=0.5, tokens_first=[0, 1, 3]),
    lambda j, q, k, v: j.np.swapaxes(mixed(j, j.np.swapaxes(q, 0, 1), j.np.swapaxes(k, 0, 1), v), 0, 1),
    symbolic=False,
)  # fmt: skip
case(
    "resize", "resize", [IMAGE],
    lambda b, x: b.insert(ResizeOp(x, "linear", [2, 3], [9, 14], [1.5, 2.0])).results[0],
    lambda j, x: j.jax.image.resize(x, (1, 2, 9, 14), "linear"), symbolic=False,
)  # fmt: skip

FIXED_SIZES = frozenset({"scatter_add", "scatter_assign", "scatter_maximum", "scatter_minimum"})
"""Cases with a constant index for each update: their sizes are not drawn."""
