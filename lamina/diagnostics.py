"""What a user can get wrong, as one exception type and one way to print it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, FileLineColLoc, FusedLoc, NameLoc
from xdsl.ir import Attribute


class LaminaError(Exception):
    """An error that the user can mend: printed as `error: where: what`, then the hints; exit code 1.

    `where` is a location as text (`model.onnx`, `file.mlir:3:5`, a node's name), `hints` say what to do.
    """

    def __init__(self, message: str, *, where: str | None = None, hints: Sequence[str] = ()):
        super().__init__(message)
        self.message = message
        self.where = where
        self.hints = tuple(hints)

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return "\n".join([head, *(f"  → {hint}" for hint in self.hints)])


def location_text(location: Attribute) -> str | None:
    """A location as a person writes it: `file:line:col`, a node's name, or None when unknown."""
    if isinstance(location, FileLineColLoc):
        return f"{location.filename.data}:{location.line.data}:{location.column.data}"
    if isinstance(location, NameLoc):
        return location.desc.data
    if isinstance(location, FusedLoc):
        parts = [location_text(part) for part in cast(ArrayAttr[Attribute], location.locations)]
        return ", ".join(part for part in parts if part) or None
    return None
