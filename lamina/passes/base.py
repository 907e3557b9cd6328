"""The base of every pass: what it needs and what it leaves behind, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.passes import ModulePass


@dataclass(frozen=True)
class LaminaPass(ModulePass):
    """A module pass with a contract.

    `requires` and `ensures` are names of facts about the module (`types-inferred`, `kernels-formed`, `scheduled`,
    `buffers`, …). A pipeline refuses a pass whose requirement no earlier pass of it ensures, naming that pass; the
    documentation and the phase contracts are generated from the same data.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    ensures: ClassVar[frozenset[str]] = frozenset()
