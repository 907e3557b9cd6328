"""MLIR types as LLVM types: scalars, and n-D vectors as rows of native registers."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
)
from xdsl.ir import Attribute, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.types import AnyMemRef, AnyVector, is_integer, is_memref
from lamina.dialects.loop.types import is_vector as is_vector_type

FLOATS: dict[type[Attribute], tuple[str, int]] = {
    Float64Type: ("double", 8),
    Float32Type: ("float", 4),
    Float16Type: ("half", 2),
    BFloat16Type: ("bfloat", 2),
}
INTEGER_WIDTHS = (1, 8, 16, 32, 64)
SMALL_FLOATS = ("half", "bfloat")
LANE_BITS = 32
"""Every vector is cut into parts of `vector_bits / 32` lanes whatever its element type, so that masks, comparisons and
casts between element types go part by part; LLVM splits a part of wider elements into two registers."""


@lru_cache(maxsize=256)
def element_text(type_: Attribute) -> str:
    """The LLVM type of a scalar; raises LaminaError for a type that has none."""
    if isinstance(type_, IndexType):
        return "i64"
    if is_integer(type_) and type_.width.data in INTEGER_WIDTHS:
        return f"i{type_.width.data}"
    found = FLOATS.get(type(type_))
    if found is None:
        raise LaminaError(f"type {type_} has no LLVM form here")
    return found[0]


def memory_text(element: str) -> str:
    """The LLVM type of an element in memory: that of the value, and a byte for i1."""
    return "i8" if element == "i1" else element


_BYTES = {"double": 8, "float": 4, "half": 2, "bfloat": 2, "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8}
_MANGLED = {"double": "f64", "float": "f32", "half": "f16", "bfloat": "bf16", "ptr": "p0"}
BITS = {name: 1 if name == "i1" else 8 * size for name, size in _BYTES.items()}
"""Bits of an element by its LLVM type."""


def element_bytes(element: str) -> int:
    """Bytes of an element in memory."""
    return _BYTES[element]


@lru_cache(maxsize=1024)
def element_of(type_: str) -> str:
    """The element of an LLVM vector type; a scalar type itself."""
    return type_[:-1].partition(" x ")[2] if type_.startswith("<") else type_


@lru_cache(maxsize=4096)
def with_element(type_: str, element: str) -> str:
    """An LLVM type of the same lanes with another element."""
    return f"{type_.partition(' x ')[0]} x {element}>" if type_.startswith("<") else element


@lru_cache(maxsize=1024)
def lanes_of(type_: str) -> int:
    """The lanes of an LLVM vector type."""
    return int(type_[1:].partition(" ")[0])


@lru_cache(maxsize=1024)
def mangled(type_: str) -> str:
    """An LLVM type as it stands in the name of an intrinsic: `v16f32`, `i64`, `p0`."""
    if type_.startswith("<"):
        return f"v{lanes_of(type_)}{mangled(element_of(type_))}"
    return _MANGLED.get(type_, type_)


def _float_bits(value: float) -> str:
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def _single(value: float) -> str:
    try:
        rounded = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        rounded = math.copysign(math.inf, value)
    return _float_bits(rounded)


def _half(value: float) -> str:
    try:
        return f"0xH{struct.unpack('<H', struct.pack('<e', value))[0]:04X}"
    except OverflowError:
        return "0xH7C00" if value > 0 else "0xHFC00"


def _bfloat(value: float) -> str:
    packed = BFloat16Type().pack((value,))
    return f"0xR{struct.unpack('<H', packed)[0]:04X}"


_LITERALS: dict[str, Callable[[Any], str]] = {
    "double": _float_bits,
    "float": _single,
    "half": _half,
    "bfloat": _bfloat,
}


def literal(element: str, value: float | int) -> str:
    """A scalar constant as LLVM writes it, rounded to the type."""
    convert = _LITERALS.get(element)
    return str(int(value)) if convert is None else convert(float(value))


@dataclass(frozen=True)
class VectorLayout:
    """How an n-D vector lies in native registers: each row (the last axis) in parts of at most `lanes` lanes.

    `types` is the LLVM type of every part, row by row; the last part of a row is narrower where the lanes do not divide
    the row, so no lane is ever undefined. A 0-D vector is one row of one lane.
    """

    shape: tuple[int, ...]
    lanes: int
    element: str
    rows: int
    columns: int
    widths: tuple[int, ...]
    types: tuple[str, ...]

    @staticmethod
    def of(shape: tuple[int, ...], element: str, lanes: int) -> VectorLayout:
        """The layout of a shape. Raises LaminaError for an axis of size zero."""
        columns = shape[-1] if shape else 1
        if 0 in shape:
            raise LaminaError(f"a vector of shape {shape} has no elements")
        rows = math.prod(shape[:-1])
        widths = tuple(min(lanes, columns - start) for start in range(0, columns, lanes))
        row = tuple(f"<{width} x {element}>" for width in widths)
        return VectorLayout(shape, lanes, element, rows, columns, widths, row * rows)

    @property
    def parts_per_row(self) -> int:
        """Parts of one row."""
        return len(self.widths)

    def with_element(self, element: str) -> VectorLayout:
        """The layout of the same shape with another element."""
        return VectorLayout.of(self.shape, element, self.lanes)


def vector_layout(type_: AnyVector, lanes: int) -> VectorLayout:
    """The layout of a vector type; scalable vectors are refused."""
    if any(flag.value.data for flag in type_.scalable_dims):
        raise LaminaError("scalable vectors are not supported")
    return VectorLayout.of(type_.get_shape(), element_text(type_.get_element_type()), lanes)


def is_vector(value: SSAValue) -> bool:
    """Whether a value is a vector."""
    return is_vector_type(value.type)


def memref_type(value: SSAValue) -> AnyMemRef:
    """The type of a buffer; raises LaminaError for anything else."""
    type_ = value.type
    if not is_memref(type_):
        raise LaminaError(f"expected a buffer, found {type_}")
    return type_
