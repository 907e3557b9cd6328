"""Memory that knows who touched what: bounds, first writes, and accesses of threads that nothing puts in order."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lamina.diagnostics import LaminaError

Lanes: TypeAlias = "npt.NDArray[Any]"
NOBODY, MANY = -1, -2

OUT_OF_BOUNDS, UNINITIALIZED, RACE, DIVERGENCE = "out of bounds", "uninitialized", "race", "divergence"
KINDS = (OUT_OF_BOUNDS, UNINITIALIZED, RACE, DIVERGENCE)


@dataclass
class Who:
    """Who has touched each byte of a buffer in a launch: thread, block, and the block's barriers until then.

    `NOBODY` has not; `MANY`: more than one of them. Only the first byte of an element counts.
    """

    thread: Lanes
    block: Lanes
    interval: Lanes
    atomic: Lanes

    @staticmethod
    def of(size: int) -> Who:
        """Nobody yet."""
        thread, block, interval = (np.full(size, NOBODY, np.int64) for _ in range(3))
        return Who(thread, block, interval, np.zeros(size, np.bool_))


@dataclass
class Buffer:
    """Some memory: bytes, which of them were written, and who touched them since `begin`.

    `awaited`: by byte, the thread whose asynchronous copy to it may go on, or `NOBODY`; empty where there are none.
    """

    name: str
    data: npt.NDArray[np.uint8]
    written: npt.NDArray[np.bool_]
    writers: Who = field(default_factory=lambda: Who.of(0))
    readers: Who = field(default_factory=lambda: Who.of(0))
    awaited: Lanes = field(default_factory=lambda: np.zeros(0, np.int64))

    @staticmethod
    def new(name: str, size: int) -> Buffer:
        """Memory that nobody has written to; what it holds is no sensible number."""
        return Buffer(name, np.full(size, 0xCD, np.uint8), np.zeros(size, np.bool_))

    def begin(self) -> None:
        """Forget who touched it: a launch is in order with those before it."""
        self.writers, self.readers = Who.of(0), Who.of(0)

    def watch(self) -> None:
        """Have room to remember who touches it."""
        if len(self.writers.thread) != len(self.data):
            self.writers, self.readers = Who.of(len(self.data)), Who.of(len(self.data))


@dataclass(frozen=True)
class Access:
    """Elements that threads touch together: byte offsets in one buffer, and of each who touches it.

    `thread`: numbers in the whole grid; `interval`: how many barriers the thread's block has been through; `threads` of
    a block.
    """

    offset: Lanes
    thread: Lanes
    block: Lanes
    interval: Lanes
    threads: int
    atomic: bool = False

    def name(self, thread: int) -> str:
        """A thread of the grid in a message."""
        return f"thread {thread % self.threads} of block {thread // self.threads}"

    def pick(self, chosen: Lanes) -> Access:
        """Some of them."""
        offset, thread, block, interval = (one[chosen] for one in (self.offset, self.thread, self.block, self.interval))
        return Access(offset, thread, block, interval, self.threads, self.atomic)


Report: TypeAlias = "Callable[[str, str], None]"
"""Told of a kind (`KINDS`) and a message."""


def read(buffer: Buffer, access: Access, dtype: np.dtype[Any], report: Report) -> Lanes:
    """The elements; reports a first read, and a read that no barrier puts in order with another thread's write."""
    known = buffer.written[access.offset] | _check_awaited(buffer, access, "reads", report)
    if not known.all():
        missing = access.pick(~known)
        report(UNINITIALIZED, f"{_thread(missing)} reads byte {missing.offset[0]} of {buffer.name}, never written")
    if not access.atomic:
        _watch_read(buffer, access, report)
    return _elements(buffer, access.offset, dtype).view(dtype)[..., 0]


def write(buffer: Buffer, access: Access, values: Lanes, report: Report) -> None:
    """Store elements; reports a write that no barrier puts in order with another thread's access.

    Where several threads write to one place, the last one in the order given wins.
    """
    _check_awaited(buffer, access, "writes", report)
    _watch_write(buffer, access, report)
    store(buffer, access.offset, values)


def begin_copy(buffer: Buffer, access: Access, report: Report) -> None:
    """An asynchronous copy to elements begins: until its thread has waited for it, nobody may touch them."""
    _check_awaited(buffer, access, "copies to", report)
    _watch_write(buffer, access, report)
    if not len(buffer.awaited):
        buffer.awaited = np.full(len(buffer.data), NOBODY, np.int64)
    buffer.awaited[access.offset] = access.thread


def end_copy(buffer: Buffer, access: Access, values: Lanes) -> None:
    """The threads that copied have waited: they see the elements, others do behind a barrier."""
    buffer.awaited[access.offset] = NOBODY
    _remember(buffer.writers, access)
    store(buffer, access.offset, values)


