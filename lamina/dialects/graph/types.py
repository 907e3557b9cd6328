"""Element types: builtin IR types and their NumPy (ml_dtypes for bf16) counterparts.

A signless `iN` is a signed integer, `uiN` an unsigned one, and `i1` a boolean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    IntegerType,
    Signedness,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.ir import Attribute

from lamina.diagnostics import LaminaError

DType: TypeAlias = np.dtype[np.generic]

BFLOAT16: DType = np.dtype(ml_dtypes.bfloat16)
FLOAT16: DType = np.dtype(np.float16)

ui8, ui16, ui32, ui64 = (IntegerType(width, Signedness.UNSIGNED) for width in (8, 16, 32, 64))

DTYPES: Mapping[Attribute, DType] = {
    f64: np.dtype(np.float64),
    f32: np.dtype(np.float32),
    f16: FLOAT16,
    bf16: BFLOAT16,
    i64: np.dtype(np.int64),
    i32: np.dtype(np.int32),
    i16: np.dtype(np.int16),
    i8: np.dtype(np.int8),
    ui64: np.dtype(np.uint64),
    ui32: np.dtype(np.uint32),
    ui16: np.dtype(np.uint16),
    ui8: np.dtype(np.uint8),
    i1: np.dtype(np.bool_),
}
"""Every element type of the graph dialect."""

ELEMENT_TYPES: Mapping[DType, Attribute] = {dtype: element_type for element_type, dtype in DTYPES.items()}


def dtype_of(element_type: Attribute) -> DType:
    """The NumPy dtype of an element type; raises LaminaError for types that tensors cannot hold."""
    found = DTYPES.get(element_type)
    if found is None:
        raise LaminaError(f"no NumPy dtype for the element type {element_type}", hints=(_SUPPORTED,))
    return found


def element_type_of(dtype: npt.DTypeLike) -> Attribute:
    """The element type of a NumPy dtype; raises LaminaError for dtypes that tensors cannot hold."""
    found = ELEMENT_TYPES.get(np.dtype(dtype).newbyteorder("="))
    if found is None:
        raise LaminaError(f"no element type for the NumPy dtype {np.dtype(dtype)}", hints=(_SUPPORTED,))
    return found


_SUPPORTED = f"supported: {', '.join(str(element_type) for element_type in DTYPES)}"


def is_boolean(element_type: Attribute) -> bool:
    """`i1`."""
    return element_type == i1


def is_integer(element_type: Attribute) -> bool:
    """A signed or unsigned integer; not `i1`."""
    return element_type in DTYPES and DTYPES[element_type].kind in "iu"


def is_unsigned(element_type: Attribute) -> bool:
    """`uiN`."""
    return element_type in (ui8, ui16, ui32, ui64)


def is_float(element_type: Attribute) -> bool:
    """f64, f32, f16 or bf16."""
    return element_type in (f32, f64, f16, bf16)


def bit_width(element_type: Attribute) -> int:
    """Bits of one element (1 for `i1`, though it is stored as one byte)."""
    return 1 if is_boolean(element_type) else dtype_of(element_type).itemsize * 8


@dataclass(frozen=True)
class ElementKind:
    """A set of element types with a name for messages."""

    description: str
    accepts: Callable[[Attribute], bool]


FLOAT = ElementKind("a float", is_float)
INTEGER = ElementKind("an integer", is_integer)
BOOLEAN = ElementKind("i1", is_boolean)
NUMBER = ElementKind("a float or an integer", lambda element_type: is_float(element_type) or is_integer(element_type))
INTEGER_OR_BOOLEAN = ElementKind("an integer or i1", lambda t: is_integer(t) or is_boolean(t))
ANY = ElementKind("an element type", lambda element_type: element_type in DTYPES)
