"""What a traced function's arguments look like: shape, element type and name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from xdsl.ir import Attribute

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim, Shape, parse_dim
from lamina.dialects.graph.types import BFLOAT16, DTYPES, DType, element_type_of
from lamina.trees import leaf

DTypeLike: TypeAlias = "npt.DTypeLike | str"
"""A NumPy dtype or scalar type, `ml_dtypes.bfloat16`, or a name: "float32", "f32", "bfloat16", "i1" …"""

NAMES: Mapping[str, DType] = {
    **{str(element_type): dtype for element_type, dtype in DTYPES.items()},
    **{dtype.name: dtype for dtype in DTYPES.values()},
    **{f"u{dtype.itemsize * 8}": dtype for dtype in DTYPES.values() if dtype.kind == "u"},
    "bfloat16": BFLOAT16,
}


@leaf
@dataclass(frozen=True)
class Spec:
    """An argument: sizes are numbers or expressions over names; `name` is None where the argument's own is meant."""

    shape: Shape
    dtype: DType
    name: str | None = None

    @property
    def element_type(self) -> Attribute:
        """The element type in the IR."""
        return element_type_of(self.dtype)


def spec(shape: Sequence[int | str | Dim] | int | str, dtype: DTypeLike = "float32", name: str | None = None) -> Spec:
    """Describe an argument of a traced function.

    Sizes are numbers, names (`"batch"`) or expressions over names (`"2*seq"`); one size alone is a vector's. Raises
    LaminaError for sizes that cannot be read, negative ones, and dtypes that tensors do not have.
    """
    entries = (shape,) if isinstance(shape, int | str) else shape
    return Spec(tuple(_size(entry) for entry in entries), parse_dtype(dtype), name)


def _size(entry: int | str | Dim) -> Dim:
    if isinstance(entry, str):
        try:
            entry = parse_dim(entry)
        except ValueError as error:
            raise LaminaError(f"spec: {error}") from None
    if isinstance(entry, int) and entry < 0:
        raise LaminaError(f"spec: expected sizes of at least 0, found {entry}")
    return entry


def parse_dtype(dtype: DTypeLike) -> DType:
    """The NumPy dtype of a dtype or a name; raises LaminaError for those that tensors do not have."""
    if isinstance(dtype, str) and dtype in NAMES:
        return NAMES[dtype]
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise LaminaError(f"unknown dtype {dtype!r}", hints=(f"one of {', '.join(NAMES)}",)) from None
    element_type_of(found)
    return found
