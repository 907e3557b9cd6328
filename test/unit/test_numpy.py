"""lamina.numpy against NumPy: every function of its table, on random arguments, by the references and natively."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import lamina
import lamina.numpy as lnp
from lamina.diagnostics import LaminaError

RANDOM = np.random.default_rng(7)


def floats(*shape: int) -> Any:
    return RANDOM.uniform(-2, 2, shape).astype(np.float32)


def positive(*shape: int) -> Any:
    return RANDOM.uniform(0.1, 3, shape).astype(np.float32)


def unit(*shape: int) -> Any:
    return RANDOM.uniform(-0.9, 0.9, shape).astype(np.float32)


def above(*shape: int) -> Any:
    return RANDOM.uniform(1.1, 3, shape).astype(np.float32)


def ints(*shape: int) -> Any:
    return RANDOM.integers(-9, 9, shape)


def counts(*shape: int) -> Any:
    return RANDOM.integers(0, 7, shape)


def bools(*shape: int) -> Any:
    return RANDOM.random(shape) < 0.5


def special() -> Any:
    return np.array([0, -0.0, 1.5, np.inf, -np.inf, np.nan], np.float32)


@dataclass(frozen=True)
class Case:
    """A function, its traced arguments, and what else it is given; `oracle` where NumPy's name is another."""

    name: str
    arrays: Sequence[Any]
    rest: Sequence[Any] = ()
    options: dict[str, Any] = field(default_factory=dict)
    oracle: Callable[..., Any] | None = None
    listed: bool = False

    @property
    def id(self) -> str:
        shapes = "-".join("x".join(map(str, array.shape)) or "scalar" for array in self.arrays)
        return f"{self.name}-{shapes}-{'-'.join(map(str, [*self.rest, *self.options.values()]))}"

    def traced(self, *arrays: Any) -> Any:
        given = [list(arrays)] if self.listed else arrays
        return getattr(lnp, self.name)(*given, *self.rest, **self.options)

    def expected(self) -> Any:
        function = self.oracle or getattr(np, self.name)
        given = [list(self.arrays)] if self.listed else self.arrays
        with np.errstate(all="ignore"):
            return function(*given, *self.rest, **self.options)


def put(x: Any, indices: Any, values: Any) -> Any:
    changed = x.copy()
    np.put_along_axis(changed, indices, values, 1)
    return changed


