"""Random graph modules for hypothesis: a few arguments with a symbolic size, a few ops, several results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp, f32, i64
from xdsl.ir import SSAValue

from graph_models import module_of, normal
from lamina.context import LaminaContext
from lamina.dialects.graph.builder import GraphBuilder

ARGUMENTS = ((["n", 4], f32), (["n", 1], f32), ([4, 4], f32), (["n", 2, 4], f32), (["n", 4], i64))

UNARY = ("negate", "abs", "tanh", "logistic", "relu", "gelu", "silu", "erf")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")


def inputs_for(size: int) -> list[np.ndarray]:
    """Arguments for n = size; small integers, so that sums are exact in any order, with a NaN and an infinity."""
    rng = np.random.default_rng(size)
    shapes = [[size if dim == "n" else dim for dim in dims] for dims, _ in ARGUMENTS]
    arrays = [rng.integers(-3, 4, shape).astype(np.float32) for shape in shapes[:-1]]
    if size > 1:
        arrays[0][0, 0], arrays[0][1, 1] = np.nan, np.inf
    return [*arrays, rng.integers(-2, 6, shapes[-1])]


class Step:
    """One op on values built before, chosen by integers that hypothesis shrinks."""

    def __init__(self, kind: str, first: int, second: int, option: int):
        self.kind, self.first, self.second, self.option = kind, first, second, option

    def __repr__(self) -> str:
        return f"{self.kind}({self.first}, {self.second}, {self.option})"

    def build(self, b: GraphBuilder, values: list[SSAValue]) -> SSAValue | None:
        x = values[self.first % len(values)]
        floats = b.element_type(x) == f32
        rank, option = b.rank(x), self.option
        shape = b.shape(x)
        match self.kind:
            case "unary" if floats:
                return getattr(b, UNARY[option % len(UNARY)])(x)
            case "binary":
                return self.binary(b, x, values[self.second % len(values)])
            case "transpose" if rank > 1:
                axes = [*range(rank)]
                return b.transpose(x, axes[option % rank :] + axes[: option % rank])
            case "reduce" if rank and floats:
                kind = ("add", "maximum", "minimum")[option % 3]
                return b.reduce(kind, x, (self.second % rank,), option % 2 == 0)
            case "mean" if rank and floats and isinstance(shape[-1], int):
                return b.mean(x, (rank - 1,), option % 3 != 0)
            case "row" if rank and floats:
                return (b.softmax, b.log_softmax)[option % 2](x, self.second % rank)
            case "norm" if rank > 1 and floats and isinstance(shape[-1], int):
                return b.rms_norm(x, normal(np.random.default_rng(1), shape[-1]), rank - 1, 1e-3)
            case "dot" if rank and floats and shape[-1] == 4:
                weight = np.arange(-6, 6, dtype=np.float32).reshape((4, 3) if option % 2 else (3, 4))
                product = b.dot_general(x, weight, (rank - 1,), (0 if option % 2 else 1,))
                return b.dot_general(product, np.ones((3, 4), np.float32), (rank - 1,), (0,))
            case "slice" if rank:
                return b.slice(x, (0,) * rank, (2**40,) * (rank - 1) + (2 + option % 2,))
            case "reverse" if rank:
                return b.reverse(x, (self.second % rank,))
            case "concatenate" if rank:
                return b.concatenate([x, x] if option % 2 else [x, b.negate(x)], self.second % rank)
            case "pad" if rank and floats:
                return b.pad(x, 1.0, (option % 2,) * rank, (1,) * rank)
            case "broadcast":
                return b.broadcast(x, (2, *(-1,) * rank))
            case "cast":
                return b.cast(x, i64 if floats and option % 2 else f32)
            case "select":
                y = values[self.second % len(values)]
                if b.element_type(y) == b.element_type(x) and b.shape(y) == shape:
                    return b.select(b.compare("LT", x, y), y, x)
            case "arg" if rank and floats and isinstance(shape[-1], int) and shape[-1]:
                return b.arg_reduce("maximum", x, rank - 1, option % 2 == 0)
            case "reshape" if rank:
                return b.reshape(x, (-1,))
            case "cumulative" if rank and floats:
                return b.cumulative("add", x, self.second % rank)
            case _:
                pass
        return None

    def binary(self, b: GraphBuilder, x: SSAValue, y: SSAValue) -> SSAValue | None:
        if b.element_type(x) != b.element_type(y):
            return b.add(x, 1)
        pairs = zip(reversed(b.shape(x)), reversed(b.shape(y)), strict=False)
        if not all(left == right or 1 in (left, right) for left, right in pairs):
            return b.multiply(x, 2)
        return getattr(b, BINARY[self.option % len(BINARY)])(x, y)


KINDS = (
    "unary",
    "binary",
    "binary",
    "transpose",
    "reduce",
    "mean",
    "row",
    "norm",
    "dot",
    "slice",
    "reverse",
    "concatenate",
    "pad",
    "broadcast",
    "cast",
    "select",
    "arg",
    "reshape",
    "cumulative",
)


@st.composite
def programs(draw: st.DrawFn) -> Callable[[LaminaContext], ModuleOp]:
    """Functions that build a module in a context."""
    number = st.integers(0, 11)
    steps = draw(st.lists(st.builds(Step, st.sampled_from(KINDS), number, number, number), min_size=8, max_size=20))
    returned = draw(st.lists(number, max_size=3))

    class Program:
        def __call__(self, ctx: LaminaContext) -> ModuleOp:
            return module_of(ctx, ARGUMENTS, self.build)

        def build(self, b: GraphBuilder, *arguments: SSAValue) -> list[SSAValue]:
            values = list(arguments)
            for step in steps:
                made = step.build(b, values)
                if made is not None:
                    # Newest first: chains are more telling than stars.
                    values.insert(0, made)
            return [values[0], *(values[index % len(values)] for index in returned)]

        def __repr__(self) -> str:
            return f"steps={steps}, returned={returned}"

    return Program()
