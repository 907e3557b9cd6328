"""Traced values and the trace in progress: what Python operators on traced values build, and at which line."""

from __future__ import annotations

import functools
import operator
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, ParamSpec, TypeAlias, TypeVar

import numpy as np
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, LocationAttr, ModuleOp, StringAttr, UnknownLoc
from xdsl.ir import Block, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import Array
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.dims import Dim, DimExpr, Shape, Symbol
from lamina.dialects.graph.types import DType, dtype_of
from lamina.frontends.python.specs import Spec
from lamina.resources import ResourceStore

PACKAGE = str(Path(__file__).parents[2]) + os.sep

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def user_location() -> LocationAttr:
    """File, line and column of the innermost frame outside this package."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    if frame is None:
        return UnknownLoc()
    position = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), (None,) * 4)
    line, column = position[0] or frame.f_lineno, (position[2] or 0) + 1
    return FileLineColLoc(StringAttr(frame.f_code.co_filename), IntAttr(line), IntAttr(column))


class Tracer:
    """One trace: the builder, the blocks under construction from the outside in, where named sizes are read, and the
    module with the functions that the traced one calls."""

    def __init__(self, block: Block, resources: ResourceStore, module: ModuleOp | None = None):
        self.builder = GraphBuilder.at_end(block, resources)
        self.blocks = [block]
        self.sizes: dict[str, tuple[SSAValue, int]] = {}
        self.module = ModuleOp([]) if module is None else module
        self.names: set[str] = set()

    def remember_sizes(self, value: SSAValue) -> Shape:
        """The shape of a value, after noting that it has the sizes that are plain names."""
        shape = self.builder.shape(value)
        for axis, dim in enumerate(shape):
            if isinstance(dim, DimExpr) and (name := _plain_name(dim)) is not None:
                self.sizes.setdefault(name, (value, axis))
        return shape

    def check_visible(self, value: SSAValue) -> SSAValue:
        """The value, where it can be used at this point; raises LaminaError for one that is out of scope."""
        if not self.is_visible(value):
            raise self.builder.error(
                "a traced value is used outside of the function that computed it: return it from the branch, the loop "
                "or the trace"
            )
        return value

    def is_visible(self, value: SSAValue) -> bool:
        """Whether a value is of one of the blocks under construction."""
        block = value.owner if isinstance(value.owner, Block) else value.owner.parent
        return block in self.blocks


def _plain_name(dim: DimExpr) -> str | None:
    (atoms, factor), *rest = dim.terms
    if rest or factor != 1 or len(atoms) != 1 or not isinstance(atoms[0], Symbol):
        return None
    return atoms[0].name


_active: ContextVar[Tracer | None] = ContextVar("_active", default=None)


def is_tracing() -> bool:
    """Whether a trace is in progress."""
    return _active.get() is not None


def active_tracer() -> Tracer:
    """The trace in progress; raises LaminaError when there is none."""
    tracer = _active.get()
    if tracer is None:
        raise LaminaError(
            "lamina.ops and operators on traced values work inside of a traced function (lamina.jit, lamina.trace)",
            where=location_text(user_location()),
        )
    return tracer


@contextmanager
def tracing(tracer: Tracer) -> Generator[Tracer]:
    """Make a trace the one in progress."""
    token = _active.set(tracer)
    try:
        yield tracer
    finally:
        _active.reset(token)


def operation(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function of traced values: what it builds, and its errors, get the line of the user's code that calls it."""

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        builder = active_tracer().builder
        outer, builder.location = builder.location, user_location()
        try:
            with errors_at(builder.location):
                return function(*args, **kwargs)
        finally:
            builder.location = outer

    return call


@contextmanager
def errors_at(location: LocationAttr) -> Generator[None]:
    """Give errors that do not say where they happened a location."""
    try:
        yield
    except LaminaError as error:
        if error.where is not None:
            raise
        raise LaminaError(error.message, where=location_text(location), hints=error.hints) from error


def _ops() -> Any:
    from lamina.frontends.python import ops

    return ops


def _operator(name: str) -> Callable[[Traced, Any], Traced]:
    def method(self: Traced, other: Any) -> Traced:
        return getattr(_ops(), name)(self, other)

    return method


