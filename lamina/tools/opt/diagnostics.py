"""From what went wrong in a run to one diagnostic: where, which op, after which pass; and how it is printed."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from types import FrameType

from xdsl.ir import Block, Operation, Region
from xdsl.utils.colors import Colors
from xdsl.utils.exceptions import DiagnosticException

from lamina.diagnostics import Diagnostic, LaminaError, Severity, location_text
from lamina.tools.opt.pass_manager import PipelineError
from lamina.tools.opt.printing import ELIDED_ABOVE, EyePrinter, Style, colored
from lamina.tools.reporting import EXPECTED, diagnose

SEVERITY_COLORS: Mapping[Severity, Colors] = {
    Severity.ERROR: Colors.BRIGHT_RED,
    Severity.WARNING: Colors.BRIGHT_YELLOW,
    Severity.REMARK: Colors.BRIGHT_BLUE,
    Severity.NOTE: Colors.BRIGHT_CYAN,
}

MAX_OP_TEXT = 1000
"""How many characters of an op a note shows."""


def pipeline_diagnostic(error: PipelineError) -> Diagnostic:
    """What went wrong in a pipeline: the message at the op's location, then notes on the op and the pass."""
    cause = error.cause
    op = op_of(cause)
    notes: list[Diagnostic] = []
    if isinstance(cause, LaminaError):
        diagnostic = diagnose(cause)
    elif isinstance(cause, DiagnosticException) or (op is not None and error.verifying):
        diagnostic = Diagnostic(Severity.ERROR, _about(op, str(cause)), _place(op))
    else:
        diagnostic = unexpected_diagnostic(cause, "this is a bug in the pass", _place(op))
    if op is not None and (text := _op_text(op)) is not None:
        notes.append(_context_note(f"see current operation: {text}", diagnostic.where))
    return replace(diagnostic, notes=(*notes, *diagnostic.notes, _context_note(error.when)))


def unexpected_diagnostic(error: Exception, when: str, where: str | None = None) -> Diagnostic:
    """Any exception outside the passes, or one that no user should ever see: what, and the line that raised it."""
    if isinstance(error, EXPECTED):
        expected = diagnose(error)
        return replace(expected, notes=(*expected.notes, _context_note(when)))
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    notes = (_context_note(f"raised at {_raised_at(error)}"), _context_note(f"{when}; --debug shows the traceback"))
    return Diagnostic(Severity.ERROR, message, where, notes)


def _context_note(message: str, where: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.NOTE, message, where, is_context=True)


def op_of(error: BaseException) -> Operation | None:
    """The op that an exception is about.

    xDSL's exceptions do not carry it. It is the op whose `emit_error` or verifier the exception came through, else the
    one that a rewrite pattern had in hand (the innermost local named `op`).
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        found = _verified_op(frame)
        if found is not None:
            return found
    for frame in reversed(frames):
        found = frame.f_locals.get("op")
        if isinstance(found, Operation) and found.parent is not None:
            return found
    return None


def _verified_op(frame: FrameType) -> Operation | None:
    if frame.f_code.co_name not in ("emit_error", "verify", "verify_"):
        return None
    subject = frame.f_locals.get("self")
    if isinstance(subject, Block | Region):
        return subject.parent_op()
    return subject if isinstance(subject, Operation) else None


def _about(op: Operation | None, message: str) -> str:
    """The message in one line, beginning with the op's name."""
    message = " ".join(message.split("\n"))
    if op is None or message.startswith((f"'{op.name}'", op.name)):
        return message
    return f"'{op.name}' op {message}"


def _place(op: Operation | None) -> str | None:
    """The location of an op, or of the innermost op around it that has one."""
    while op is not None:
        place = location_text(op.location)
        if place is not None:
            return place
        op = op.parent_op()
    return None


def _op_text(op: Operation) -> str | None:
    """An op in generic form without its regions, its values named as in a print of the whole module."""
    style = Style(generic=True, elide_above=ELIDED_ABOVE)
    printer = EyePrinter(StringIO(), print_generic_format=True)
    printer.style = style
    try:
        printer.print_op(_outermost(op))
        printer.stream = StringIO()
        printer.style = replace(style, skip_regions=True)
        printer.print_op(op)
    except Exception:
        # An invalid op may be too broken to be printed; the message stands without it.
        return None
    text = printer.stream.getvalue()
    return text if len(text) <= MAX_OP_TEXT else f"{text[:MAX_OP_TEXT]} …"


def _outermost(op: Operation) -> Operation:
    while (parent := op.parent_op()) is not None:
        op = parent
    return op


def _raised_at(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.relpath(last.filename)}:{last.lineno} in {last.name}: {last.line}"


class Reporter:
    """Prints diagnostics to standard error, each with the line of the source that it is about."""

    def __init__(self, *, color: bool, remarks: bool):
        self.color = color
        self.remarks = remarks
        self._sources: dict[str, list[str]] = {}
        self._line_offsets: dict[str, int] = {}

    def add_source(self, name: str, text: str, line_offset: int) -> None:
        """Make a text known that locations point into; it begins after `line_offset` lines of the file."""
        self._sources[name] = text.splitlines()
        self._line_offsets[name] = line_offset

    def __call__(self, diagnostic: Diagnostic) -> None:
        """Print a diagnostic; remarks only where they were asked for."""
        if diagnostic.severity is Severity.REMARK and not self.remarks:
            return
        sys.stdout.flush()
        shown: set[str | None] = set()
        for one in (diagnostic, *diagnostic.notes):
            lines = [self._head(one)]
            if one.where not in shown:
                lines += self._excerpt(one.where)
                shown.add(one.where)
            lines += [f"  → {hint}" for hint in one.hints]
            print("\n".join(lines), file=sys.stderr)

    def _head(self, one: Diagnostic) -> str:
        severity = colored(f"{one.severity.value}:", SEVERITY_COLORS[one.severity], enabled=self.color)
        return f"{one.where}: {severity} {one.message}" if one.where else f"{severity} {one.message}"

    def _excerpt(self, where: str | None) -> list[str]:
        """The line that a location points at, and a caret under the column."""
        place = parse_place(where)
        if place is None or place[0] not in self._sources:
            return []
        name, line, column = place
        lines = self._sources[name]
        index = line - 1 - self._line_offsets[name]
        if not 0 <= index < len(lines):
            return []
        indent = "".join("\t" if character == "\t" else " " for character in lines[index][: column - 1])
        return [lines[index], f"{indent}^"]


def parse_place(where: str | None) -> tuple[str, int, int] | None:
    """`file:line:col` as its parts, None for any other location."""
    name, _, rest = (where or "").rpartition(":")
    name, _, line = name.rpartition(":")
    if not name or not line.isdecimal() or not rest.isdecimal():
        return None
    return name, int(line), int(rest)
