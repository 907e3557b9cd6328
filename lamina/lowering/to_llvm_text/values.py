"""What the printer knows about a value: a scalar, a vector in parts, or a buffer with its sizes and strides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lamina.lowering.to_llvm_text.types import VectorLayout

Scalar: TypeAlias = str | int
"""An LLVM operand (`%t1`, `0x…`), or an integer known at compile time (index arithmetic is folded)."""


@dataclass(slots=True)
class Vector:
    """A vector as one LLVM value per part, or as scalars in row-major order (a strided column), or both."""

    layout: VectorLayout
    parts: list[str] | None = None
    elements: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Buffer:
    """A buffer: element (i, j, …) is at `pointer + offset + i * strides[0] + j * strides[1] + …`, in elements.

    `base` is where the allocation starts. `exclusive` says that no pointer of the function reaches it but those derived
    from `base`. `element` is the value's LLVM type (i1 is stored as a byte).
    """

    base: str
    pointer: str
    offset: int
    sizes: tuple[Scalar, ...]
    strides: tuple[Scalar, ...]
    element: str
    exclusive: bool = False


Value: TypeAlias = Scalar | Vector | Buffer


def unlinearized(index: int, shape: Sequence[int]) -> tuple[int, ...]:
    """The row-major index tuple of a position."""
    position: list[int] = []
    for size in reversed(shape):
        index, rest = divmod(index, size)
        position.append(rest)
    return tuple(reversed(position))


def linearized(position: Sequence[int], shape: Sequence[int]) -> int:
    """The row-major position of an index tuple."""
    index = 0
    for item, size in zip(position, shape, strict=True):
        index = index * size + item
    return index
