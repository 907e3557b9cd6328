"""How the command lines end: expected failures as `file:line:col: error: …` with exit code 1, never a traceback."""

from __future__ import annotations

import difflib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace

from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError

from lamina.diagnostics import Diagnostic, LaminaError, Severity


def closest(name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """A hint with the candidates that look like `name`, if any."""
    matches = difflib.get_close_matches(name, list(candidates), n=3, cutoff=0.5)
    return (f"did you mean {' or '.join(matches)}?",) if matches else ()


def diagnose(error: BaseException) -> Diagnostic:
    """An expected failure as a diagnostic."""
    if isinstance(error, LaminaError):
        return Diagnostic(Severity.ERROR, error.message, error.where, hints=error.hints)
    if isinstance(error, ParseError):
        return Diagnostic(Severity.ERROR, error.msg, str(error.span.get_location()))
    notes = [note for note in getattr(error, "__notes__", ()) if "\n" not in note]
    return Diagnostic(Severity.ERROR, str(error), notes=tuple(Diagnostic(Severity.NOTE, note) for note in notes))


def describe(error: BaseException) -> str:
    """An expected failure as text: `where: error: what`, where it stands in its source, hints, notes."""
    diagnostic = diagnose(error)
    if isinstance(error, ParseError):
        diagnostic = replace(diagnostic, message=f"{diagnostic.message}\n{parse_excerpt(error)}")
    return "\n".join(map(str, (diagnostic, *diagnostic.notes)))


def parse_excerpt(error: ParseError) -> str:
    """The lines that a parse error is about, with carets under what it points at."""
    # xDSL's text is the location, then lines and carets.
    return "\n".join(line.rstrip() for line in error.span.print_with_context().splitlines()[1:])


EXPECTED = (LaminaError, ParseError, DiagnosticException, ArgSpecParseError)


def run_tool(body: Callable[[], int | None], *, debug: bool) -> int:
    """Run a tool's body and return its exit code; expected failures are printed to standard error."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run(body, debug=debug)


def _show_warning(message: Warning | str, category: type[Warning], *place: object, **_: object) -> None:
    """Warnings of ours as `warning: what`, without the line of Python that they come from; others stay silent."""
    if category in (RuntimeWarning, UserWarning):
        print(Diagnostic(Severity.WARNING, str(message)), file=sys.stderr)


def _run(body: Callable[[], int | None], *, debug: bool) -> int:
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
