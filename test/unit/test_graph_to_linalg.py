"""graph-to-linalg against the graph ops' references: MLIR's own lowering and LLVM run the tensor level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects import func, get_all_dialects
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DictionaryAttr,
    FileLineColLoc,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.rewriter import Rewriter

from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.convolution import AxisOrder, ConvolutionOp
from lamina.dialects.graph.dims import evaluate as evaluate_dim
from lamina.dialects.graph.dims import parse_dim
from lamina.dialects.graph.types import BFLOAT16, DTYPES, dtype_of, ui8, ui16
from lamina.lowering.graph_to_linalg.graph_to_linalg import GraphToLinalgPass
from lamina.lowering.graph_to_linalg.kernel import lower_kernel
from lamina.lowering.graph_to_linalg.rules import core_rules
from lamina.parser import parse_text
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.passes.graph.share_kernels import kernels_of
from lamina.passes.tensor.assign_schedules import AssignSchedulesPass
from lamina.pipelines import dialects, run_passes
from lamina.targets.reference.evaluate import evaluate
from support import upstream

pytestmark = pytest.mark.skipif(not upstream.is_available(), reason="MLIR's tools (mlir-22-tools) are not installed")


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


# ---- elementwise

UNARY_FLOAT = {
    "abs": 0,
    "negate": 0,
    "sign": 0,
    "floor": 0,
    "ceil": 0,
    "round_nearest_even": 0,
    "sqrt": 1,
    "rsqrt": 3,
    "exp": 4,
    "expm1": 4,
    "log": 4,
    "log1p": 4,
    "sin": 4,
    "cos": 4,
    "tan": 8,
    "asin": 4,
    "acos": 4,
    "atan": 4,
    "sinh": 8,
    "cosh": 8,
    "asinh": 8,
    "acosh": 8,
    "atanh": 8,
    "tanh": 4,
    "erf": 8,
    "logistic": 8,
}
UNARY_INTEGER = ("abs", "negate", "sign", "not")
BINARY_FLOAT = {
    "add": 0,
    "subtract": 0,
    "multiply": 0,
    "divide": 0,
    "remainder": 0,
    "power": 8,
    "maximum": 0,
    "minimum": 0,
    "atan2": 4,
}
BINARY_INTEGER = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "remainder",
    "power",
    "maximum",
    "minimum",
    "and",
    "or",
    "xor",
    "shift_left",
    "shift_right",
)
DIRECTIONS = ("EQ", "NE", "LT", "LE", "GT", "GE")
FLOATS = [str(t) for t, d in DTYPES.items() if d.kind == "f" or d == BFLOAT16]
INTEGERS = [str(t) for t, d in DTYPES.items() if d.kind in "iu"]
TYPES = {str(t): d for t, d in DTYPES.items()}

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


def elementwise_module(element_type: str) -> str:
    vector = f"tensor<?x{element_type}>"
    one, two = (
        f'%a: {vector} {{lamina.dims = ["n"]}}',
        f'%a: {vector} {{lamina.dims = ["n"]}}, %b: {vector} {{lamina.dims = ["n"]}}',
    )
    is_float = element_type in FLOATS
    functions = []
    for op in UNARY_FLOAT if is_float else UNARY_INTEGER:
        functions.append(kernel(op, one, vector, f"%y = graph.{op} %a : {vector}"))
    for op in BINARY_FLOAT if is_float else BINARY_INTEGER:
        functions.append(kernel(op, two, vector, f"%y = graph.{op} %a, %b : {vector}"))
    for direction in DIRECTIONS:
        functions.append(
            kernel(
                direction,
                two,
                "tensor<?xi1>",
                f"%y = graph.compare {direction}, %a, %b : {vector}, {vector} -> tensor<?xi1>",
            )
        )
    three = two + f', %c: {vector} {{lamina.dims = ["n"]}}'
    functions.append(kernel("clamp", three, vector, f"%y = graph.clamp %a, %b, %c : {vector}"))
    if is_float:
        functions.append(kernel("is_nan", one, "tensor<?xi1>", f"%y = graph.is_nan %a : {vector} -> tensor<?xi1>"))
        for negative, positive in ((True, True), (True, False), (False, True), (False, False)):
            flags = f"negative {str(negative).lower()}, positive {str(positive).lower()}"
            body = f"%y = graph.is_inf %a, {flags} : {vector} -> tensor<?xi1>"
            functions.append(kernel(f"is_inf_{negative}_{positive}", one, "tensor<?xi1>", body))
    return module_of(*functions)


@pytest.mark.parametrize("element_type", [*FLOATS, *INTEGERS])
def test_elementwise(element_type: str):
    library = compiled(elementwise_module(element_type))

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        size = data.draw(st.integers(0, 40))
        for name, function in library.graph_functions.items():
            inputs = [values(data, TYPES[element_type], (size,)) for _ in function.body.block.args]
            ulps = {**UNARY_FLOAT, **BINARY_FLOAT}.get(name, 0) if element_type in FLOATS else 0
            if element_type in ("f16", "bf16"):
                ulps = min(ulps, 1)
            check(library, name, inputs, ulps=ulps)

    run()


@pytest.mark.parametrize("source", TYPES)
def test_cast(source: str):
    functions = [
        kernel(
            f"to_{target}",
            f"%a: tensor<?x{source}>",
            f"tensor<?x{target}>",
            f"%y = graph.cast %a : tensor<?x{source}> -> tensor<?x{target}>",
        )
        for target in TYPES
    ]
    library = compiled(module_of(*functions))

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        inputs = [values(data, TYPES[source], (data.draw(st.integers(0, 60)),), low=-300, high=300)]
        for name in library.graph_functions:
            check(library, name, inputs)

    run()


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


NHWC, HWIO = AxisOrder(0, 3, (1, 2)), AxisOrder(3, 2, (0, 1))

CASES: dict[str, Case] = {
    # data movement
    "transpose": Case((A(2, 3, "n"),), lambda b, x: b.transpose(x, [2, 0, 1]), stages=1),
    "broadcast": Case((A(3, 1, element_type=i32),), lambda b, x: b.broadcast(x, [2, 3, 4]), stages=1),
    "broadcasting": Case((A("n", 1, 4), A(3, 1), A()), lambda b, x, y, z: b.multiply(b.add(x, y), z), stages=1),
    "equal_symbols": Case((A("n", "m"), A("m")), lambda b, x, y: b.add(x, y), stages=1),
    "assumed_equal": Case((A("n", 3), A("same_as_n", 3)), lambda b, x, y: b.add(x, b.exp(y)), ulps=4, stages=1),
    "assumed_equal_static": Case(
        (A("n + 4", "p"), A(4, "p")), lambda b, x, y: b.add(b.slice(x, [0, 0], [4, 2**62]), y)
    ),
    "slice": Case((A(7, 9),), lambda b, x: b.slice(x, [1, -8], [7, -1], [2, 2]), stages=1),
    "slice_front": Case((A(7),), lambda b, x: b.slice(x, [0], [3]), stages=1),
    "slice_symbolic": Case((A("n", 9),), lambda b, x: b.slice(x, [-3, 1], [2**62, -1], [2, 1]), stages=1),
    "slice_of_transpose": Case(
        (A(4, "n"),), lambda b, x: b.slice(b.transpose(x, [1, 0]), [1, 0], [2**62, 3]), stages=1
    ),
    "reverse": Case((A("n", 5),), lambda b, x: b.reverse(x, [0, 1]), stages=1),
    "reverse_static": Case((A(4, 5),), lambda b, x: b.exp(b.reverse(x, [1])), stages=1, ulps=4),
    "reshape_split": Case((A("n", 12),), lambda b, x: b.negate(b.reshape(x, [-1, 3, 4])), stages=1),
    "reshape_merge": Case((A("n", 3, 4),), lambda b, x: b.negate(b.reshape(x, [-1, 12])), stages=1),
    "reshape_mixed": Case((A(4, 6),), lambda b, x: b.negate(b.reshape(x, [3, 8])), stages=1),
    "reshape_all": Case((A("n", 3, "m"),), lambda b, x: b.negate(b.reshape(x, [-1])), stages=1),
    "reshape_units": Case((A(1, "n", 1, 3),), lambda b, x: b.negate(b.reshape(x, [-1, 1, 3, 1])), stages=1),
    "split_transpose_merge": Case(
        (A(6, 8),), lambda b, x: b.reshape(b.transpose(b.reshape(x, [2, 3, 2, 4]), [0, 2, 1, 3]), [4, 12]), stages=1
    ),
    "pad": Case((A(3, 4),), lambda b, x: b.pad(b.exp(x), 7.0, [1, -1], [2, 3]), stages=1, ulps=4),
    "pad_symbolic": Case((A("n", 4),), lambda b, x: b.pad(x, -1.0, [1, 0], [0, 2]), stages=1),
    "pad_interior": Case((A("n", 4),), lambda b, x: b.pad(x, 0.5, [1, -1], [2, 1], [1, 2]), stages=1),
    "pad_edge": Case((A("p", 4),), lambda b, x: b.pad(x, 0.0, [2, 1], [1, 3], mode="edge"), stages=1),
    "pad_reflect": Case((A("p", 4),), lambda b, x: b.pad(x, 0.0, [5, 1], [7, 9], mode="reflect"), stages=1),
    "concatenate": Case((A(2, 3), A(2, 1), A(2, 0), A(2, 4)), lambda b, *x: b.concatenate(x, 1), stages=1),
    "concatenate_symbolic": Case(
        (A("n", 2), A("m", 2), A(1, 2)), lambda b, *x: b.concatenate([b.exp(x[0]), *x[1:]], 0), stages=1, ulps=4
    ),
    "concatenate_sum": Case((A("n"), A("m")), lambda b, *x: b.reduce("maximum", b.concatenate(x, 0), [0])),
    "take": Case((A(5, 4), integers(-2, 7, "n", 3)), lambda b, x, i: b.take(x, i, 0), stages=1),
    "take_inner": Case((A(2, 5, 3), integers(-2, 7, "n", element_type=i32)), lambda b, x, i: b.take(x, i, 1), stages=1),
    "take_unsigned": Case((A(5), integers(0, 255, "n", element_type=ui8)), lambda b, x, i: b.take(x, i, 0), stages=1),
    "take_symbolic": Case((A("p", 2), integers(-9, 9, "n")), lambda b, x, i: b.take(x, i, 0), stages=1),
    "take_negative": Case(
        (A(5, 4), integers(-5, 4, "n")),
        lambda b, x, i: b.take(x, b.select(b.compare("LT", i, 0), b.add(i, 5), i), 0),
        stages=1,
    ),
    "gather_points": Case(
        (A(4, 5), integers(-1, 6, "n", 2)),
        lambda b, x, i: b.gather(
            x, i, slice_sizes=[1, 1], collapsed_slice_dims=[0, 1], start_index_map=[1, 0], index_vector_dim=1
        ),
        stages=1,
    ),
    "gather_windows": Case(
        (A(6, 5), integers(-1, 6, 2, "n")),
        lambda b, x, i: b.gather(
            x, i, slice_sizes=[3, 2], offset_dims=[0, 2], start_index_map=[0, 1], index_vector_dim=0
        ),
        stages=1,
    ),
    "gather_batched": Case(
        (A(3, 4, 2), integers(-1, 5, 5, 3, 1)),
        lambda b, x, i: b.gather(
            x,
            i,
            slice_sizes=[1, 1, 2],
            offset_dims=[2],
            collapsed_slice_dims=[1],
            operand_batching_dims=[0],
            start_indices_batching_dims=[1],
            start_index_map=[1],
            index_vector_dim=2,
        ),
        stages=1,
    ),
    "dynamic_slice": Case(
        (A(9),),
        lambda b, x: b.dynamic_slice(
            x, b.constant(np.array([-4])), b.constant(np.array([99])), b.constant(np.array([2]))
        ),
        stages=1,
    ),
    "dynamic_update_slice": Case(
        (A(5, 6), A(2, 3), integers(-3, 9, 2)), lambda b, x, u, i: b.dynamic_update_slice(x, u, i), stages=1
    ),
    "dynamic_update_slice_symbolic": Case(
        (A("n + 1", 6), A(1, 6), integers(0, 3, 2)),
        lambda b, x, u, i: b.dynamic_update_slice(x, b.exp(u), i),
        ulps=4,
        stages=1,
    ),
    "iota": Case((A(3, 4),), lambda b, x: b.add(x, b.iota(f32, [3, 4], 1)), stages=1),
    "iota_u8": Case((A(300, element_type=ui8),), lambda b, x: b.add(x, b.iota(ui8, [300], 0)), stages=1),
    "dimension": Case((A("n", 3),), lambda b, x: b.add(x, b.cast(b.create("dimension", (x,), axis=0), f32)), stages=1),
    "table": Case((A("n", 3),), lambda b, x: b.add(x, b.constant(np.array([1, 2, 3], np.float32))), stages=1),
    # reductions
    **{
        f"reduce_{kind}_{element_type}": Case(
            (A("n", 3, "m", element_type=element_type),), lambda b, x, kind=kind: b.reduce(kind, x, [0, 2]), ulps=16
        )
        for kind in ("add", "multiply", "maximum", "minimum")
        for element_type in (f32, f64, f16, bf16, i32, ui8)
    },
    **{
        f"reduce_{kind}": Case(
            (A("n", 3, element_type=i1),), lambda b, x, kind=kind: b.reduce(kind, x, [0], keep_dimensions=True)
        )
        for kind in ("and", "or")
    },
    "reduce_exp": Case((A("n", 5),), lambda b, x: b.reduce("add", b.exp(x), [1]), ulps=8, stages=1),
    "reduce_to_scalar": Case((A("n", 5),), lambda b, x: b.exp(b.reduce("maximum", x, [0, 1])), ulps=4, stages=2),
    "reduce_broadcast": Case((A("n", 1),), lambda b, x: b.reduce("add", b.broadcast(x, [-1, 7]), [1]), ulps=8),
    "reduce_nan": Case((A("n", 5, special=True),), lambda b, x: b.reduce("maximum", x, [1])),
    **{
        f"arg_{kind}_{element_type}_{last}": Case(
            (A("n", 4, 2, element_type=element_type, special=True),),
            lambda b, x, kind=kind, last=last: b.create(
                "arg_reduce", (x,), kind=kind, dimension=1, keep_dimensions=last, select_last=last
            ),
            stages=1,
        )
        for kind in ("maximum", "minimum")
        for element_type in (f32, i8, ui16)
        for last in (True, False)
    },
    **{
        f"cumulative_{kind}_{exclusive}_{reverse}": Case(
            (A(3, "n", 2, element_type=element_type),),
            lambda b, x, kind=kind, e=exclusive, r=reverse: b.create(
                "cumulative", (x,), kind=kind, dimension=1, exclusive=e, reverse=r
            ),
            ulps=16,
        )
        for kind, element_type in (("add", f32), ("multiply", f16), ("maximum", i32))
        for exclusive in (True, False)
        for reverse in (True, False)
    },
    "max_pool": Case(
        (A(1, 2, 7, "n + 3"),),
        lambda b, x: b.create(
            "reduce_window",
            (x,),
            kind="maximum",
            window_dimensions=[1, 1, 3, 2],
            window_strides=[1, 1, 2, 1],
            window_dilations=[1, 1, 1, 2],
            padding=[0, 0, 0, 0, 1, 1, 0, 1],
        ),
        stages=2,
    ),
    "sum_pool": Case(
        (A(1, 4, 4, 3, element_type=f16),),
        lambda b, x: b.create(
            "reduce_window",
            (b.exp(x),),
            kind="add",
            window_dimensions=[1, 2, 2, 1],
            window_strides=[1, 2, 2, 1],
            window_dilations=[1, 1, 1, 1],
            padding=[0] * 8,
        ),
        ulps=2,
    ),
    # what transformers are made of
    "softmax": Case((A("n", 6),), softmax, ulps=16, stages=4),
    "layer_norm": Case((A("n", 16), A(16), A(16)), layer_norm, ulps=64),
    "matmul": Case((A("n", 5), A(5, 7)), matmul, ulps=16, stages=1),
    "matmul_static": Case((A(4, 5), A(5, 7)), matmul, ulps=16, stages=1),
    "matmul_bias_gelu": Case(
        (A("n", 5), A(5, 7), A(7)), lambda b, x, w, c: gelu(b, b.add(matmul(b, x, w), c)), ulps=32, stages=2
    ),
    "matmul_residual": Case(
        (A("n", 5), A(5, 7), A("n", 7)), lambda b, x, w, r: b.add(r, matmul(b, x, w)), ulps=32, stages=2
    ),
    "matmul_transposed": Case(
        (A("n", 5), A(7, 5)), lambda b, x, w: matmul(b, x, b.transpose(w, [1, 0])), ulps=16, stages=2
    ),
    "matmul_to_transposed": Case(
        (A("n", 5), A(5, 7)), lambda b, x, w: b.transpose(matmul(b, x, w), [1, 0]), ulps=16, stages=2
    ),
    "matmul_epilogue_transposed": Case(
        (A("n", 5), A(5, 7), A(7)),
        lambda b, x, w, c: b.transpose(b.tanh(b.add(matmul(b, x, w), c)), [1, 0]),
        ulps=32,
        stages=2,
    ),
    "matmul_of_exp": Case((A("n", 5), A(5, 7)), lambda b, x, w: matmul(b, b.exp(x), w), ulps=16, stages=2),
    "matmul_of_slice": Case(
        (A("n", 10), A(5, 7)), lambda b, x, w: matmul(b, b.slice(x, [0, 5], [2**62, 10]), w), ulps=16, stages=1
    ),
    "matmul_of_front": Case(
        (A("n", 10), A(5, 7)), lambda b, x, w: matmul(b, b.slice(x, [0, 0], [2**62, 5]), w), ulps=16, stages=2
    ),
    "matmul_of_constant": Case(
        (A("n", 3),), lambda b, x: matmul(b, x, b.constant(np.ones((3, 2), np.float32))), ulps=16
    ),
    "matmul_softmax": Case((A("n", 5), A(5, 7)), lambda b, x, w: softmax(b, b.multiply(matmul(b, x, w), 0.5)), ulps=64),
    "matmul_two": Case(
        (A("n", 5), A(5, 4), A(5, 4)),
        lambda b, x, w, v: b.multiply(matmul(b, x, w), b.logistic(matmul(b, x, v))),
        ulps=32,
        stages=3,
    ),
    "matmul_used_twice": Case(
        (A("n", 5), A(5, 4)), lambda b, x, w: (lambda p: [p, b.exp(p)])(matmul(b, x, w)), ulps=64, stages=2
    ),
    "matmul_f16": Case(
        (A("n", 5, element_type=f16), A(5, 7, element_type=f16), A(7, element_type=f16)),
        lambda b, x, w, c: b.add(matmul(b, x, w), c),
        ulps=2,
        stages=2,
    ),
    "matmul_bf16_into_f32": Case(
        (A("n", 5, element_type=bf16), A(5, 7, element_type=bf16)),
        lambda b, x, w: b.create(
            "dot_general",
            (x, w),
            lhs_contracting_dimensions=[1],
            rhs_contracting_dimensions=[0],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
            element_type=f32,
        ),
        ulps=16,
        stages=1,
    ),
    "matmul_u8_i8": Case(
        (A("n", 5, element_type=ui8), A(5, 7, element_type=i8)),
        lambda b, x, w: b.create(
            "dot_general",
            (x, w),
            lhs_contracting_dimensions=[1],
            rhs_contracting_dimensions=[0],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
            element_type=i32,
        ),
        stages=1,
    ),
    "matmul_empty": Case((A("n", 0), A(0, 3)), matmul),
    "batch_matmul": Case((A("n", 2, 3, 4), A("n", 2, 4, 5)), matmul, ulps=16, stages=1),
    "attention_scores": Case(
        (A("3*n", 8), A("3*n", 8)),
        lambda b, q, k: b.multiply(matmul(b, heads(b, q), b.transpose(heads(b, k), [0, 1, 3, 2])), 0.5),
        ulps=32,
        stages=3,
    ),
    "multiply_outer": Case(
        (A("n"), A("m")),
        lambda b, x, y: b.create(
            "dot_general",
            (x, y),
            lhs_contracting_dimensions=[],
            rhs_contracting_dimensions=[],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
        ),
        ulps=1,
    ),
    "dot_product": Case(
        (A("n"), A("n")),
        lambda b, x, y: b.create(
            "dot_general",
            (x, y),
            lhs_contracting_dimensions=[0],
            rhs_contracting_dimensions=[0],
            lhs_batching_dimensions=[],
            rhs_batching_dimensions=[],
        ),
        ulps=64,
    ),
    # convolutions
    "convolution": Case(
        (A("n", 3, 5, 6), A(4, 3, 3, 2)), lambda b, x, w: convolution(b, x, w, window_strides=[2, 1]), ulps=32, stages=1
    ),
    "convolution_bias_relu": Case(
        (A("n", 5, 6, 3), A(3, 3, 3, 4), A(4)),
        lambda b, x, w, c: b.maximum(
            b.add(
                convolution(
                    b,
                    x,
                    w,
                    window_strides=[1, 1],
                    padding=[1, 1, 1, 1],
                    input_order=NHWC,
                    kernel_order=HWIO,
                    output_order=NHWC,
                ),
                c,
            ),
            0.0,
        ),
        ulps=32,
        stages=3,
    ),
    "convolution_dilated": Case(
        (A(1, 2, 9), A(3, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[2], padding=[1, 2], rhs_dilation=[2]),
        ulps=32,
        stages=2,
    ),
    "convolution_transposed": Case(
        (A(1, 2, 5), A(3, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], padding=[1, 2], lhs_dilation=[2]),
        ulps=32,
        stages=2,
    ),
    "convolution_grouped": Case(
        (A(2, 4, 5), A(6, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], feature_group_count=2),
        ulps=32,
        stages=1,
    ),
    "convolution_depthwise": Case(
        (A(2, 4, 5), A(4, 1, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], feature_group_count=4),
        ulps=32,
        stages=1,
    ),
    "convolution_group_of_two": Case(
        (A(2, 6, 5), A(3, 2, 3)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], feature_group_count=3),
        ulps=32,
        stages=1,
    ),
    "convolution_f16": Case(
        (A(2, 3, 5, element_type=f16), A(4, 3, 3, element_type=f16)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1], padding=[1, 1]),
        ulps=2,
    ),
    "convolution_3d": Case(
        (A(1, 2, 3, 4, 3), A(2, 2, 2, 2, 2)),
        lambda b, x, w: convolution(b, x, w, window_strides=[1, 1, 1]),
        ulps=32,
        stages=1,
    ),
    # several results, results that are arguments, nothing to compute
    "two_results": Case((A("n"),), lambda b, x: [b.exp(x), b.negate(x)], ulps=4, stages=2),
    "same_result_twice": Case((A("n"),), lambda b, x: (lambda y: [y, y])(b.exp(x)), ulps=4, stages=2),
    "argument_as_result": Case((A("n"),), lambda b, x: [x, b.negate(x)], stages=2),
    "empty": Case((A(0, 3),), lambda b, x: b.exp(x), stages=0),
    "scalar": Case((A(),), lambda b, x: b.exp(x), ulps=4, stages=1),
    "expensive_twice": Case(
        (A("n", 4), A(4)),
        lambda b, x, y: b.multiply(b.exp(y), b.add(x, b.reduce("add", b.exp(x), [1], keep_dimensions=True))),
        ulps=16,
        stages=3,
    ),
}


@cache
def case_library() -> Compiled:
    return compiled(str(ModuleOp([case.function(name) for name, case in CASES.items()])))


@pytest.mark.parametrize("name", CASES)
def test_kernel(name: str):
    case, library = CASES[name], case_library()
    generics = [op for op in library.functions[name].walk() if op.name == "linalg.generic"]
    if case.stages is not None:
        assert len(generics) == case.stages, str(library.functions[name])

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        n = data.draw(st.integers(0, 5))
        sizes = {
            "n": n,
            "same_as_n": n,
            "m": data.draw(st.integers(0, 4)),
            "p": data.draw(st.integers(1, 5)),
        }
        inputs = [argument.draw(data, sizes) for argument in case.arguments]
        check(library, name, inputs, ulps=case.ulps, cancels=True)

    run()


# ---- functions that call kernels

FORM_KERNELS = ("infer-types", "form-kernels", "decompose", "share-kernels")


def branch(b: GraphBuilder, x: SSAValue) -> SSAValue:
    positive = b.compare("GT", b.reduce("add", x, [0]), 0.0)
    return b.if_(positive, lambda: [b.exp(x)], lambda: [b.negate(x)])[0]


def loop(b: GraphBuilder, x: SSAValue, count: SSAValue) -> Sequence[SSAValue]:
    return b.while_(
        [b.constant(0), x],
        lambda values: [b.compare("LT", values[0], count)],
        lambda values: [b.add(values[0], 1), b.multiply(values[1], 1.5)],
    )


CALLERS: dict[str, Case] = {
    "views": Case(
        (A("n", 6), A(8, 3)),
        lambda b, x, w: b.reshape(matmul(b, b.dynamic_reshape(x, b.constant(np.array([-1, 8]))), w), [-1]),
        ulps=16,
    ),
    "shape_arithmetic": Case(
        (A("n", 2, 3), A(3, 4)),
        lambda b, x, w: (
            lambda shape: b.dynamic_reshape(
                matmul(b, b.reshape(x, [-1, 3]), w),
                b.concatenate([b.slice(shape, [0], [2]), b.constant(np.array([4]))], 0),
            )
        )(b.create("shape_of", (x,))),
        ulps=16,
    ),
    "shape_as_result": Case(
        (A("n", "m"),), lambda b, x: [b.create("shape_of", (x,)), b.create("dimension", (x,), axis=1)]
    ),
    "slice_by_shape": Case(
        (A("n + 1"), A("n")),
        lambda b, x, y: b.add(
            y,
            b.dynamic_slice(
                x, b.constant(np.array([1])), b.add(b.create("shape_of", (y,)), 1), b.constant(np.array([1]))
            ),
        ),
    ),
    "constants": Case(
        (A("n", 3),),
        lambda b, x: [b.add(x, b.constant(np.arange(3, dtype=np.float32))), b.constant(np.array([True, False]))],
    ),
    "unsigned": Case((A("n", element_type=ui8),), lambda b, x: b.add(x, b.constant(np.uint8(250)))),
    "branch": Case((A("n"),), branch, ulps=4),
    "loop": Case((A("n"), integers(0, 5)), loop),
    "data_as_start": Case(
        (A("n + 4", 2), integers(0, 9, 2)),
        lambda b, x, i: b.dynamic_update_slice(x, b.constant(np.ones((1, 1), np.float32)), i),
    ),
    "scalar_view": Case((A(1, 1),), lambda b, x: b.exp(b.reshape(x, [])), ulps=4),
    "view_of_scalar": Case((A(),), lambda b, x: b.exp(b.reshape(x, [1, 1])), ulps=4),
    "view_as_result": Case((A("n", 2),), lambda b, x: b.reshape(b.exp(x), [-1]), ulps=4),
    "argument_as_result": Case((A("n", 2),), lambda b, x: x),
    "empty_axis": Case((A("n", 0),), lambda b, x: b.exp(x)),
}


@cache
def caller_library() -> Compiled:
    cases = [replace(case, kernel=False).function(name) for name, case in CALLERS.items()]
    return Compiled(str(ModuleOp(cases)), FORM_KERNELS)


@pytest.mark.parametrize("name", CALLERS)
def test_caller(name: str):
    case, library = CALLERS[name], caller_library()

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        sizes = {"n": 4 * data.draw(st.integers(0, 3)), "m": data.draw(st.integers(0, 4))}
        check(library, name, [argument.draw(data, sizes) for argument in case.arguments], ulps=case.ulps, cancels=True)

    run()


@cache
def inline_library() -> Compiled:
    return Compiled(str(ModuleOp([replace(case, kernel=False).function(name) for name, case in CASES.items()])))


@pytest.mark.parametrize("name", CASES)
def test_ops_outside_kernels(name: str):
    """Without kernels every op is lowered where it stands."""
    case, library = CASES[name], inline_library()

    @settings(MORE, max_examples=5)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        n = data.draw(st.integers(0, 5))
        sizes = {
            "n": n,
            "same_as_n": n,
            "m": data.draw(st.integers(2, 4)),
            "p": data.draw(st.integers(1, 5)),
        }
        inputs = [argument.draw(data, sizes) for argument in case.arguments]
        check(library, name, inputs, ulps=4 * case.ulps, cancels=True)

    run()


# ---- what holds of every module


def test_text_round_trips_through_mlir():
    for library in (case_library(), caller_library()):
        upstream.pipe(upstream.MLIR_OPT, ("--verify-roundtrip",), library.text)


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_schedules_fit_and_are_accepted(bits: int):
    """Every generic has a schedule of its own axes; accumulators, columns and a broadcast fit the registers."""
    ctx = context()
    module = parse_text(ctx, case_library().text, "test.mlir")
    module.attributes["lamina.target"] = DictionaryAttr({"vector_bits": IntegerAttr(bits, i64)})
    AssignSchedulesPass().apply(ctx, module)
    module.verify()
    upstream.assert_accepted(str(module))
    registers = 31 if bits == 512 else 15
    contractions = 0
    for op in module.walk():
        if op.name != "linalg.generic":
            continue
        names = [name.data for name in op.attributes["lamina.axes"]]
        schedule = op.attributes["lamina.schedule"].data
        parallel = [name.data for name in schedule["parallel"]]
        kinds = {name: kind.data.value for name, kind in zip(names, op.iterator_types, strict=True)}
        assert all(kinds[name] == "parallel" for name in parallel)
        if schedule["kind"].data == "rows":
            assert names[: len(parallel)] == parallel
            continue
        contractions += 1
        row, column = schedule["row"].data, schedule["column"].data
        tile = {name: size.value.data for name, size in schedule["tile"].data.items()}
        lanes = bits // (64 if op.body.block.args[-1].type == f64 else 32)
        vectors = tile[column] // lanes
        assert tile[column] % lanes == 0
        assert tile[row] * vectors + vectors + 1 <= registers
        assert schedule["block"].data[row].value.data % tile[row] == 0
    assert contractions >= 10


def test_ops_have_their_locations():
    """Every op of a lowered kernel is from a line of the graph level."""
    text = elementwise_module("f32")
    ctx = context()
    module = parse_text(ctx, text, "model.mlir")
    GraphToLinalgPass().apply(ctx, module)
    lines = text.splitlines()
    for function in module.ops:
        for op in function.walk():
            assert isinstance(op.location, FileLineColLoc), op
            assert op.location.filename.data == "model.mlir"
    tanh = next(op for op in module.walk() if op.name == "math.tanh")
    assert "graph.tanh" in lines[tanh.location.line.data - 1]


def test_op_without_lowering_is_an_error():
    text = kernel(
        "k", "%x: tensor<2x3xf32>", "tensor<2x3xf32>", "%y = graph.softmax %x, 1 : tensor<2x3xf32> -> tensor<2x3xf32>"
    )
    ctx = context()
    module = parse_text(ctx, text, "model.mlir")
    with pytest.raises(LaminaError, match=r"model.mlir:2:\d+: no lowering to linalg for 'graph.softmax'"):
        GraphToLinalgPass().apply(ctx, module)
