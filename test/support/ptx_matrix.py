"""Matrix units, tensor maps and barriers in memory as NVIDIA's documents have them, on NumPy arrays.

Written from the PTX ISA (sections named below), the CUDA driver API and CUTLASS's layouts (cute/atom/mma_traits_sm80.hpp,
mma_traits_sm90_gmma.hpp, cute/arch/mma_sm90_desc.hpp), not from the code that is tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]
ELEMENTS: Mapping[str, Any] = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "tf32": np.float32, "f64": np.float64}


@dataclass(frozen=True)
class Layout:
    """A CuTe layout of a matrix whose columns follow each other: thread and value to place, as shape and strides."""

    thread: Sequence[tuple[int, int]]
    value: Sequence[tuple[int, int]]

    def places(self, threads: int, rows: int) -> tuple[Array, Array]:
        """The row and the column of every thread's values: `[threads, values]` each; the first mode is the fastest."""
        values = int(np.prod([size for size, _ in self.value]))
        found = np.zeros((threads, values), int)
        for modes, axis in ((self.thread, 0), (self.value, 1)):
            number = np.arange(found.shape[axis])
            total = np.zeros_like(number)
            for size, stride in modes:
                total += number % size * stride
                number = number // size
            found += total[:, None] if axis == 0 else total[None]
        return found % rows, found // rows


_QUADS = ((4, 32), (8, 1))
_SUMS = Layout(_QUADS, ((2, 16), (2, 8)))
MMA_LAYOUTS: Mapping[tuple[str, str], tuple[Layout, Layout, Layout]] = {
    ("m16n8k16", "16"): (
        Layout(_QUADS, ((2, 16), (2, 8), (2, 128))),
        Layout(((4, 16), (8, 1)), ((2, 8), (2, 64))),
        _SUMS,
    ),
    ("m16n8k8", "16"): (_SUMS, Layout(((4, 16), (8, 1)), ((2, 8),)), _SUMS),
    ("m16n8k8", "32"): (
        Layout(((4, 16), (8, 1)), ((2, 8), (2, 64))),
        Layout(((4, 8), (8, 1)), ((2, 32),)),
        _SUMS,
    ),
    ("m16n8k4", "32"): (Layout(((4, 16), (8, 1)), ((2, 8),)), Layout(((4, 8), (8, 1)), ((1, 0),)), _SUMS),
    ("m8n8k4", "64"): (
        Layout(((4, 8), (8, 1)), ((1, 0),)),
        Layout(((4, 8), (8, 1)), ((1, 0),)),
        Layout(((4, 16), (8, 1)), ((2, 8),)),
    ),
}
"""By shape and bits of the factors: a as m × k, b as n × k, c as m × n (mma_traits_sm80.hpp)."""

WARPGROUP_SUMS = Layout(((4, 128), (8, 1), (4, 16)), ((2, 64), (2, 8), (32, 512)))
"""CLayout_64xN of mma_traits_sm90_gmma.hpp, for the widest N."""


def sizes_of(shape: str) -> tuple[int, int, int]:
    """m, n and k of `m16n8k16`."""
    m, _, rest = shape[1:].partition("n")
    n, _, k = rest.partition("k")
    return int(m), int(n), int(k)


def multiply_fragments(shape: str, element: str, a: Array, b: Array, c: Array) -> Array:
    """d of all lanes, from what each holds: `[32, values]` of the elements' type."""
    m, n, k = sizes_of(shape)
    bits = {"f16": "16", "bf16": "16", "tf32": "32", "f64": "64"}[element]
    layouts = MMA_LAYOUTS[shape, bits]
    wide = np.float64 if element == "f64" else np.float32
    matrices: list[Array] = []
    for layout, values, (rows, columns) in zip(layouts, (a, b, c), ((m, k), (n, k), (m, n)), strict=True):
        matrix = np.full((rows, columns), np.nan, wide)
        matrix[layout.places(32, rows)] = values
        matrices.append(matrix)
    left, right, total = matrices
    return (left @ right.T + total)[layouts[2].places(32, m)]