def _check_awaited(buffer: Buffer, access: Access, verb: str, report: Report) -> Lanes:
    """Report elements that copies may still change; which ones those are."""
    if not len(buffer.awaited):
        return np.zeros(len(access.offset), np.bool_)
    under_way = buffer.awaited[access.offset] != NOBODY
    if under_way.any():
        chosen = access.pick(under_way)
        by = access.name(int(buffer.awaited[chosen.offset[0]]))
        place = f"byte {chosen.offset[0]} of {buffer.name}"
        report(RACE, f"{_thread(chosen)} {verb} {place}, to which {by} copies and has not waited for it")
    return under_way


def store(buffer: Buffer, offset: Lanes, values: Lanes) -> None:
    """Store elements without a look at who does."""
    size = values.dtype.itemsize
    places = offset[:, None] + np.arange(size)
    buffer.data[places] = np.ascontiguousarray(values).view(np.uint8).reshape(len(offset), size)
    buffer.written[places] = True


def _elements(buffer: Buffer, offset: Lanes, dtype: np.dtype[Any]) -> Lanes:
    return np.ascontiguousarray(buffer.data[offset[:, None] + np.arange(dtype.itemsize)])


def _unordered(who: Who, access: Access) -> Lanes:
    """Which accesses meet one of another thread that no barrier separates from them."""
    thread, block = who.thread[access.offset], who.block[access.offset]
    same_interval = (block != access.block) | (who.interval[access.offset] == access.interval)
    found = (thread != NOBODY) & (thread != access.thread) & same_interval
    return found & ~who.atomic[access.offset] if access.atomic else found


def _watch_read(buffer: Buffer, access: Access, report: Report) -> None:
    buffer.watch()
    clash = _unordered(buffer.writers, access)
    if clash.any():
        _report_race(buffer, buffer.writers, access.pick(clash), "reads", "wrote", report)
    _remember(buffer.readers, access)


def _watch_write(buffer: Buffer, access: Access, report: Report) -> None:
    buffer.watch()
    for who, verb in ((buffer.writers, "wrote"), (buffer.readers, "read")):
        clash = _unordered(who, access)
        if clash.any():
            _report_race(buffer, who, access.pick(clash), "writes", verb, report)
            break
    _remember(buffer.writers, access)
    if not access.atomic:
        # Neighbors in this very access.
        twice = buffer.writers.thread[access.offset] == MANY
        if twice.any():
            chosen = access.pick(twice)
            other = next((t for t in chosen.thread if t != chosen.thread[0]), None)
            if other is not None and (chosen.offset == chosen.offset[0]).sum() > 1:
                report(
                    RACE, f"{_thread(chosen)} and {access.name(other)} write byte {chosen.offset[0]} of {buffer.name}"
                )


def _remember(who: Who, access: Access) -> None:
    """Take accesses in: older ones of the same block are behind a barrier, those of other blocks are not."""
    offset = access.offset
    thread, block, interval = who.thread[offset], who.block[offset], who.interval[offset]
    known = thread != NOBODY
    other_block = known & (block != access.block)
    other_thread = known & (thread != access.thread) & (interval == access.interval)
    who.thread[offset] = access.thread
    who.block[offset] = access.block
    who.interval[offset] = access.interval
    who.atomic[offset] = access.atomic
    # Several lanes at one place: the last one's number stands there now.
    repeated = who.thread[offset] != access.thread
    repeated_block = who.block[offset] != access.block
    who.thread[offset[other_thread | other_block | repeated]] = MANY
    who.block[offset[other_block | repeated_block]] = MANY


def _report_race(buffer: Buffer, who: Who, access: Access, verb: str, other_verb: str, report: Report) -> None:
    other = int(who.thread[access.offset[0]])
    by = "other threads" if other == MANY else access.name(other)
    where = f"byte {access.offset[0]} of {buffer.name}"
    report(RACE, f"{_thread(access)} {verb} {where}, which {by} {other_verb} with no barrier in between")


def _thread(access: Access) -> str:
    return access.name(int(access.thread[0]))


class AddressSpace:
    """Buffers by addresses, as a device has them."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._buffers: list[Buffer] = []
        self._next = 1 << 12

    def allocate(self, size: int, name: str) -> int:
        """A new buffer's address."""
        address, self._next = self._next, self._next + (size + 511) // 512 * 512 + 512
        self._starts.append(address)
        self._buffers.append(Buffer.new(name, size))
        return address

    def find(self, address: int) -> tuple[Buffer, int]:
        """The buffer at an address, and the offset in it; raises LaminaError where there is none."""
        position = bisect.bisect_right(self._starts, address) - 1
        if position >= 0:
            buffer, offset = self._buffers[position], address - self._starts[position]
            if offset <= len(buffer.data):
                return buffer, offset
        raise LaminaError(f"there is no memory at {address:#x}")

    def begin(self) -> None:
        """Start a launch."""
        for buffer in self._buffers:
            buffer.begin()
