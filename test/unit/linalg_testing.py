"""Kernels of graph ops on the tensor level, compiled by MLIR's own tools and compared with the ops' references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from xdsl.dialects import func, get_all_dialects
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.rewriter import Rewriter

from lamina.context import LaminaContext
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.dims import evaluate as evaluate_dim
from lamina.dialects.graph.dims import parse_dim
from lamina.dialects.graph.types import BFLOAT16, dtype_of
from lamina.lowering.graph_to_linalg.graph_to_linalg import GraphToLinalgPass
from lamina.lowering.graph_to_linalg.kernel import lower_kernel
from lamina.lowering.graph_to_linalg.rules import core_rules
from lamina.parser import parse_text
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.passes.graph.share_kernels import kernels_of
from lamina.pipelines import dialects, run_passes
from lamina.targets.reference.evaluate import evaluate
from support import upstream


def context() -> LaminaContext:
    ctx = LaminaContext()
    for name, factory in {**get_all_dialects(), **dialects()}.items():
        if name != "cpu":
            ctx.register_dialect(name, factory)
    return ctx


def drop_twins(module: ModuleOp) -> None:
    """Without the twins for calls in place (test_in_place.py runs them): MLIR copies by a function of its runtime."""
    twins = {name.string_value() for op in module.ops if (name := op.attributes.pop("lamina.in_place", None))}
    for op in list(module.ops):
        if isinstance(op, func.FuncOp) and op.sym_name.data in twins:
            Rewriter.erase_op(op)


class Compiled:
    """A module of kernels: their references, and what MLIR makes of the tensor level."""

    def __init__(self, text: str, passes: Sequence[str] = ()):
        self.context = context()
        self.graph = parse_text(self.context, text, "test.mlir")
        self.graph.verify()
        run_passes(self.graph, self.context, passes)
        module = self.graph.clone()
        self.calls = {}
        for kernel in kernels_of(module.clone()):
            # What the arguments of a lowered kernel are, in terms of those of the kernel in graph ops.
            name, analysis = kernel.sym_name.data, ShapeAnalysis(kernel)
            signature = lower_kernel(kernel, core_rules())
            origins = [analysis.origin(symbol) for symbol in signature.symbols]
            self.calls[name] = (signature.tensors, [(origin.value.index, origin.index) for origin in origins])
        GraphToLinalgPass().apply(self.context, module)
        drop_twins(module)
        module.verify()
        upstream.assert_accepted(str(module))
        self.text = str(module)
        again = parse_text(self.context, self.text, "again.mlir")
        again.verify()
        self.functions = {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}
        self.graph_functions = {op.sym_name.data: op for op in self.graph.ops if isinstance(op, func.FuncOp)}
        exported = module.clone()
        for op in exported.ops:
            if isinstance(op, func.FuncOp):
                # A name that no library has: `exp` would call itself.
                op.sym_name = StringAttr(f"kernel.{op.sym_name.data}")
                op.attributes["llvm.emit_c_interface"] = UnitAttr()
                op.properties.pop("sym_visibility", None)
        for op in exported.walk():
            if isinstance(op, func.CallOp):
                op.callee = SymbolRefAttr(f"kernel.{op.callee.string_value()}")
        self.library = upstream.Library(str(exported), [f"kernel.{name}" for name in self.functions])

    def reference(self, name: str, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        return evaluate(self.graph, inputs, function=name)

    def run(self, name: str, inputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The results; destinations of kernels start as garbage."""
        arguments: list[np.ndarray | int] = [np.ascontiguousarray(array) for array in inputs]
        if name in self.calls:
            tensors, symbols = self.calls[name]
            sizes = [int(inputs[argument].reshape(-1)[index]) for argument, index in symbols]
            arguments = [*(arguments[index] for index in tensors), *sizes, *(garbage(array) for array in expected)]
        return self.library.call(f"kernel.{name}", arguments, [(r.dtype, r.ndim) for r in expected])


def garbage(array: np.ndarray) -> np.ndarray:
    return np.full(array.nbytes, 0xAB, np.uint8).view(array.dtype).reshape(array.shape)


def check(
    compiled: Compiled, name: str, inputs: Sequence[np.ndarray], *, ulps: float = 0.0, cancels: bool = False
) -> None:
    """Results equal the reference's, floats to `ulps`; of the largest element where sums may cancel."""
    expected = compiled.reference(name, inputs)
    actual = compiled.run(name, inputs, expected)
    for left, right in zip(actual, expected, strict=True):
        assert left.shape == right.shape
        if right.dtype.kind in "iub" or ulps == 0:
            if right.dtype == BFLOAT16 or right.dtype.kind == "f":
                np.testing.assert_array_equal(left.astype(np.float64), right.astype(np.float64))
            else:
                np.testing.assert_array_equal(left, right)
            continue
        epsilon = {2: 2.0**-10, 4: 2.0**-23, 8: 2.0**-52}[right.dtype.itemsize]
        epsilon = 2.0**-7 if right.dtype == BFLOAT16 else epsilon
        wide = right.astype(np.float64)
        largest = float(np.abs(wide[np.isfinite(wide)]).max(initial=0.0))
        np.testing.assert_allclose(
            left.astype(np.float64), wide, rtol=ulps * epsilon, atol=ulps * epsilon * largest if cancels else 1e-37
        )


def module_of(*functions: str) -> str:
    return "\n".join(functions)


def kernel(name: str, arguments: str, result: str, body: str, returned: str = "%y") -> str:
    head = f"func.func private @{name}({arguments}) -> {result} attributes {{lamina.kernel}}"
    return f"{head} {{\n{body}\nfunc.return {returned} : {result}\n}}"


