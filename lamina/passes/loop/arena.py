"""Where buffers lie in an arena: which rest upon which, decided once for all sizes.

Offsets of buffers of symbolic size are functions of the sizes. What is decided here is an order: of two buffers that
live at the same time, one lies below the other. Each buffer then begins where the highest of those below it ends, which
is right for every size, and as compact as the order allows. The order comes from a best-fit placement at assumed sizes
(the greedy-by-size heuristic of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lamina.dialects.graph.dims import Dim, evaluate, exact_quotient, symbols_of
from lamina.dialects.graph.dims import ceil_divide as dim_ceil_divide
from lamina.passes.loop.bufferizer import ALIGNMENT

ASSUMED_SIZE = 64
"""What a symbolic size counts as while the order is decided."""


@dataclass(frozen=True)
class Lifetime:
    """A buffer: its bytes, and the numbers of the first and the last op during which it holds something."""

    size: Dim
    first: int
    last: int

    def overlaps(self, other: Lifetime) -> bool:
        """Whether both hold something at one time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Stack:
    """Buffers in an order in which they can be placed, each with those that it rests upon directly."""

    lifetimes: Sequence[Lifetime]
    order: Sequence[int]
    below: Sequence[tuple[int, ...]]

    def bytes(self, sizes: Mapping[str, int]) -> int:
        """The bytes of the arena for some sizes; raises KeyError for a symbol without one."""
        ends: dict[int, int] = {}
        for index in self.order:
            start = max((ends[other] for other in self.below[index]), default=0)
            ends[index] = start + bytes_at(self.lifetimes[index], sizes)
        return max(ends.values(), default=0)


def aligned(size: Dim) -> Dim:
    """A size in bytes rounded up to whole lines."""
    return size if exact_quotient(size, ALIGNMENT) is not None else dim_ceil_divide(size, ALIGNMENT) * ALIGNMENT


def largest_live_set(lifetimes: Sequence[Lifetime], sizes: Mapping[str, int]) -> int:
    """The bytes that are in use at once at the worst moment: no arena can be smaller."""
    changes: dict[int, int] = {}
    for lifetime in lifetimes:
        size = bytes_at(lifetime, sizes)
        changes[lifetime.first] = changes.get(lifetime.first, 0) + size
        changes[lifetime.last + 1] = changes.get(lifetime.last + 1, 0) - size
    live = largest = 0
    for moment in sorted(changes):
        live += changes[moment]
        largest = max(largest, live)
    return largest


def stack(lifetimes: Sequence[Lifetime]) -> Stack:
    """Decide the order of some buffers: the most compact of a few greedy placements at assumed sizes."""
    assumed = {name: ASSUMED_SIZE for lifetime in lifetimes for name in symbols_of(lifetime.size)}
    # Nothing is empty here: two buffers that share a moment must have different places.
    sizes = [max(ALIGNMENT, bytes_at(lifetime, assumed)) for lifetime in lifetimes]
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda index: (-sizes[index], lifetimes[index].first),
        lambda index: (-sizes[index] * (1 + lifetimes[index].last - lifetimes[index].first), index),
        lambda index: (lifetimes[index].first - lifetimes[index].last, -sizes[index]),
        lambda index: (lifetimes[index].first, -sizes[index]),
    )
    candidates = [_place(lifetimes, sizes, sorted(range(len(lifetimes)), key=key)) for key in keys]
    offsets = min(candidates, key=lambda found: max((o + s for o, s in zip(found, sizes, strict=True)), default=0))
    return _stack_at(lifetimes, offsets)


def _place(lifetimes: Sequence[Lifetime], sizes: Sequence[int], order: Sequence[int]) -> list[int]:
    """Offsets of buffers that are placed one after the other, each in the smallest gap that it fits into."""
    offsets = [0] * len(sizes)
    placed: list[int] = []
    for index in order:
        end = 0
        gaps: list[tuple[int, int]] = []
        neighbors = [other for other in placed if lifetimes[other].overlaps(lifetimes[index])]
        for other in sorted(neighbors, key=lambda one: offsets[one]):
            if offsets[other] - end >= sizes[index]:
                gaps.append((offsets[other] - end, end))
            end = max(end, offsets[other] + sizes[other])
        offsets[index] = min(gaps)[1] if gaps else end
        placed.append(index)
    return offsets


def _stack_at(lifetimes: Sequence[Lifetime], offsets: Sequence[int]) -> Stack:
    """Who rests upon whom in a placement, without what follows from the rest."""
    order = sorted(range(len(offsets)), key=lambda index: offsets[index])
    all_below: dict[int, set[int]] = {}
    below: list[tuple[int, ...]] = [()] * len(offsets)
    for position, index in enumerate(order):
        under = {other for other in order[:position] if lifetimes[other].overlaps(lifetimes[index])}
        implied = set[int]().union(*(all_below[other] for other in under))
        all_below[index] = under | implied
        below[index] = tuple(sorted(under - implied))
    return Stack(lifetimes, order, below)


def bytes_at(lifetime: Lifetime, sizes: Mapping[str, int]) -> int:
    """The bytes that a buffer takes for some sizes, in whole lines; raises KeyError for a symbol without a size."""
    return -(-max(0, evaluate(lifetime.size, sizes)) // ALIGNMENT) * ALIGNMENT
