"""What a user can get wrong, as one exception type and one way to print it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ArrayAttr
    from xdsl.ir import Attribute, Operation

# xDSL is imported where it is used: a model from the cache starts without it.


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
    from xdsl.dialects.builtin import FileLineColLoc, FusedLoc, NameLoc

    if isinstance(location, FileLineColLoc):
        return f"{location.filename.data}:{location.line.data}:{location.column.data}"
    if isinstance(location, NameLoc):
        return location.desc.data
    if isinstance(location, FusedLoc):
        parts = [location_text(part) for part in cast("ArrayAttr[Attribute]", location.locations)]
        return ", ".join(part for part in parts if part) or None
    return None


def error_at(op: Operation, message: str) -> LaminaError:
    """An error that names an op and its location."""
    return LaminaError(f"'{op.name}': {message}", where=location_text(op.location))


class Severity(Enum):
    """How bad a diagnostic is; a note belongs to another diagnostic."""

    ERROR = "error"
    WARNING = "warning"
    REMARK = "remark"
    NOTE = "note"


@dataclass(frozen=True)
class Diagnostic:
    """Something to tell the user, with where it is (`file:line:col`, a node's name) and notes of its own."""

    severity: Severity
    message: str
    where: str | None = None
    notes: tuple[Diagnostic, ...] = ()
    hints: tuple[str, ...] = ()
    is_context: bool = False
    """Whether this is a note that a tool added (the op in question, the pass), not part of what was said."""

    def __str__(self) -> str:
        head = f"{self.severity.value}: {self.message}"
        return "\n".join([f"{self.where}: {head}" if self.where else head, *(f"  → {hint}" for hint in self.hints)])


Handler: TypeAlias = Callable[[Diagnostic], None]


def _print_warnings(diagnostic: Diagnostic) -> None:
    """What happens to diagnostics where no tool handles them: warnings are printed, remarks are dropped."""
    if diagnostic.severity is not Severity.REMARK:
        print(diagnostic, *diagnostic.notes, sep="\n", file=sys.stderr)


_handler: ContextVar[Handler] = ContextVar("diagnostic handler", default=_print_warnings)


@contextmanager
def handling(handler: Handler) -> Generator[None]:
    """Give the warnings and remarks of passes to `handler` while the block runs."""
    token = _handler.set(handler)
    try:
        yield
    finally:
        _handler.reset(token)


def warn(op: Operation, message: str, *, notes: Sequence[Diagnostic] = ()) -> None:
    """Tell the user of something at `op` that is likely not what they want, although it can be compiled."""
    _handler.get()(Diagnostic(Severity.WARNING, message, location_text(op.location), tuple(notes)))


def remark(op: Operation, message: str, *, notes: Sequence[Diagnostic] = ()) -> None:
    """Tell whoever asks (`lamina-opt --remarks`) what a pass did with `op`, or why it did not."""
    _handler.get()(Diagnostic(Severity.REMARK, message, location_text(op.location), tuple(notes)))


def note(op: Operation, message: str) -> Diagnostic:
    """A note at `op` for another diagnostic."""
    return Diagnostic(Severity.NOTE, message, location_text(op.location))
