"""Device memory that is used again: blocks by their size, given back when nobody holds them."""

from __future__ import annotations

import threading
from collections import defaultdict
from heapq import heappop, heappush

from lamina.diagnostics import LaminaError
from lamina.targets.gpu.driver import Driver

SMALL, LARGE = 512, 2 << 20
"""Sizes are rounded up to a multiple of the first, from the second on to a multiple of the second."""


class Block:
    """Some device memory; it goes back to its pool with the last reference to it.

    `users`: streams of others that may still work on it.
    """

    def __init__(self, pool: Pool, number: int, address: int, size: int):
        self.pool = pool
        self.number = number
        self.address = address
        self.size = size
        self.users: set[int] = set()

    def __del__(self) -> None:
        self.pool.take_back(self.number, self.address, self.size, frozenset(self.users))


class Pool:
    """The memory of one program on one device.

    All of its work is on one stream at a time, and a change of stream waits (`Program`): a block may be used again
    while what its last user put on the stream still runs.
    """

    def __init__(self, driver: Driver):
        self.driver = driver
        self.held = 0
        """Bytes that the device has given, in use or not."""
        # The oldest block first: calls that repeat get the same ones, by whose addresses recordings are found.
        self._free: defaultdict[int, list[tuple[int, int, frozenset[int]]]] = defaultdict(list)
        self._count = 0
        self._lock = threading.RLock()  # a garbage collection inside of it may give blocks back

    def block(self, size: int, stream: int) -> Block:
        """Memory for work on a stream; raises LaminaError where the device has none left."""
        unit = LARGE if size >= LARGE else SMALL
        rounded = max(unit, -(-size // unit) * unit)
        with self._lock:
            found = heappop(self._free[rounded]) if self._free[rounded] else None
        if found is not None:
            number, address, users = found
            for user in users - {stream}:
                self.driver.follow(stream, user)
            return Block(self, number, address, rounded)
        try:
            address = self.driver.allocate(rounded)
        except LaminaError:
            if not self.trim():
                raise
            address = self.driver.allocate(rounded)
        self.held += rounded
        self._count += 1
        return Block(self, self._count, address, rounded)

    def take_back(self, number: int, address: int, size: int, users: frozenset[int]) -> None:
        """Keep a block for later."""
        with self._lock:
            heappush(self._free[size], (number, address, users))

    def trim(self) -> int:
        """Give all unused blocks to the device; the bytes that they had."""
        with self._lock:
            unused = [(size, address) for size, blocks in self._free.items() for _, address, _ in blocks]
            self._free.clear()
        for size, address in unused:
            self.driver.release(address)
            self.held -= size
        return sum(size for size, _ in unused)
