"""How the command lines end: expected failures as `error: …` with exit code 1, never a traceback."""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Callable, Iterable

from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError

from lamina.diagnostics import LaminaError


def closest(name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """A hint with the candidates that look like `name`, if any."""
    matches = difflib.get_close_matches(name, list(candidates), n=3, cutoff=0.5)
    return (f"did you mean {' or '.join(matches)}?",) if matches else ()


def describe(error: BaseException) -> str:
    """One diagnostic for an expected failure: `where: error: what`, then hints."""
    if isinstance(error, LaminaError):
        head = f"{error.where}: error: {error.message}" if error.where else f"error: {error.message}"
        return "\n".join([head, *(f"  → {hint}" for hint in error.hints)])
    if isinstance(error, ParseError):
        location = error.span.get_location()
        context = error.span.print_with_context("").rstrip()
        return f"{location}: error: {error.msg}\n{context}"
    notes = [note for note in getattr(error, "__notes__", ()) if "\n" not in note]
    return "\n".join([f"error: {error}", *(f"  note: {note}" for note in notes)])


EXPECTED = (LaminaError, ParseError, DiagnosticException, ArgSpecParseError)


def run_tool(body: Callable[[], int | None], *, debug: bool) -> int:
    """Run a tool's body and return its exit code; expected failures are printed to standard error."""
    try:
        code = body() or 0
        sys.stdout.flush()
        return code
    except EXPECTED as error:
        if debug:
            traceback.print_exc()
        print(describe(error), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of a pipe has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
