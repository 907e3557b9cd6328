"""What `ptx_machine` keeps of a device and of its warps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from support.ptx_values import Lanes

WARP = 32
ALL = np.ones(WARP, bool)


class Memory:
    """The device's memory: what was allocated, at addresses as a device has them."""

    START = 1 << 33

    def __init__(self, size: int):
        self.bytes = np.full(size, 0xFF, np.uint8)
        self.taken = np.zeros(size, bool)
        self.end = 0

    def allocate(self, size: int) -> int:
        """Memory at a multiple of 256 bytes, with a gap behind it."""
        start = self.end
        self.end = start + -(-max(1, size) // 256) * 256 + 256
        assert self.end <= len(self.bytes), "no memory left"
        self.taken[start : start + size] = True
        return self.START + start

    def at(self, addresses: Lanes, size: int) -> Lanes:
        """Positions of accesses of `size` bytes, checked."""
        places = addresses.astype(np.int64) - self.START
        assert (addresses % size == 0).all(), f"accesses of {size} bytes are not aligned"
        whole = places[:, None] + np.arange(size)[None]
        assert (whole >= 0).all() and (whole < self.end).all() and self.taken[whole].all(), "outside of all buffers"
        return whole


@dataclass(eq=False)
class Product:
    """A `wgmma` that a warp has begun: `run` reads shared memory and gives sums, `reads` says which lines it reads."""

    registers: Sequence[str]
    run: Callable[[], None]
    reads: Lanes
    is_done: bool = False


@dataclass(eq=False)
class Part:
    """Lanes of a warp that are at one instruction."""

    at: int
    lanes: Lanes


@dataclass(eq=False)
class Warp:
    """32 threads: registers, parts, and what they have begun."""

    number: int
    parts: list[Part]
    registers: dict[str, Lanes] = field(default_factory=dict[str, Lanes])
    open: list[Product] = field(default_factory=list[Product])
    groups: list[list[Product]] = field(default_factory=list[list[Product]])
    dirty: set[str] = field(default_factory=set[str])
    """Registers that were written since the last `wgmma.fence`."""
    copies: list[list[Any]] = field(default_factory=lambda: [[]])
    """`cp.async` by group, the last one still open: (address, bytes, values, lanes)."""
    lanes_left: Lanes = field(default_factory=lambda: ALL.copy())

    def products(self) -> list[Product]:
        """All that may still go on, the oldest first."""
        return [one for group in (*self.groups, self.open) for one in group]
