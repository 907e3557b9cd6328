"""The cheapest way to divide the nodes of a network in two."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SOURCE, SINK = 0, 1
"""The two nodes that a network has from the start: what ends up on whose side is the question."""

UNBOUNDED = 1 << 62
"""The capacity of an edge that must not be cut."""


@dataclass
class Network:
    """Nodes 0, 1, … and edges between them; an edge costs its capacity where it leads from the source's side across."""

    _targets: list[int] = field(default_factory=list[int])
    _left: list[int] = field(default_factory=list[int])
    """What an edge can still carry; edges 2i and 2i + 1 are each other's reverse."""
    _edges_of: list[list[int]] = field(default_factory=lambda: [[], []])

    def node(self) -> int:
        """A new node."""
        self._edges_of.append([])
        return len(self._edges_of) - 1

    def edge(self, start: int, end: int, capacity: int) -> None:
        """An edge that costs `capacity` when `start` is on the source's side and `end` on the sink's."""
        if start == end or capacity <= 0:
            return
        for origin, target, amount in ((start, end, capacity), (end, start, 0)):
            self._edges_of[origin].append(len(self._targets))
            self._targets.append(target)
            self._left.append(amount)

    def sink_side(self) -> set[int]:
        """The nodes on the sink's side of a cheapest cut, as few as possible (Dinic's algorithm)."""
        while (levels := self._levels())[SINK] >= 0:
            unused = [0] * len(self._edges_of)
            while (path := self._path(levels, unused)) is not None:
                amount = min(self._left[edge] for edge in path)
                for edge in path:
                    self._left[edge] -= amount
                    self._left[edge ^ 1] += amount
        side, waiting = {SINK}, [SINK]
        while waiting:
            for edge in self._edges_of[waiting.pop()]:
                node = self._targets[edge]
                if self._left[edge ^ 1] and node not in side:
                    side.add(node)
                    waiting.append(node)
        return side

    def _levels(self) -> list[int]:
        """Each node's distance from the source over edges that are not full; -1 where there is no way."""
        levels = [-1] * len(self._edges_of)
        levels[SOURCE] = 0
        waiting = deque([SOURCE])
        while waiting:
            node = waiting.popleft()
            for edge in self._edges_of[node]:
                target = self._targets[edge]
                if self._left[edge] and levels[target] < 0:
                    levels[target] = levels[node] + 1
                    waiting.append(target)
        return levels

    def _path(self, levels: list[int], unused: list[int]) -> list[int] | None:
        """Edges from source to sink, each one level on; `unused` counts the edges of a node that lead nowhere."""
        path: list[int] = []
        node = SOURCE
        while node != SINK:
            edges = self._edges_of[node]
            while unused[node] < len(edges):
                edge = edges[unused[node]]
                if self._left[edge] and levels[self._targets[edge]] == levels[node] + 1:
                    break
                unused[node] += 1
            if unused[node] < len(edges):
                path.append(edges[unused[node]])
                node = self._targets[path[-1]]
                continue
            if not path:
                return None
            node = self._targets[path.pop() ^ 1]
            unused[node] += 1
        return path
