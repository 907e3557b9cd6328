"""`--verify-diagnostics`: the diagnostics of a run against the `expected-…` comments of its input, as MLIR checks them.

    %0 = arith.addi %x, %y : i32  // expected-error {{part of the message}}
    // expected-error @below {{…}}   also @above, @+2, @-1, @unknown for a diagnostic without a line
    // expected-remark-re {{merged into {{.*}}}}   the parts in inner braces are regular expressions

Kinds are error, warning, remark and note. Every diagnostic must be expected, and every expected one must come.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lamina.diagnostics import Diagnostic, Severity
from lamina.tools.opt.diagnostics import parse_place

EXPECTATION = re.compile(
    r"expected-(?P<kind>error|warning|remark|note)(?P<regex>-re)? *"
    r"(?:@(?P<designator>[+-]\d+|above|below|unknown))? *\{\{(?P<text>.*)\}\}\s*$"
)
NEARLY = re.compile(r"//.*expected-(?:error|warning|remark|note)\b")


@dataclass
class Expectation:
    """One `expected-…` comment."""

    severity: Severity
    pattern: re.Pattern[str]
    line: int | None
    """The line that the diagnostic must be at; None: at no line."""
    written_at: int
    text: str
    met: bool = False

    def fits(self, diagnostic: Diagnostic, line: int | None) -> bool:
        """Whether this is the diagnostic that is expected."""
        return (
            diagnostic.severity is self.severity and line == self.line and bool(self.pattern.search(diagnostic.message))
        )


class DiagnosticVerifier:
    """Collects the diagnostics of one chunk of input, then compares."""

    def __init__(self, name: str, text: str, line_offset: int):
        self._name = name
        self._found: list[Diagnostic] = []
        self._problems: list[Diagnostic] = []
        self._expected = list(self._parse(text, line_offset))

    def __call__(self, diagnostic: Diagnostic) -> None:
        """Take a diagnostic and its notes; not the notes that the tool adds to every diagnostic."""
        self._found += [diagnostic, *(note for note in diagnostic.notes if not note.is_context)]

    def problems(self) -> list[Diagnostic]:
        """What is amiss: unexpected diagnostics, and expected ones that did not come."""
        problems = list(self._problems)
        for found in self._found:
            line = self._line(found)
            fitting = next((one for one in self._expected if not one.met and one.fits(found, line)), None)
            if fitting is not None:
                fitting.met = True
                continue
            problems.append(
                Diagnostic(Severity.ERROR, f"unexpected {found.severity.value}: {found.message}", found.where)
            )
        return problems + [
            Diagnostic(
                Severity.ERROR,
                f'expected {one.severity.value} "{one.text}" was not produced',
                f"{self._name}:{one.written_at}:1",
            )
            for one in self._expected
            if not one.met
        ]

    def _line(self, diagnostic: Diagnostic) -> int | None:
        place = parse_place(diagnostic.where)
        return place[1] if place is not None and place[0] == self._name else None

    def _parse(self, text: str, line_offset: int) -> Iterable[Expectation]:
        lines = text.splitlines()
        # What `@above` and `@below` mean: lines with nothing but expectations do not count.
        bare = [line.strip().startswith("//") and EXPECTATION.search(line) is not None for line in lines]
        for index, line in enumerate(lines):
            match = EXPECTATION.search(line)
            at = index + 1 + line_offset
            if match is None:
                if NEARLY.search(line):
                    message = "not an expectation: write expected-error @below {{text}}"
                    self._problems.append(Diagnostic(Severity.ERROR, message, f"{self._name}:{at}:1"))
                continue
            target = _target(match["designator"], index, bare)
            yield Expectation(
                Severity(match["kind"]),
                _pattern(match["text"], is_regex=match["regex"] is not None),
                None if target is None else target + 1 + line_offset,
                at,
                match["text"],
            )


def _target(designator: str | None, index: int, bare: list[bool]) -> int | None:
    """The index of the line that an expectation is about."""
    if designator == "unknown":
        return None
    if designator in ("above", "below"):
        step = 1 if designator == "below" else -1
        index += step
        while 0 <= index < len(bare) and bare[index]:
            index += step
        return index
    return index + int(designator or 0)


def _pattern(text: str, *, is_regex: bool) -> re.Pattern[str]:
    """The text literally, or with its `{{…}}` parts as regular expressions."""
    if not is_regex:
        return re.compile(re.escape(text))
    parts = re.split(r"\{\{(.*?)\}\}", text)
    return re.compile("".join(f"(?:{part})" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
