"""Checking what a caller passes before anything runs: names, counts, dtypes, shapes, storage."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lamina.artefact import TensorInfo
from lamina.diagnostics import LaminaError

Array = npt.NDArray[Any]
Sizes = tuple[int, ...]


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether elements are floating-point numbers, ml_dtypes' included."""
    if dtype.kind == "f":
        return True
    try:
        ml_dtypes.finfo(dtype)
    except ValueError:
        return False
    return True


class Signature:
    """The inputs of an executable, ready for checking calls against them."""

    def __init__(self, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]):
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.donated = frozenset(info.alias for info in outputs if info.alias is not None)
        self._index = {info.name: index for index, info in enumerate(inputs)}

    def has_input(self, name: str) -> bool:
        """Whether an input has this name."""
        return name in self._index

    def order(self, positional: Sequence[object], named: Mapping[str, object]) -> list[object]:
        """One value per input, in their order. Raises LaminaError naming what is missing, unknown or given twice."""
        if len(positional) > len(self.inputs):
            raise LaminaError(f"expected {self._count()}, found {len(positional)}", hints=(self._listing(),))
        unknown = [name for name in named if name not in self._index]
        if unknown:
            raise LaminaError(f"no input is called {_quoted(unknown)}", hints=(self._listing(),))
        values: dict[int, object] = dict(enumerate(positional))
        for name, value in named.items():
            if self._index[name] in values:
                raise LaminaError(f"input '{name}' is given twice, by position and by name")
            values[self._index[name]] = value
        if len(values) < len(self.inputs):
            absent = [info.name for index, info in enumerate(self.inputs) if index not in values]
            raise LaminaError(
                f"expected {self._count()}, found {len(values)}: {_quoted(absent)} missing", hints=(self._listing(),)
            )
        return [values[index] for index in range(len(self.inputs))]

    def array(self, index: int, value: object) -> Array:
        """The value of input `index` as an aligned C-contiguous array of its dtype, copied only where it must be.

        NumPy arrays and DLPack objects must have the dtype; Python numbers and lists may have one that fits. A donated
        input is never copied: anything that would have to be is refused. Shapes are not looked at. Raises LaminaError.
        """
        info = self.inputs[index]
        found = _to_array(info, value)
        if found.dtype != info.dtype:
            raise LaminaError(
                f"input '{info.name}': expected {info.type_text}, found dtype {found.dtype}",
                hints=(f"convert it with .astype('{info.dtype}')",),
            )
        if index in self.donated and not (found.flags.carray and isinstance(value, np.ndarray | DlpackObject)):
            raise LaminaError(
                f"input '{info.name}' is updated in place: expected a writable C-contiguous array, found "
                + ("a Python value" if not isinstance(value, np.ndarray) else _storage(found))
            )
        return found if found.flags.c_contiguous and found.flags.aligned else _contiguous(found)

    def check_shapes(self, shapes: Sequence[Sizes]) -> None:
        """Raise LaminaError unless every shape agrees with its input and every symbol has one value throughout."""
        values: dict[str, tuple[int, str]] = {}
        expressions: list[tuple[str, int, str]] = []
        for info, shape in zip(self.inputs, shapes, strict=True):
            if len(shape) != len(info.shape):
                raise LaminaError(f"input '{info.name}': expected {info.type_text}, found shape {_shape(shape)}")
            for axis, (expected, found) in enumerate(zip(info.shape, shape, strict=True)):
                where = f"input '{info.name}' (axis {axis})"
                if isinstance(expected, int):
                    if expected != found:
                        raise LaminaError(
                            f"input '{info.name}': expected {info.type_text}, found shape {_shape(shape)}"
                        )
                elif expected.isidentifier():
                    value, first = values.setdefault(expected, (found, where))
                    if value != found:
                        raise LaminaError(f"'{expected}' is {value} in {first} and {found} in {where}")
                else:
                    expressions.append((expected, found, where))
        known = {name: value for name, (value, _) in values.items()}
        for text, found, where in expressions:
            expected = _evaluate(text, known)
            if expected is not None and expected != found:
                raise LaminaError(f"expected '{text}' = {expected} in {where}, found {found}")

    def _count(self) -> str:
        return f"{len(self.inputs)} input{'' if len(self.inputs) == 1 else 's'}"

    def _listing(self) -> str:
        return "the inputs are " + ", ".join(map(str, self.inputs))


