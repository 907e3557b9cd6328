"""Whole graphs compiled to machine code, against the ops' references; inputs and outputs end at an unmapped page."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, bf16, f16, f32, i64

import lamina
from graph_models import module_of, normal
from lamina import api, pipelines
from lamina.context import LaminaContext
from lamina.dialects.graph.types import DTYPES, dtype_of, ui8
from lamina.passes.graph.resolve_shapes import resolve_shapes
from lamina.targets.cpu import host
from lamina.targets.reference.evaluate import evaluate
from random_graphs import inputs_for, programs

LEVELS = [level.name for level in pipelines.LEVELS if level.name != "graph"]
X86 = host.host_description().triple.startswith("x86_64")
PAGE = mmap.PAGESIZE

ROUNDED = frozenset(
    f"graph.{name}"
    for name in ("tanh", "logistic", "gelu", "silu", "erf", "softmax", "log_softmax", "mean", "rms_norm")
)
"""Ops whose last bit may differ from the reference's."""
DISCONTINUOUS = frozenset(f"graph.{name}" for name in ("cast", "compare", "arg_reduce"))
"""Ops that may turn a last bit into any difference."""


@dataclass
class Graph:
    """A module with its constants, which the API takes as it takes what `trace` gives."""

    module: ModuleOp
    context: LaminaContext