def as_tf32(bits: Array) -> Array:
    """What a matrix unit takes of f32 bits: the last 13 are left out."""
    return (bits.astype(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


@dataclass(frozen=True)
class SharedMatrix:
    """A matrix descriptor of wgmma taken apart (PTX ISA, "Matrix descriptor format"; union GmmaDescriptor): in bytes.

    Bits 0–13 the start, 16–29 the leading and 32–45 the stride offset, all in units of 16 bytes; 49–51 the base offset,
    62–63 the swizzle (1: 128 bytes).
    """

    start: int
    leading: int
    stride: int

    @staticmethod
    def of(bits: int) -> SharedMatrix:
        assert bits >> 62 == 1, f"descriptor {bits:#x}: expected a swizzle of 128 bytes"
        assert not bits & ~((3 << 62) | 0x3FFF | 0x3FFF << 16 | 0x3FFF << 32), f"descriptor {bits:#x} has other bits"
        return SharedMatrix((bits & 0x3FFF) << 4, (bits >> 16 & 0x3FFF) << 4, (bits >> 32 & 0x3FFF) << 4)

    def addresses(self, side: int, depth: int, each: int, *, is_turned: bool) -> Array:
        """Where the elements `[side, depth]` begin; `is_turned`: neighbors are along the side (MN-major).

        In units of 16 bytes (T elements), K-major ((8, m), (T, 2)) : ((8T, SBO), (1, T)); MN-major
        ((T, 8, m), (8, k)) : ((1, T, LBO), (8T, SBO)): make_gmma_desc in mma_traits_sm90_gmma.hpp.
        """
        i, k = np.arange(side)[:, None], np.arange(depth)[None]
        if is_turned:
            per_line = 128 // each
            at = i % per_line * each + i // per_line * self.leading + k % 8 * 128 + k // 8 * self.stride
        else:
            at = i % 8 * 128 + i // 8 * self.stride + k * each
        return swizzled(self.start + at)


def swizzled(address: Any) -> Any:
    """Swizzle<3,4,3>: bits 4–6 of an address in shared memory change by bits 7–9."""
    return address ^ (address >> 7 & 7) << 4


@dataclass(frozen=True)
class TensorMap:
    """What cuTensorMapEncodeTiled is given, the fastest axis first; refuses what its documentation refuses."""

    element_bytes: int
    address: int
    sizes: Sequence[int]
    strides: Sequence[int]
    box: Sequence[int]
    swizzle: int
    rounds: bool

    TYPES = {6: 2, 7: 4, 9: 2, 11: 4}
    """CUtensorMapDataType: f16, f32, bf16, tf32, and bytes of each."""

    @staticmethod
    def encode(
        type_: int,
        rank: int,
        address: int,
        sizes: Sequence[int],
        strides: Sequence[int],
        box: Sequence[int],
        steps: Sequence[int],
        interleave: int,
        swizzle: int,
        promotion: int,
        fill: int,
    ) -> TensorMap:
        each = TensorMap.TYPES[type_]
        assert 1 <= rank <= 5 and len(sizes) == len(box) == len(steps) == rank and len(strides) == rank - 1
        assert address % 16 == 0 and all(one % 16 == 0 and one < 1 << 40 for one in strides)
        assert all(0 < one <= 1 << 32 for one in sizes) and all(0 < one <= 256 for one in box)
        assert all(one == 1 for one in steps) and box[0] * each % 16 == 0
        assert interleave == 0 and swizzle == 3 and fill == 0 and 0 <= promotion <= 3
        assert box[0] * each <= 128, "the box is wider than the swizzle"
        return TensorMap(each, address, tuple(sizes), (each, *strides), tuple(box), swizzle, type_ == 11)

    @property
    def bytes(self) -> int:
        """Of a box, elements outside of the tensor among them: what a copy tells its barrier."""
        return int(np.prod(self.box)) * self.element_bytes

    def elements(self, first: Sequence[int]) -> tuple[Array, Array]:
        """Of the box that begins at `first`, in its own order: which elements the tensor has, and their addresses."""
        inside, address = np.ones((), bool), np.full((), self.address, np.int64)
        for start, count, size, stride in zip(first, self.box, self.sizes, self.strides, strict=True):
            at = start + np.arange(count)
            inside = (inside & ((at >= 0) & (at < size)).reshape(-1, *[1] * inside.ndim)).reshape(count, *inside.shape)
            address = (address + (at * stride).reshape(-1, *[1] * address.ndim)).reshape(count, *address.shape)
        return inside.ravel(), address.ravel()


@dataclass
class Barrier:
    """PTX ISA, "mbarrier": a phase is over when no arrival is pending and no byte is still to come."""

    count: int
    pending: int
    bytes: int = 0
    phase: int = 0

    def arrive(self, expected: int) -> None:
        """One arrival, which may tell of bytes to come."""
        assert self.pending > 0, "more arrivals than a phase has"
        self.bytes += expected
        assert self.bytes < 1 << 20, "more bytes than a barrier counts"
        self.pending -= 1
        self._settle()

    def complete(self, count: int) -> None:
        """Bytes have come."""
        self.bytes -= count
        self._settle()

    def is_over(self, parity: int) -> bool:
        """Whether the phase of a parity is over, which is the current one or the one before."""
        return self.phase % 2 != parity

    def _settle(self) -> None:
        if self.pending == 0 and self.bytes == 0:
            self.phase += 1
            self.pending = self.count
