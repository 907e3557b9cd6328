"""The base of every pass: what it needs, what it leaves behind and what it counts, as data."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from xdsl.passes import ModulePass

Counts: TypeAlias = dict[tuple[str, str], int]
"""(pass, counter) → how many."""

_counts: ContextVar[Counts | None] = ContextVar("pass counters", default=None)


@contextmanager
def counting(counts: Counts) -> Generator[None]:
    """Add what passes count while the block runs to `counts`."""
    token = _counts.set(counts)
    try:
        yield
    finally:
        _counts.reset(token)


@dataclass(frozen=True)
class LaminaPass(ModulePass):
    """A module pass with a contract.

    `requires` and `ensures` are names of facts about the module (`types-inferred`, `kernels-formed`, `scheduled`,
    `buffers`, …). A pipeline refuses a pass whose requirement no earlier pass of it ensures, naming that pass; the
    documentation and the phase contracts are generated from the same data. `counters` are what the pass counts, by
    name, each with one line of help (`lamina-opt --statistics`).
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    ensures: ClassVar[frozenset[str]] = frozenset()
    counters: ClassVar[Mapping[str, str]] = {}

    @property
    def is_counting(self) -> bool:
        """Whether somebody collects: what costs time to count is counted only then."""
        return _counts.get() is not None

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to a counter that the pass declares; costs next to nothing when nobody collects."""
        counts = _counts.get()
        if counts is None:
            return
        if counter not in self.counters:
            raise KeyError(f"pass '{self.name}' declares no counter '{counter}'")
        counts[self.name, counter] = counts.get((self.name, counter), 0) + amount