def check_output(info: TensorInfo, array: object, shape: Sizes) -> Array:
    """A caller's array for an output; raises LaminaError unless it is one that can be written into as it is."""
    if not isinstance(array, np.ndarray):
        raise LaminaError(f"output '{info.name}': expected a NumPy array, found {type(array).__name__}")
    found = cast(Array, array)
    if found.dtype != info.dtype or found.shape != shape:
        raise LaminaError(
            f"output '{info.name}': expected {info.dtype}{_shape(shape)}, found {found.dtype}{_shape(found.shape)}"
        )
    if not found.flags.carray:
        raise LaminaError(f"output '{info.name}': expected a writable C-contiguous array, found {_storage(found)}")
    return found


def check_overlaps(regions: Iterable[tuple[int, int, str, bool]]) -> None:
    """Raise LaminaError where memory that is written is also another argument.

    A region is (address, bytes, what it is called, whether it is written).
    """
    furthest = furthest_written = (0, "")
    for address, size, name, written in sorted(regions, key=operator.itemgetter(0, 1)):
        if not size:
            continue
        end, other = furthest if written else furthest_written
        if address < end:
            raise LaminaError(f"{other} and {name} share memory, and one of them is written")
        furthest = max(furthest, (address + size, name))
        if written:
            furthest_written = max(furthest_written, (address + size, name))


@runtime_checkable
class DlpackObject(Protocol):
    """Anything that speaks DLPack, as torch's, JAX's and CuPy's arrays do."""

    def __dlpack__(self) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


def _to_array(info: TensorInfo, value: object) -> Array:
    if isinstance(value, np.ndarray):
        return cast(Array, value)
    if isinstance(value, np.generic):
        return np.asarray(cast(Any, value))
    if isinstance(value, DlpackObject):
        try:
            return np.from_dlpack(cast(Any, value))
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise LaminaError(f"input '{info.name}': NumPy cannot take this {type(value).__name__}: {error}") from None
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return np.asarray(cast(Any, value))
    return _from_python(info, value)


def _from_python(info: TensorInfo, value: object) -> Array:
    """A Python number or nested list: booleans for booleans, whole numbers that fit, floats for float types."""
    try:
        found = np.asarray(cast(Any, value))
    except ValueError as error:
        raise LaminaError(
            f"input '{info.name}': expected {info.type_text}, found a value that is no array: {error}"
        ) from None
    kind = found.dtype.kind
    if found.size == 0 and kind == "f":  # an empty list has no type of its own
        return found.astype(info.dtype)
    if kind == info.dtype.kind == "b" or (kind in "iuf" and is_float(info.dtype)):
        return found.astype(info.dtype)
    if kind in "iu" and info.dtype.kind in "iu":
        bounds = np.iinfo(info.dtype)
        if bounds.min <= int(found.min()) and int(found.max()) <= bounds.max:
            return found.astype(info.dtype)
        raise LaminaError(f"input '{info.name}': expected {info.type_text}, found numbers beyond its range")
    raise LaminaError(f"input '{info.name}': expected {info.type_text}, found {type(value).__name__} of {found.dtype}")


def _contiguous(array: Array) -> Array:
    return np.require(array, requirements=("C", "A"))


def _storage(array: Array) -> str:
    if not array.flags.writeable:
        return "a read-only one"
    return "one with strides" if not array.flags.c_contiguous else "one that is not aligned"


def _shape(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _evaluate(text: str, values: Mapping[str, int]) -> int | None:
    """The value of a size expression; None when it is none, or has symbols without a value."""
    from lamina.dialects.graph.dims import evaluate, parse_dim

    try:
        return evaluate(parse_dim(text), values)
    except (KeyError, ValueError, SyntaxError, LaminaError):
        return None