def _reflected(name: str) -> Callable[[Traced, Any], Traced]:
    def method(self: Traced, other: Any) -> Traced:
        return getattr(_ops(), name)(other, self)

    return method


class Traced:
    """A tensor that a traced function computes: it has a shape and a dtype, and no elements yet.

    Python operators, indexing and the methods below build ops as their namesakes in NumPy and `lamina.ops`. Sizes in
    `shape` are ints, or expressions (`lamina.dialects.graph.dims`) that can be computed with and given to `reshape`.
    """

    __slots__ = ("_value",)
    # NumPy arrays leave operators with traced values to them.
    __array_ufunc__ = None

    def __init__(self, value: SSAValue):
        self._value = value

    @property
    def value(self) -> SSAValue:
        """The value in the IR; raises LaminaError where the trace in progress cannot use it."""
        return active_tracer().check_visible(self._value)

    @property
    def shape(self) -> Shape:
        """The sizes of all axes."""
        return active_tracer().remember_sizes(self.value)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return active_tracer().builder.rank(self.value)

    @property
    def dtype(self) -> DType:
        """The NumPy dtype of the elements."""
        return dtype_of(active_tracer().builder.element_type(self.value))

    @property
    def at(self) -> Any:
        """`x.at[index].set(values)` (`add`, `multiply`, `min`, `max`): a copy with the elements at an index changed."""
        from lamina.frontends.python.numpy_functions import IndexUpdates

        return IndexUpdates(self)

    @property
    def T(self) -> Traced:
        """The axes in reverse order."""
        return _ops().transpose(self)

    def __repr__(self) -> str:
        return f"Traced({self._value.type})"

    # Operators

    __add__ = _operator("add")
    __radd__ = _reflected("add")
    __sub__ = _operator("subtract")
    __rsub__ = _reflected("subtract")
    __mul__ = _operator("multiply")
    __rmul__ = _reflected("multiply")
    __truediv__ = _operator("divide")
    __rtruediv__ = _reflected("divide")
    __floordiv__ = _operator("floor_divide")
    __rfloordiv__ = _reflected("floor_divide")
    __mod__ = _operator("modulo")
    __rmod__ = _reflected("modulo")
    __pow__ = _operator("power")
    __rpow__ = _reflected("power")
    __matmul__ = _operator("matmul")
    __rmatmul__ = _reflected("matmul")
    __and__ = _operator("bitwise_and")
    __rand__ = _reflected("bitwise_and")
    __or__ = _operator("bitwise_or")
    __ror__ = _reflected("bitwise_or")
    __xor__ = _operator("bitwise_xor")
    __rxor__ = _reflected("bitwise_xor")
    __lshift__ = _operator("left_shift")
    __rlshift__ = _reflected("left_shift")
    __rshift__ = _operator("right_shift")
    __rrshift__ = _reflected("right_shift")
    __lt__ = _operator("less")
    __le__ = _operator("less_equal")
    __gt__ = _operator("greater")
    __ge__ = _operator("greater_equal")

    def __eq__(self, other: object) -> Traced:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _ops().equal(self, other)

    def __ne__(self, other: object) -> Traced:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _ops().not_equal(self, other)

    # Equality gives a tensor, so that a traced value cannot be a key.
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __neg__(self) -> Traced:
        return _ops().negative(self)

    def __pos__(self) -> Traced:
        return self

    def __invert__(self) -> Traced:
        return _ops().logical_not(self)

    def __abs__(self) -> Traced:
        return _ops().abs(self)

    def __getitem__(self, index: Any) -> Traced:
        return _ops().index(self, index)

    def __len__(self) -> int:
        shape = self.shape
        if not shape or not isinstance(shape[0], int):
            self._refuse("len()", "x.shape gives the sizes")
        return shape[0]

    def __iter__(self) -> Iterator[Traced]:
        return iter([self[position] for position in range(len(self))])

    # What needs elements

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise LaminaError(
            f"{what} of a traced value: its elements are not known while tracing",
            where=location_text(user_location()),
            hints=(hint,),
        )

    def __bool__(self) -> bool:
        self._refuse("bool()", "use ops.where to choose elements, ops.cond and ops.while_loop for control flow")

    def __int__(self) -> int:
        self._refuse("int()", "use x.astype to convert elements")

    def __float__(self) -> float:
        self._refuse("float()", "use x.astype to convert elements")

    def __index__(self) -> int:
        self._refuse("an index", "use ops.take or ops.dynamic_slice to read where data says")

    def __array__(self, *arguments: Any, **options: Any) -> Array:
        self._refuse("a NumPy array", "use lamina.ops instead of NumPy's functions")

    # Methods

    def astype(self, dtype: Any) -> Traced:
        """The elements converted."""
        return _ops().cast(self, dtype)

    def reshape(self, *shape: Any) -> Traced:
        """The elements under another shape, given as one sequence or as several sizes."""
        return _ops().reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int | DimExpr) else shape)

    def transpose(self, *axes: Any) -> Traced:
        """The axes in another order, reversed when none is given."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return _ops().transpose(self, order or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """The sum along axes."""
        return _ops().sum(self, axis, keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """The product along axes."""
        return _ops().prod(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """The arithmetic mean along axes."""
        return _ops().mean(self, axis, keepdims)

    def var(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """The variance along axes."""
        return _ops().var(self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """The largest elements along axes."""
        return _ops().max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Traced:
        """The smallest elements along axes."""
        return _ops().min(self, axis, keepdims)

    def argmax(self, axis: int, keepdims: bool = False) -> Traced:
        """The positions of the largest elements along an axis."""
        return _ops().argmax(self, axis, keepdims)

    def argmin(self, axis: int, keepdims: bool = False) -> Traced:
        """The positions of the smallest elements along an axis."""
        return _ops().argmin(self, axis, keepdims)


Operand: TypeAlias = "Traced | Array | np.generic | float | bool"
"""What functions of `lamina.ops` take: traced values, and data, which becomes constants."""


def plain(operand: Operand) -> SSAValue | Array | float | bool:
    """An operand as the builder takes it: NumPy scalars are Python's, which take any element type."""
    if isinstance(operand, Traced):
        return operand.value
    if isinstance(operand, np.generic):
        return operand.item()
    if isinstance(operand, Spec):
        raise LaminaError(
            f"a parameter of {operand.dtype}{list(operand.shape)} has no value",
            hints=("nn.initialize and nn.load give values; or make the module an argument of the traced function",),
        )
    if not isinstance(operand, np.ndarray | int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise LaminaError(f"expected a tensor, an array or a number, found {operand!r}")
    return operand


def plains(operands: Sequence[Operand]) -> list[SSAValue | Array | float | bool]:
    """Operands of one element type as the builder takes them; raises LaminaError for two dtypes."""
    tracer = active_tracer()
    values = [plain(operand) for operand in operands]
    dtypes = {
        dtype_of(tracer.builder.element_type(value)) if isinstance(value, SSAValue) else value.dtype
        for value in values
        if isinstance(value, SSAValue | np.ndarray)
    }
    if len(dtypes) > 1:
        listed = " and ".join(sorted(str(dtype) for dtype in dtypes))
        raise LaminaError(f"expected one dtype, found {listed}", hints=("convert one operand with .astype",))
    return values


def as_value(operand: Operand) -> SSAValue:
    """An operand as a value of the IR."""
    return active_tracer().builder.value(plain(operand))


def is_number(size: object) -> bool:
    """Whether a size is an int; raises LaminaError for what is no size."""
    if isinstance(size, Traced):
        size._refuse("a size", "use the shape of another tensor, or ops.dynamic_slice")  # pyright: ignore[reportPrivateUsage]
    try:
        operator.index(size)  # pyright: ignore[reportArgumentType]
    except TypeError:
        if isinstance(size, DimExpr):
            return False
        raise LaminaError(f"expected a size, found {size!r}") from None
    return True


def static(dim: Dim, what: str) -> int:
    """A size that has to be known while tracing; raises LaminaError otherwise."""
    if isinstance(dim, int):
        return dim
    raise LaminaError(f"{what}: expected a static size, found {dim}")