def table() -> list[Case]:
    cases: list[Case] = []

    def each(names: str, *arrays: Any, **options: Any) -> None:
        cases.extend(Case(name, arrays, **options) for name in names.split())

    each(
        "abs absolute negative sign exp expm1 sin cos tan sinh cosh tanh arctan arcsinh floor ceil round rint",
        floats(3, 5),
    )
    each("trunc square isnan isinf isfinite deg2rad rad2deg exp2 ravel", floats(2, 7))
    each("log log1p log2 log10 sqrt reciprocal", positive(4, 3))
    each("arcsin arccos arctanh", unit(5))
    each("arccosh", above(5))
    each("isnan isinf isfinite sign abs trunc floor ceil round exp tanh logical_not", special())
    each("logical_not invert", bools(6))
    each(
        "add subtract multiply maximum minimum equal not_equal less less_equal greater greater_equal",
        floats(3, 1),
        floats(4),
    )
    each("add subtract multiply maximum minimum floor_divide mod remainder fmod", ints(3, 4), 1 + counts(4))
    each("floor_divide mod remainder fmod divide true_divide arctan2 hypot logaddexp", floats(3, 4), positive(4))
    each("power pow", positive(3, 4), floats(4))
    each("bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor", ints(5), ints(5))
    each("left_shift right_shift", ints(5), counts(5))
    each("heaviside", np.array([-1, 0, 2], np.float32), np.array(0.5, np.float32))
    each("where", bools(3, 4), floats(3, 4), floats(4))
    each("clip", floats(9), rest=(-0.5, 1.0))
    each("sum prod max min amax amin mean var std ptp any all count_nonzero argmax argmin", floats(3, 4))
    for axis in (0, -1):
        each(
            "sum prod max min mean var std ptp any all count_nonzero argmax argmin cumsum cumprod diff average",
            floats(3, 4),
            options={"axis": axis},
        )
        each("sum mean max argmax", floats(3, 4), options={"axis": axis, "keepdims": True})
    each("sort argsort", floats(3, 4))
    each("sort argsort", floats(3, 4), options={"axis": 0})
    each("sum mean std max", floats(2, 3, 4), options={"axis": (0, 2)})
    each("sum max min prod any all", bools(3, 4), options={"axis": 1})
    each("sum prod max min cumsum mean", counts(3, 4), options={"axis": 0})
    each("sum prod any all", floats(0, 3), options={"axis": 0})
    each("cumsum cumprod", floats(2, 3))
    each("average", floats(3, 4), positive(3, 4), oracle=lambda x, w: np.average(x, weights=w))
    each("norm", floats(3, 4), oracle=np.linalg.norm)
    each("reshape", floats(3, 4), rest=((2, -1),))
    each("broadcast_to", floats(3, 1), rest=((2, 3, 4),))
    each("transpose permute_dims", floats(2, 3, 4))
    each("transpose permute_dims", floats(2, 3, 4), rest=((2, 0, 1),))
    each("swapaxes", floats(2, 3, 4), rest=(0, -1))
    each("moveaxis", floats(2, 3, 4), rest=(0, -1))
    each("expand_dims", floats(2, 3), rest=(1,))
    each("squeeze", floats(1, 3, 1))
    each("flip", floats(3, 4))
    each("flip", floats(3, 4), rest=(1,))
    each("flipud fliplr tril triu diag trace atleast_1d atleast_2d", floats(3, 4))
    each("tril triu diag", floats(3, 4), rest=(-1,))
    each("diag", floats(3), rest=(2,))
    each("diag", floats(3), rest=(-1,))
    each("atleast_1d atleast_2d", floats())
    each("tile", floats(2, 3), rest=((2, 1, 2),))
    each("repeat", floats(2, 3), rest=(2, 1))
    each("repeat", floats(2, 3), rest=(3,))
    each("roll", floats(2, 3), rest=(1, 1))
    each("roll", floats(2, 3), rest=(-2,))
    each("take", floats(4, 3), np.array([[2, 0], [-1, 3]]), rest=(0,))
    each("take", floats(4, 3), np.array([11, 0]))
    each("take_along_axis", floats(4, 3), np.array([[2, 0], [-1, 1], [0, 0], [1, 2]]), rest=(1,))
    each("pad", floats(2, 3), rest=(((1, 0), (2, 1)),))
    each("pad", floats(2, 3), rest=(1, "edge"))
    each("pad", floats(3, 3), rest=(2, "reflect"))
    each("concatenate stack vstack hstack", floats(2, 3), floats(2, 3), listed=True)
    each("concatenate", floats(2, 3), floats(2, 1), listed=True, rest=(1,))
    each("concatenate", floats(2, 3), floats(4), listed=True, rest=(None,))
    each("vstack hstack column_stack", floats(3), floats(3), listed=True)
    each("split", floats(4, 6), rest=(3, 1))
    each("split", floats(4, 6), rest=((1, 2), 0))
    each("meshgrid", floats(2), floats(3))
    each("meshgrid", floats(2), floats(3), floats(2), options={"indexing": "ij"})
    each("matmul", floats(2, 3, 4), floats(4, 5))
    each("dot", floats(2, 3, 4), floats(5, 4, 2))
    each("dot inner vdot outer", floats(4), floats(4))
    each("dot inner", floats(2, 4), floats(4))
    each("outer", floats(2), floats(3))
    each("tensordot", floats(2, 3, 4), floats(3, 4, 5))
    each("tensordot", floats(2, 3, 4), floats(4, 3), rest=(([1, 2], [1, 0]),))
    each("einsum", floats(2, 3), floats(3, 4), oracle=lambda x, y: np.einsum("ij,jk->ki", x, y))
    each("zeros_like ones_like asarray array", floats(2, 3), oracle=None)
    each("full_like", floats(2, 3), rest=(2.5,))
    each("nan_to_num", special())
    each("positive cbrt sinc fabs signbit isposinf isneginf", floats(3, 4))
    each("signbit isposinf isneginf nansum nanmax nanmin nanmean nanargmax nanargmin", special())
    each("sinc", np.array([0, 0.5, 1], np.float32))
    each("copysign float_power fmax fmin logaddexp2 isclose", positive(3, 4), floats(4))
    each("fmax fmin", special(), special()[::-1].copy())
    each("isclose", special(), special())
    each("ldexp", floats(5), counts(5))
    each("gcd lcm divmod", counts(3, 4) + 1, counts(4) + 1)
    each("gcd lcm", np.array([0, 4, -6, 0]), np.array([3, -6, 9, 0]))
    each("bitwise_not", ints(5))
    each("allclose array_equal", floats(3), floats(3))
    each("select", floats(4, 5), floats(5), oracle=lambda x, y: np.select([x > 1, x < -1], [x, y + 0 * x], 7.0))
    each("lexsort", ints(30) // 4, ints(30) // 4, oracle=lambda x, y: np.lexsort([x, y]))
    each(
        "put_along_axis", floats(3, 4), np.array([[1, -1], [0, 2], [3, 3]]), np.full((3, 2), 9, np.float32), oracle=put
    )
    each("isin", ints(3, 4), ints(3))
    each("empty_like", floats(2, 3), oracle=np.zeros_like)
    each("vander", floats(3))
    each("vander", floats(3), rest=(4, True))
    each("atleast_3d", floats(3))
    each("atleast_3d", floats(2, 3))
    each("dstack", floats(2, 3), floats(2, 3), listed=True)
    each("concat", floats(2, 3), floats(1, 3), listed=True)
    each("matrix_transpose", floats(2, 3, 4))
    each("append", floats(2, 3), floats(1, 3), rest=(0,))
    each("append", floats(2, 3), floats(4))
    each("array_split", floats(7, 2), rest=(3,))
    each("hsplit vsplit", floats(4, 6), rest=(2,))
    each("hsplit", floats(6), rest=(3,))
    each("dsplit", floats(2, 3, 4), rest=(2,))
    each("unstack", floats(3, 2), oracle=lambda x: tuple(x))
    each("rollaxis", floats(2, 3, 4), rest=(2,))
    each("rollaxis", floats(2, 3, 4), rest=(0, 3))
    for k in (1, 2, -1):
        each("rot90", floats(2, 3), rest=(k,))
    each("diagonal", floats(3, 5), rest=(1,))
    each("diagonal", floats(3, 4, 2), rest=(-1,))
    each("diagflat", floats(2, 2), rest=(1,))
    each("delete", floats(4, 3), rest=((0, -1), 0))
    each("delete", floats(4, 3), rest=(1, 1))
    each("resize", floats(5), rest=((3, 4),))
    each("searchsorted", np.array([1, 2, 2, 5], np.float32), np.array([[0, 1, 2], [3, 5, 9]], np.float32))
    each("searchsorted", np.array([1, 2, 2, 5]), np.array([0, 1, 2, 3, 5, 9]), options={"side": "right"})
    each("digitize", floats(9), np.array([-1, 0, 1], np.float32))
    each("cross", floats(4, 3), floats(3))
    each("kron", floats(2, 3), floats(3, 2))
    each("vecdot", floats(2, 3), floats(2, 3))
    each("polyval", floats(4), floats(5))
    each("ediff1d", floats(2, 3))
    each("partition", floats(7), rest=(3,), oracle=lambda x, kth: np.sort(x))
    each("broadcast_arrays", floats(3, 1), floats(4), oracle=lambda x, y: tuple(np.broadcast_arrays(x, y)))
    each("degrees radians", floats(4))
    with_nan = floats(3, 5)
    with_nan[0, 1] = with_nan[2] = np.nan
    for options in ({}, {"axis": 0}, {"axis": -1, "keepdims": True}):
        each("nansum nanprod nanmean nanvar nanstd nanmax nanmin", with_nan[:2], options=options)
        each("median", floats(3, 4), options=options)
    each("nansum nanprod", with_nan, options={"axis": 1})
    each("nanargmax nanargmin", with_nan[:2], options={"axis": 1})
    each("median", with_nan, options={"axis": 1})
    each("quantile", floats(3, 5), rest=(0.3,))
    each("quantile", floats(3, 5), rest=([0.0, 0.25, 1.0], 0))
    each("percentile", floats(4), rest=(90,))
    each("bincount", counts(20), oracle=lambda x: np.bincount(x, minlength=7), options={})
    each("histogram", floats(50), rest=(7,))
    each("histogram", floats(50), rest=(4, (-1.0, 1.0)))
    each("cov corrcoef", floats(3, 6))
    each("cov", floats(6))
    each("interp", floats(7), np.array([-1, 0, 0.5, 1.5], np.float32), floats(4))
    each("trapezoid", floats(2, 5))
    each("trapezoid", floats(2, 5), np.sort(floats(5)))
    each("gradient", floats(6))
    each("gradient", floats(4, 3), oracle=lambda x: np.gradient(x, axis=-1))
    for mode in ("full", "same", "valid"):
        each("convolve", floats(6), floats(3), rest=(mode,))
        each("convolve correlate", floats(3), floats(4), rest=(mode,))
        each("correlate", floats(6), floats(3), rest=(mode,))
    each("unwrap", np.cumsum(RANDOM.uniform(-3, 3, 12)).astype(np.float32) % 6)
    return cases


def bincount(x: Any) -> Any:
    return lnp.bincount(x, length=7)


def select(x: Any, y: Any) -> Any:
    return lnp.select([lnp.greater(x, 1), lnp.less(x, -1)], [x, y], 7.0)


def lexsort(x: Any, y: Any) -> Any:
    return lnp.lexsort([x, y])


def put_along_axis(x: Any, indices: Any, values: Any) -> Any:
    return lnp.put_along_axis(x, indices, values, 1)


def einsum(x: Any, y: Any) -> Any:
    return lnp.einsum("ij,jk->ki", x, y)


def weighted_average(x: Any, weights: Any) -> Any:
    return lnp.average(x, weights=weights)


WITHOUT_ARRAYS: dict[str, tuple[Callable[[], Any], Any]] = {
    "arange": (lambda: lnp.arange(7), np.arange(7)),
    "arange-start": (lambda: lnp.arange(2, 9, 3), np.arange(2, 9, 3)),
    "arange-floats": (lambda: lnp.arange(0.0, 1.0, 0.25), np.arange(0, 1, 0.25, np.float32)),
    "arange-down": (lambda: lnp.arange(5, 0, -2, "int32"), np.arange(5, 0, -2, np.int32)),
    "linspace": (lambda: lnp.linspace(0, 2, 5), np.linspace(0, 2, 5, dtype=np.float32)),
    "zeros": (lambda: lnp.zeros((2, 3)), np.zeros((2, 3), np.float32)),
    "ones": (lambda: lnp.ones((2, 3), lnp.int32), np.ones((2, 3), np.int32)),
    "full": (lambda: lnp.full((2, 3), 7, "int64"), np.full((2, 3), 7)),
    "eye": (lambda: lnp.eye(3, 4, 1), np.eye(3, 4, 1, dtype=np.float32)),
    "tri": (lambda: lnp.tri(3, 4), np.tri(3, 4, dtype=np.float32)),
    "empty": (lambda: lnp.empty((2, 3)), np.zeros((2, 3), np.float32)),
    "identity": (lambda: lnp.identity(3), np.identity(3, np.float32)),
    "logspace": (lambda: lnp.logspace(0, 2, 5), np.logspace(0, 2, 5, dtype=np.float32)),
    "geomspace": (lambda: lnp.geomspace(1, 8, 4), np.geomspace(1, 8, 4, dtype=np.float32)),
    "tril_indices": (lambda: lnp.asarray(lnp.tril_indices(3)[1]), np.tril_indices(3)[1]),
    "triu_indices": (lambda: lnp.asarray(lnp.triu_indices(3, 1, 4)[0]), np.triu_indices(3, 1, 4)[0]),
    "shape": (lambda: lnp.asarray(lnp.shape(lnp.zeros((2, 3)))), np.array([2, 3])),
    "size": (lambda: lnp.asarray(lnp.size(lnp.zeros((2, 3)))), np.array(6)),
    "ndim": (lambda: lnp.asarray(lnp.ndim(lnp.zeros((2, 3)))), np.array(2)),
    "broadcast_shapes": (lambda: lnp.asarray(lnp.broadcast_shapes((2, 1), (3,))), np.array([2, 3])),
    "array": (lambda: lnp.array([[1.5, 2], [3, 4]]), np.array([[1.5, 2], [3, 4]], np.float32)),
}
CASES = table()
ELSEWHERE = {"cond", "while_loop", "scan", "fori_loop", "dynamic_slice", "dynamic_update_slice", "conv"}
"""Checked in test_python_frontend.py and test_python_operations.py."""


NAMED = {
    "einsum": einsum,
    "bincount": bincount,
    "select": select,
    "lexsort": lexsort,
    "put_along_axis": put_along_axis,
}
"""Functions of arguments that are no arrays."""


def function_of(case: Case) -> Callable[..., Any]:
    if case.name == "average" and len(case.arrays) == 2:
        return weighted_average
    return NAMED.get(case.name, case.traced)


def check(found: Any, expected: Any) -> None:
    found, expected = (
        [each] if isinstance(each, np.ndarray | np.generic | bool) else list(each) for each in (found, expected)
    )
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == np.shape(other)
        assert one.dtype.kind == np.asarray(other).dtype.kind
        np.testing.assert_allclose(one, other, rtol=3e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_references_agree_with_numpy(case: Case) -> None:
    traced = lamina.trace(functools.partial(function_of(case)), *case.arrays)
    found = lamina.executable_for(traced, level="graph")(*case.arrays)
    expected = case.expected()
    check(found, expected if isinstance(expected, tuple | list) else [expected])


@pytest.mark.parametrize("first", range(0, len(CASES), 40))
def test_native_code_agrees_with_numpy(first: int) -> None:
    cases = CASES[first : first + 40]
    compiled = lamina.jit(lambda arrays: [function_of(case)(*given) for case, given in zip(cases, arrays, strict=True)])
    results = compiled([list(case.arrays) for case in cases])
    for case, found in zip(cases, results, strict=True):
        check(found, case.expected())


def test_creation() -> None:
    results = lamina.jit(lambda: {name: function() for name, (function, _) in WITHOUT_ARRAYS.items()})()
    for name, (_, expected) in WITHOUT_ARRAYS.items():
        check(results[name], expected)
        assert results[name].dtype == expected.dtype, name


def test_every_function_has_a_case() -> None:
    names = {case.name for case in CASES} | {name.partition("-")[0] for name in WITHOUT_ARRAYS} | ELSEWHERE
    assert set(lnp.TABLE) <= names, sorted(set(lnp.TABLE) - names)


def test_names() -> None:
    assert lnp.float32 is np.float32 and lnp.newaxis is None and "zeros" in dir(lnp)
    with pytest.raises(AttributeError, match="no 'fft'"):
        _ = lnp.fft


INDICES: dict[str, Any] = {
    "int": 1,
    "negative": -1,
    "slice": slice(1, 3),
    "slice from the end": (..., slice(-3, -1)),
    "slice to behind the end": slice(2, 9),
    "empty slice": slice(3, 1),
    "slice and int": (slice(1, None), -2),
    "all": ...,
    "steps": (slice(None, None, 2), slice(1, None)),
    "ellipsis": (..., 0),
    "new axis": (None, 0),
    "tensor": np.array([2, 0]),
    "negative tensor": np.array([-1, 0]),
    "two tensors": (np.array([2, 0]), np.array([1, 3])),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("kind", ["set", "add", "multiply", "min", "max"])
def test_changes_at_an_index(kind: str, index: Any) -> None:
    x = floats(4, 5)
    values = floats(*np.asarray(x[index]).shape)
    expected = x.copy()
    if kind == "set":
        expected[index] = values
    else:
        numpy_function = {"add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}[kind]
        expected[index] = numpy_function(expected[index], values)

    def change(x: Any, values: Any) -> Any:
        place = (
            tuple(lnp.asarray(i) if isinstance(i, np.ndarray) else i for i in index)
            if isinstance(index, tuple)
            else index
        )
        return getattr(x.at[lnp.asarray(place) if isinstance(place, np.ndarray) else place], kind)(values)

    (found,) = lamina.executable_for(lamina.trace(change, x, values), level="graph")(x, values)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(lamina.jit(change)(x, values), expected)


def test_parts_are_written_without_positions() -> None:
    def change(x: Any) -> Any:
        return x.at[:, 1:3].set(x[:, 2:4] * 2)

    traced = lamina.trace(change, lamina.spec(("rows", 5)))
    names = {op.name for op in traced.module.walk()}
    assert "graph.dynamic_update_slice" in names and "graph.scatter" not in names
    x = floats(4, 5)
    expected = x.copy()
    expected[:, 1:3] = x[:, 2:4] * 2
    np.testing.assert_array_equal(lamina.compile(traced)(x)[0], expected)
    gradient = lamina.grad(lambda x: (change(x) ** 2).sum())(x)
    wanted = 2 * x
    wanted[:, 1:3] = 0
    wanted[:, 2:4] += 8 * x[:, 2:4]
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6)


def test_repeated_positions() -> None:
    x, rows = np.zeros((3, 2), np.float32), np.array([1, 1, 2])
    values = floats(3, 2)
    expected = x.copy()
    np.add.at(expected, rows, values)
    found = lamina.jit(lambda x, rows, values: x.at[rows].add(values))(x, rows, values)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    gradient = lamina.grad(lambda v, rows: (lnp.zeros((3, 2)).at[rows].add(v) ** 2).sum())(values, rows)
    np.testing.assert_allclose(gradient, 2 * expected[rows], rtol=1e-6)


def test_wrong_use() -> None:
    with pytest.raises(LaminaError, match="inside of a traced function"):
        lnp.zeros(3)
    with pytest.raises(LaminaError, match="expected one dtype"):
        lamina.jit(lambda x: lnp.add(x, lnp.arange(3)))(floats(3))
    with pytest.raises(LaminaError, match="'xy' or 'ij'"):
        lamina.jit(lambda x: lnp.meshgrid(x, x, indexing="yx"))(floats(3))


LINALG: dict[str, tuple[Callable[..., Any], Callable[..., Any], Sequence[Any]]] = {
    "solve": (lnp.linalg.solve, np.linalg.solve, (floats(4, 4), floats(4))),
    "solve, a permutation": (lnp.linalg.solve, np.linalg.solve, (np.eye(4, dtype=np.float32)[[2, 0, 3, 1]], floats(4, 2))),
    "solve, a batch": (lnp.linalg.solve, np.linalg.solve, (floats(2, 3, 3), floats(3, 5))),
    "inv": (lnp.linalg.inv, np.linalg.inv, (floats(2, 5, 5),)),
    "det": (lnp.linalg.det, np.linalg.det, (floats(3, 4, 4),)),
    "slogdet": (lnp.linalg.slogdet, np.linalg.slogdet, (floats(3, 3),)),
    "cholesky": (
        lambda x: lnp.linalg.cholesky(x @ lnp.swapaxes(x, -1, -2) + lnp.eye(4)),
        lambda x: np.linalg.cholesky(x @ np.swapaxes(x, -1, -2) + np.eye(4, dtype=np.float32)),
        (floats(2, 4, 4),),
    ),
    "matrix_power": (lambda x: lnp.linalg.matrix_power(x, 5), lambda x: np.linalg.matrix_power(x, 5), (floats(3, 3),)),
    "matrix_power -1": (lambda x: lnp.linalg.matrix_power(x, -1), np.linalg.inv, (floats(3, 3),)),
    "matrix_power 0": (lambda x: lnp.linalg.matrix_power(x, 0), lambda x: np.linalg.matrix_power(x, 0), (floats(3, 3),)),
    "multi_dot": (lambda *m: lnp.linalg.multi_dot(m), lambda *m: np.linalg.multi_dot(m), (floats(2, 3), floats(3, 4), floats(4, 2))),
    "trace": (lnp.linalg.trace, np.linalg.trace, (floats(2, 3, 3),)),
    "diagonal": (lnp.linalg.diagonal, np.linalg.diagonal, (floats(2, 3, 3),)),
    **{
        f"norm {order} {axis}": (
            lambda x, order=order, axis=axis: lnp.linalg.norm(x, order, axis),
            lambda x, order=order, axis=axis: np.linalg.norm(x, order, axis),
            (floats(3, 4),),
        )
        for order, axis in [
            (None, None), ("fro", None), (1, None), (np.inf, None), (-1, (1, 0)), (2, 1), (1, 0), (3, 1), (0, 1), (-np.inf, 0)
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(LINALG))
def test_linear_algebra(name: str) -> None:
    function, oracle, arrays = LINALG[name]
    found, expected = lamina.jit(function)(*arrays), oracle(*arrays)
    pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)


def test_linear_algebra_has_jax_derivatives() -> None:
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    a, b = floats(4, 4) + 3 * np.eye(4, dtype=np.float32), floats(4)

    def loss(m: Any, a: Any, b: Any) -> Any:
        x = m.linalg.solve(a, b)
        return (x * x).sum() + m.linalg.slogdet(a)[1] + m.linalg.cholesky(a @ a.T)[2, 1]

    found = lamina.grad(lambda a, b: loss(lnp, a, b), argnums=(0, 1))(a, b)
    expected = jax.grad(lambda a, b: loss(jnp, a, b), argnums=(0, 1))(jnp.asarray(a), jnp.asarray(b))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=2e-3, atol=2e-4)