class GuardedMemory:
    """Arrays whose last byte is the last one before a page that must not be touched, or whose first follows one."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._maps: list[mmap.mmap] = []

    def empty(self, shape, dtype, *, at_start: bool = False) -> np.ndarray:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        length = max(1, -(-size // PAGE)) * PAGE
        memory = mmap.mmap(-1, length + 2 * PAGE)
        self._maps.append(memory)
        first = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + PAGE
        for page in (first - PAGE, first + length):
            assert self._libc.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
        ctypes.memset(first, 0xA5, length)
        address = first if at_start else first + length - size
        return np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(shape)

    def copy(self, array: np.ndarray, *, at_start: bool = False) -> np.ndarray:
        found = self.empty(array.shape, array.dtype, at_start=at_start)
        found[...] = array
        return found


def perturbed(array: np.ndarray, seed: int) -> np.ndarray:
    """The array with its floats changed in the last places."""
    if array.dtype.kind in "biu":
        return array
    signs = np.random.default_rng(seed).choice([-1, 1], array.shape)
    return (array * (1 + signs * np.finfo(array.dtype).eps * 2)).astype(array.dtype)


def assert_as_reference(result: np.ndarray, expected: np.ndarray, others: list[np.ndarray]) -> None:
    """Close, where `others`, the references for inputs that differ in the last places, are close to each other."""
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    if result.dtype.kind in "biu":
        stable = np.all([other == expected for other in others], axis=0)
        np.testing.assert_array_equal(result[stable], expected[stable])
        return
    finite = np.isfinite(expected)
    stable = np.all([(np.isfinite(other) == finite) & (np.isnan(other) == np.isnan(expected)) for other in others], 0)
    kept = finite & stable
    np.testing.assert_array_equal(result[stable & ~finite], expected[stable & ~finite])
    if not kept.any():
        return
    spread = max(np.abs(other[kept] - expected[kept]).max() for other in others)
    scale = np.abs(expected[kept]).max()
    np.testing.assert_allclose(result[kept], expected[kept], rtol=1e-4, atol=20 * spread + 1e-5 * scale)


@pytest.mark.skipif(sys.platform != "linux", reason="guards pages with mprotect")
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs(), st.sampled_from(["hardware", "hardware", "hardware", "loop", "tensor"]), st.booleans())
def test_random_graphs(program, level: str, at_start: bool) -> None:
    ctx = api.make_context()
    module = program(ctx)
    names = {op.name for op in module.walk()}
    predictable = not (names & ROUNDED and names & DISCONTINUOUS)
    executable = api.executable_for(Graph(module, ctx), level=level, threads=2, cache=False)
    for size in (3, 0, 1, 37):
        inputs = inputs_for(size)
        with np.errstate(all="ignore"):
            expected = evaluate(module, inputs, ctx.resources)
            changed = [[perturbed(array, seed) for array in inputs] for seed in range(3)]
            others = [evaluate(module, arrays, ctx.resources) for arrays in changed]
        memory = GuardedMemory()
        guarded = [memory.copy(array, at_start=at_start) for array in inputs]
        outputs = [memory.empty(array.shape, array.dtype, at_start=at_start) for array in expected]
        results = executable.call(guarded, out=outputs)
        for kept, array in zip(guarded, inputs, strict=True):
            np.testing.assert_array_equal(kept, array)
        for index, (result, wanted) in enumerate(zip(results, expected, strict=True)):
            assert result.shape == wanted.shape
            if predictable:
                assert_as_reference(result, wanted, [other[index] for other in others])
        for result, serial in zip(results, executable.call(guarded, threads=1), strict=True):
            assert result.tobytes() == serial.tobytes()


def check(arguments, sizes, build, *, levels=LEVELS, tolerance: float = 1e-5, target=None, aliases=None) -> None:
    """A small graph at every level, for several values of its symbolic sizes."""
    ctx = api.make_context()
    module = module_of(ctx, arguments, build)
    if aliases is not None:
        main = module.body.block.first_op
        count = len(main.body.block.last_op.operands)
        attributes = [{"lamina.alias": IntegerAttr(aliases[i], 64)} if i in aliases else {} for i in range(count)]
        main.res_attrs = ArrayAttr([DictionaryAttr(entry) for entry in attributes])
    for level in levels:
        if level == "hardware":
            executable = lamina.compile(Graph(module, ctx), threads=2, cache=False, target=target)
        else:
            executable = api.executable_for(Graph(module, ctx), level=level, threads=2, cache=False)
        for values, at_start in itertools.product(sizes, (False, True)):
            rng = np.random.default_rng(0)
            inputs = []
            for dims, element_type in arguments:
                shape = [values[dim] if isinstance(dim, str) else dim for dim in dims]
                inputs.append((rng.integers(-3, 5, shape) * 0.5).astype(dtype_of(element_type)))
            expected = evaluate(module, inputs, ctx.resources)
            memory = GuardedMemory()
            guarded = [memory.copy(array, at_start=at_start) for array in inputs]
            outputs = [
                None if index in (aliases or {}) else memory.empty(array.shape, array.dtype, at_start=at_start)
                for index, array in enumerate(expected)
            ]
            for result, wanted in zip(executable.call(guarded, out=outputs), expected, strict=True):
                assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
                np.testing.assert_allclose(
                    result.astype(np.float64), wanted.astype(np.float64), rtol=tolerance, atol=tolerance
                )


ROWS = [{"n": 3}, {"n": 0}, {"n": 1}, {"n": 70}]


@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_padding_is_not_read_from_memory(mode: str) -> None:
    shape = [4, "n"] if mode == "constant" else [4, 9]

    def build(b, x):
        return [b.tanh(b.pad(x, 1.0, (0, 3), (0, 5), mode=mode))]

    check([(shape, f32)], ROWS, build)


def test_windows_of_one_element_over_padding() -> None:
    def build(b, x):
        return [b.reduce_window("maximum", x, (1, 1), (1, 2), None, (0, 0, 1, 1))]

    check([([9, "n"], f32)], ROWS, build)


def test_concatenation_of_symbolic_and_static_axes() -> None:
    check([([4, 5], f32), ([4, "n"], f32)], ROWS, lambda b, x, y: [b.concatenate([x, y, x], 1)])


def test_a_window_longer_than_a_symbolic_axis() -> None:
    def build(b, x):
        windows = b.reduce_window("add", x, (5, 1))
        return [windows, b.reduce("add", windows, (0,)), b.pad(x, 0.0, (-4, 0), (0, 0))]

    check([(["n", 3], f32)], ROWS, build)


def test_no_features() -> None:
    """Constants without elements, and reshapes beside a size of 0."""
    empty = np.zeros(0, np.float32)

    def build(b, x, y):
        return [
            b.layer_norm(x, empty, empty, 1, 1e-3),
            b.transpose(y, (1, 0, 2)),
            b.reduce("add", y, (0,)),
            b.reshape(x, (-1,)),
        ]

    check([(["n", 0], f32), ([1, "n", 0], f32)], ROWS, build)


def test_scalars_from_branches() -> None:
    def build(b, x, y):
        total = b.reduce("add", x, (0,), keep_dimensions=True)
        scalar = b.reduce("add", total, (0,))
        return b.if_(b.compare("GT", scalar, 0.0), lambda: [b.add(total, y), y], lambda: [total, y])

    check([(["n"], f32), ([1], f32)], ROWS, build)


@pytest.mark.parametrize("limits", [(9, -1), (-2, 2), (2**63 - 1, 1), (-(2**63), 0)])
def test_bounds_of_unknown_sign(limits: tuple[int, int]) -> None:
    """What a slice at bounds given as data keeps is computed when it runs."""

    def build(b, x, starts, ends):
        part = b.dynamic_slice(x, starts, ends, np.array([1, 2]))
        return [b.reduce("add", b.cumulative("add", part, 0), (0, 1)), b.reduce("maximum", b.tanh(part), (0, 1))]

    ctx = api.make_context()
    module = module_of(ctx, [(["n", 5], f32), ([2], i64), ([2], i64)], build)
    executable = lamina.compile(Graph(module, ctx), threads=1, cache=False)
    for size, starts in itertools.product((4, 0, 9), ((1, -3), (-2, 0), (20, -9))):
        inputs = [normal(np.random.default_rng(0), size, 5), np.array(starts), np.array(limits)]
        for result, wanted in zip(executable(*inputs), evaluate(module, inputs, ctx.resources), strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)


DONATIONS = {
    "read by another result": (lambda b, x, y: [b.add(x, y), b.multiply(x, 2.0)], {0: 0}),
    "transposed": (lambda b, x, y: [b.transpose(b.tanh(x), (1, 0))], {0: 0}),
    "exchanged": (lambda b, x, y: [y, x], {0: 0, 1: 1}),
    "exchanged and changed": (lambda b, x, y: [b.add(y, 1.0), b.add(x, 1.0)], {0: 0, 1: 1}),
    "one value for two": (lambda b, x, y: [(z := b.add(x, y)), z, z], {0: 0, 1: 1}),
    "multiplied with itself": (lambda b, x, y: [b.dot_general(x, x, (1,), (0,))], {0: 0}),
    "rows and columns": (lambda b, x, y: [b.softmax(x, 0), b.softmax(x, 1)], {0: 0}),
    "less its own sums": (lambda b, x, y: [b.subtract(x, b.reduce("add", x, (0,), True))], {0: 0}),
    "turned around": (lambda b, x, y: [b.reverse(x, (0,))], {0: 0}),
    "updated": (lambda b, x, y: [b.dynamic_update_slice(x, b.slice(y, (0, 0), (1, 1)), np.array([2, 0]))], {0: 0}),
}


@pytest.mark.parametrize("case", DONATIONS)
def test_donated_arguments(case: str) -> None:
    build, aliases = DONATIONS[case]
    check([(["n", "n"], f32), (["n", "n"], f32)], ROWS[2:] + ROWS[:1], build, aliases=aliases)


@pytest.mark.parametrize("element_type", [kind for kind in DTYPES if str(kind) not in ("i1", "f16", "bf16")], ids=str)
def test_contractions_of_every_type(element_type) -> None:
    def build(b, x, y):
        return [b.dot_general(x, y, (1,), (0,)), b.dot_general(x, x, (1,), (1,))]

    check([(["n", 65], element_type), ([65, 49], element_type)], ROWS, build, levels=("hardware",))


TARGETS = [{"vector_bits": 256}, {"vector_bits": 128}]
if X86:
    TARGETS += [{"cpu": "x86-64-v3", "vector_bits": 256}, {"cpu": "x86-64", "vector_bits": 128}]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("element_type", [f32, f16, bf16, ui8], ids=str)
def test_older_machines(target, element_type) -> None:
    """Narrower vectors, and CPUs without instructions for f16 and bf16."""

    def build(b, x, y):
        product = b.dot_general(x, y, (1,), (0,))
        return [product, b.reduce("maximum", x, (1,)), b.cast(b.cast(x, f32), element_type), b.maximum(x, x)]

    arguments = [(["n", 33], element_type), ([33, 50], element_type)]
    check(arguments, ROWS, build, levels=("hardware",), tolerance=2e-2, target=target)


def test_interleaved_stores_of_bf16() -> None:
    """LLVM 22 crashes on wide shuffles of bfloat, into which its vectorizer turns such stores."""

    def build(b, x):
        return [b.pad(x, 0.0, (0, 1, 0), (0, 1, 1))]

    check([(["n", 1, 1], bf16)], ROWS, build)


@pytest.mark.parametrize("element_type", [bf16, f16, ui8], ids=str)
@pytest.mark.parametrize("width", [5, 9, 17])
def test_rows_that_leave_one_element(width: int, element_type) -> None:
    """The last element of a row is stored alone: LLVM 22 stores too many bytes for a masked store of one lane."""

    def build(b, x, y):
        return [b.cast(x, element_type), b.subtract(y, b.add(y, y))]

    check([(["n", width], i64), ([17, width], element_type)], ROWS, build, levels=("hardware",), tolerance=1e-2)


def test_a_broadcast_declared_with_fewer_sizes(tmp_path) -> None:
    """An op that replaces another takes over its declared type, and its uses with it."""
    path = tmp_path / "model.mlir"
    path.write_text(
        """
        func.func @main(%x: tensor<?x1x?xf32> {lamina.dims = ["n", "1", "m"]}) -> tensor<?x?xf32> {
          %shape = graph.shape_of %x : tensor<?x1x?xf32> -> tensor<3xi64>
          %wide = graph.dynamic_broadcast %x, %shape : tensor<?x1x?xf32>, tensor<3xi64> -> tensor<?x?x?xf32>
          %n = graph.dimension %x, 0 : tensor<?x1x?xf32> -> tensor<i64>
          %first = graph.reshape %n, [1] : tensor<i64> -> tensor<1xi64>
          %rest = graph.constant dense<-1> : tensor<1xi64>
          %sizes = graph.concatenate %first, %rest dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
          %flat = graph.dynamic_reshape %wide, %sizes : tensor<?x?x?xf32>, tensor<2xi64> -> tensor<?x?xf32>
          func.return %flat : tensor<?x?xf32>
        }
        """
    )
    ctx = api.make_context()
    module = api.load_module(path, ctx)
    resolve_shapes(module.body.block.first_op)
    module.verify()
    x = normal(np.random.default_rng(0), 3, 1, 5)
    np.testing.assert_array_equal(lamina.compile(Graph(module, ctx), cache=False)(x)[0], x[:, 0])