@cache
def compiled(text: str) -> Compiled:
    return Compiled(text)


MORE = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))

SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    1e-3,
    100.0,
    1e30,
    -1e30,
    3e9,
    -3e9,
    1e19,
    2147483648.0,
    np.inf,
    -np.inf,
    np.nan,
]


def values(
    data: st.DataObject,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    *,
    low: float = -8,
    high: float = 8,
    special: bool = True,
) -> np.ndarray:
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        wide = random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        small = random.integers(max(limits.min, -3), 4, shape).astype(dtype)
        extreme = random.choice(np.array([limits.min, limits.max, 0, 1], dtype), shape)
        return np.choose(random.integers(0, 3, shape), [wide, small, extreme]).astype(dtype)
    plain = random.uniform(low, high, shape)
    if special:
        plain = np.where(random.random(shape) < 0.4, random.choice(np.array(SPECIAL), shape), plain)
    with np.errstate(all="ignore"):
        return plain.astype(dtype)


# ---- kernels of several ops, on static and on symbolic sizes


@dataclass(frozen=True)
class Argument:
    """Sizes (names are symbolic), element type, and the range of drawn values."""

    shape: tuple[int | str, ...]
    element_type: Attribute = f32
    low: float = -8
    high: float = 8
    special: bool = False

    def draw(self, data: st.DataObject, sizes: Mapping[str, int]) -> np.ndarray:
        shape = tuple(evaluate_dim(parse_dim(size), sizes) if isinstance(size, str) else size for size in self.shape)
        dtype = dtype_of(self.element_type)
        if dtype.kind in "iu" and (self.low, self.high) != (-8, 8):
            seed = data.draw(st.integers(0, 2**32 - 1))
            return (
                np.random.default_rng(seed).integers(int(self.low), int(self.high), shape, endpoint=True).astype(dtype)
            )
        return values(data, dtype, shape, low=self.low, high=self.high, special=self.special)


Build = Callable[..., SSAValue | Sequence[SSAValue]]


@dataclass(frozen=True)
class Case:
    """A kernel; `ulps` is what it may be off, `stages` how many generics it has to become."""

    arguments: tuple[Argument, ...]
    build: Build
    ulps: float = 0
    stages: int | None = None
    kernel: bool = True

    def function(self, name: str) -> func.FuncOp:
        types = [
            TensorType(a.element_type, [DYNAMIC_INDEX if isinstance(size, str) else size for size in a.shape])
            for a in self.arguments
        ]
        block = Block(arg_types=types)
        builder = GraphBuilder.at_end(block)
        for argument, value in zip(self.arguments, block.args, strict=True):
            shape = tuple(parse_dim(size) if isinstance(size, str) else size for size in argument.shape)
            builder.declare(value, AbstractTensor(shape, argument.element_type))
        built = self.build(builder, *block.args)
        results = [built] if isinstance(built, SSAValue) else list(built)
        block.add_op(func.ReturnOp(*results))
        attributes = [
            DictionaryAttr({"lamina.dims": ArrayAttr([StringAttr(str(size)) for size in argument.shape])})
            for argument in self.arguments
        ]
        function = func.FuncOp(
            name,
            (types, [result.type for result in results]),
            Region(block),
            visibility="private",
            arg_attrs=ArrayAttr(attributes),
        )
        if self.kernel:
            function.attributes["lamina.kernel"] = UnitAttr()
        return function


def A(*shape: int | str, **options: Any) -> Argument:
    return Argument(shape, **options)


def integers(low: int, high: int, *shape: int | str, element_type: Attribute = i64) -> Argument:
    return Argument(shape, element_type, low, high)


def softmax(b: GraphBuilder, x: SSAValue) -> SSAValue:
    e = b.exp(b.subtract(x, b.reduce("maximum", x, [1], keep_dimensions=True)))
    return b.divide(e, b.reduce("add", e, [1], keep_dimensions=True))


def layer_norm(b: GraphBuilder, x: SSAValue, scale: SSAValue, bias: SSAValue) -> SSAValue:
    mean = b.multiply(b.reduce("add", x, [1], keep_dimensions=True), 1 / 16)
    centered = b.subtract(x, mean)
    variance = b.multiply(b.reduce("add", b.multiply(centered, centered), [1], keep_dimensions=True), 1 / 16)
    return b.add(b.multiply(b.multiply(centered, b.rsqrt(b.add(variance, 1e-5))), scale), bias)


def gelu(b: GraphBuilder, x: SSAValue) -> SSAValue:
    return b.multiply(b.multiply(x, 0.5), b.add(b.erf(b.multiply(x, 0.7071067811865476)), 1.0))


def matmul(b: GraphBuilder, x: SSAValue, w: SSAValue) -> SSAValue:
    return b.create(
        "dot_general",
        (x, w),
        lhs_contracting_dimensions=[b.rank(x) - 1],
        rhs_contracting_dimensions=[b.rank(w) - 2],
        lhs_batching_dimensions=range(b.rank(w) - 2),
        rhs_batching_dimensions=range(b.rank(w) - 2),
    )


def heads(b: GraphBuilder, x: SSAValue) -> SSAValue:
    """[batch · sequence, 2 · 4] to [batch, heads, sequence, 4] with 3 positions."""
    return b.transpose(b.reshape(x, [-1, 3, 2, 4]), [0, 2, 1, 3])


def convolution(b: GraphBuilder, x: SSAValue, w: SSAValue, **options: Any) -> SSAValue:
    return b.insert(ConvolutionOp(x, w, **options)).results[0]
