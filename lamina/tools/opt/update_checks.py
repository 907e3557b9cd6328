"""`lamina-update-checks`: run the RUN lines of tests and write what comes out as CHECK lines.

Each function of the output is checked where the input defines it: a CHECK-LABEL with its name, its values captured as
`%[[NAME:.*]]`, a CHECK-NEXT per line. Diagnostics are checked by their `error:` lines. Run again it changes nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lamina.diagnostics import LaminaError
from lamina.files import writing
from lamina.tools.reporting import describe, run_tool

RUN = re.compile(r"^\s*(?P<comment>//|#)\s*RUN:\s*(?P<command>.*?)\s*$")
FILECHECK = re.compile(r"^(?P<command>.*)\|\s*filecheck\s+%s(?P<options>[^|]*)$", re.IGNORECASE)
PREFIX = re.compile(r"--?check-prefix[= ](?P<prefix>[\w-]+)")
SUFFIXES = r"(?:-(?:NEXT|SAME|LABEL|DAG|NOT|EMPTY|COUNT-\d+))?"
FUNCTION = re.compile(r"^\s*(?:func\.func|func)\b[^@(]*@(?P<name>[\w$.-]+|\"[^\"]*\")\(")
VALUE = re.compile(r"\"(?:[^\"\\]|\\.)*\"|%(?P<name>[A-Za-z0-9_$.-]+)")
SAID = re.compile(r"(?:error|warning|remark): |^  → ")
MAX_ROUNDS = 4


@dataclass(frozen=True)
class Run:
    """A RUN line that ends in `| filecheck %s`."""

    command: str
    prefix: str
    comment: str
    fails: bool
    """Whether the command is expected to fail (it begins with `not`)."""
    filecheck: str


@dataclass
class Group:
    """Lines of the output that belong together: a function, or what stands between functions."""

    name: str | None
    lines: list[str] = field(default_factory=list[str])


def runs_of(text: str) -> list[Run]:
    """The RUN lines of a test whose output is checked; lines that end in a backslash are joined."""
    runs: list[Run] = []
    pending = ""
    for line in text.splitlines():
        match = RUN.match(line)
        if match is None:
            continue
        command = pending + match["command"]
        if command.endswith("\\"):
            pending = command[:-1]
            continue
        pending = ""
        checked = FILECHECK.match(command)
        if checked is None:
            continue
        prefix = PREFIX.search(checked["options"])
        plain = checked["command"].strip()
        fails = plain.startswith("not ")
        runs.append(
            Run(
                plain.removeprefix("not ").strip(),
                prefix["prefix"] if prefix else "CHECK",
                match["comment"],
                fails,
                f"filecheck %s{checked['options']}",
            )
        )
    return runs


def update(path: Path, only: re.Pattern[str] | None = None) -> bool:
    """Write the CHECK lines of a test; whether it changed. With `only`, lines of the output that it does not match are
    left out. Raises LaminaError, and leaves the file as it was, when a command fails or the result does not pass."""
    try:
        original = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise LaminaError(f"cannot be read: {error}", where=str(path)) from None
    if not runs_of(original):
        raise LaminaError("has no line `// RUN: … | filecheck %s`", where=str(path))
    try:
        current = original
        # Where the output has line numbers, the lines written change it once more.
        for _ in range(MAX_ROUNDS):
            updated = _updated(path, current, only)
            if updated == current:
                break
            current = updated
            _write(path, current)
        else:
            raise LaminaError("its output changes with every run", where=str(path))
        for run in runs_of(current):
            _check(path, run)
    except BaseException:
        _write(path, original)
        raise
    return current != original


def _updated(path: Path, text: str, only: re.Pattern[str] | None) -> str:
    runs = runs_of(text)
    prefixes = "|".join(re.escape(run.prefix) for run in runs)
    is_check = re.compile(rf"^\s*(?://|#)\s*(?:{prefixes}){SUFFIXES}:")
    lines = [line for line in text.splitlines() if not is_check.match(line)]
    insertions: dict[int, list[str]] = {}
    for run in runs:
        output = _output(path, run)
        writer = CheckWriter(run, path, only)
        position = _first_code_line(lines)
        for group in _groups(output):
            position = max(position, _definition(lines, group.name, position))
            insertions.setdefault(position, []).extend(writer.checks(group))
    result: list[str] = []
    for index, line in enumerate([*lines, None]):
        result += insertions.get(index, ())
        if line is not None:
            result.append(line)
    return "\n".join(result) + "\n"


def _output(path: Path, run: Run) -> str:
    completed = subprocess.run(
        ["bash", "-o", "pipefail", "-c", _substituted(run.command, path)],
        capture_output=True,
        text=True,
        env=_environment(),
    )
    if (completed.returncode != 0) != run.fails:
        what = "succeeded, which is not expected" if run.fails else "failed"
        raise LaminaError(f"`{run.command}` {what}\n{completed.stderr.rstrip()}", where=str(path))
    return completed.stdout


def _check(path: Path, run: Run) -> None:
    inverted = "!" if run.fails else ""
    command = f"{{ {inverted} {_substituted(run.command, path)}; }} | {_substituted(run.filecheck, path)}"
    completed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=_environment())
    if completed.returncode != 0:
        raise LaminaError(f"the checks written do not pass:\n{completed.stdout}{completed.stderr}", where=str(path))


def _substituted(command: str, path: Path) -> str:
    values = {"%s": shlex.quote(str(path)), "%S": shlex.quote(str(path.parent)), "%p": shlex.quote(str(path.parent))}
    return re.sub("|".join(values), lambda match: values[match[0]], command)


def _environment() -> dict[str, str]:
    """The tools of this Python environment come first."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}


def _write(path: Path, text: str) -> None:
    with writing(path) as file:
        file.write(text.encode())


def _groups(output: str) -> Iterator[Group]:
    """The output in groups; the module around it, empty lines and marks between chunks are left out."""
    group = Group(None)
    for line in output.splitlines():
        match = FUNCTION.match(line)
        if match is not None:
            if group.lines:
                yield group
            group = Group(match["name"])
        elif not line.strip() or line.startswith(("builtin.module", "module", "}", "// -----")):
            continue
        group.lines.append(line)
        if line == "  }":
            yield group
            group = Group(None)
    if group.lines:
        yield group


def _first_code_line(lines: Sequence[str]) -> int:
    """Where checks go that no function of the input stands for: after the comment at the top."""
    for index, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith(("//", "#")):
            return index
    return len(lines)


def _definition(lines: Sequence[str], name: str | None, start: int) -> int:
    """The line at or after `start` where the input defines a function, -1 when there is none."""
    if name is None:
        return -1
    for index in range(start, len(lines)):
        match = FUNCTION.match(lines[index])
        if match is not None and match["name"] == name:
            return index
    return -1


class CheckWriter:
    """Turns lines of output into CHECK lines."""

    def __init__(self, run: Run, path: Path, only: re.Pattern[str] | None):
        self._run = run
        self._path = path
        self._only = only
        self._names: dict[str, str] = {}
        self._defined: set[str] = set()
        self._in_sequence = False

    def checks(self, group: Group) -> Iterable[str]:
        """The CHECK lines of a group."""
        self._names.clear()
        self._defined.clear()
        self._in_sequence = False
        lines = group.lines
        if group.name is not None:
            if self._only is not None and not any(self._only.search(line) for line in lines):
                return
            yield from self._signature(lines[0].strip())
            lines = lines[1:]
        indent = min((len(line) - len(line.lstrip()) for line in group.lines), default=0)
        for line in lines:
            if self._is_wanted(line, is_in_function=group.name is not None):
                yield self._line("-NEXT" if self._in_sequence else "", self._captured(line[indent:]))
                self._in_sequence = self._only is None
            else:
                self._in_sequence = False

    def _is_wanted(self, line: str, *, is_in_function: bool) -> bool:
        if self._only is not None:
            return self._only.search(line) is not None
        return is_in_function or SAID.search(line) is not None or "2>&1" not in self._run.command

    def _signature(self, line: str) -> Iterator[str]:
        """A label holds no captures; the arguments follow on the same line of the output."""
        head, _, arguments = line.partition("(")
        if arguments.startswith(")"):
            yield self._line("-LABEL", _escaped(line))
        else:
            yield self._line("-LABEL", f"{_escaped(head)}(")
            yield self._line("-SAME", f"    {self._captured(arguments)}")
        self._in_sequence = self._only is None

    def _line(self, suffix: str, text: str) -> str:
        head = f"{self._run.comment} {self._run.prefix}{suffix}:"
        return f"{head:<{len(self._run.comment) + len(self._run.prefix) + 8}} {text}".rstrip()

    def _captured(self, line: str) -> str:
        """The line with values as captures where they are first met, and as uses of them afterwards."""
        parts: list[str] = []
        end = 0
        for match in VALUE.finditer(line):
            if match["name"] is None:
                continue
            parts += [self._literal(line[end : match.start()]), self._value(match["name"])]
            end = match.end()
        return "".join([*parts, self._literal(line[end:])])

    def _value(self, name: str) -> str:
        variable = self._names.get(name)
        if variable is None:
            variable = re.sub(r"\W", "_", name).upper()
            variable = f"V{variable}" if variable[0].isdigit() else variable
            while variable in self._defined:
                variable += "_"
            self._names[name] = variable
            self._defined.add(variable)
            return f"%[[{variable}:.*]]"
        return f"%[[{variable}]]"

    def _literal(self, text: str) -> str:
        """Text that is matched as it is, but for the folder of the test."""
        return "{{.*}}".join(_escaped(part) for part in text.split(f"{self._path.parent}{os.sep}"))


def _escaped(text: str) -> str:
    """Text without what FileCheck reads as the beginning of a pattern."""
    return text.replace("{{", "{{[{][{]}}").replace("[[", r"{{\[\[}}")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: exits with 0, or with 1 after an error message."""
    parser = argparse.ArgumentParser(
        prog="lamina-update-checks",
        description="Run the RUN lines of tests (`… | filecheck %s`) and write what comes out as CHECK lines.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a test; it is rewritten in place")
    parser.add_argument("--only", metavar="REGEX", help="check only lines of the output that match")
    parser.add_argument("--debug", action="store_true", help="show Python tracebacks of errors")
    options = parser.parse_args(arguments)

    def body() -> int:
        try:
            only = None if options.only is None else re.compile(options.only)
        except re.error as error:
            raise LaminaError(f"--only: {error}") from None
        failed = False
        for name in options.files:
            try:
                changed = update(Path(name).resolve(), only)
            except LaminaError as error:
                print(describe(error), file=sys.stderr)
                failed = True
                continue
            print(f"{name}: {'updated' if changed else 'up to date'}")
        return 1 if failed else 0

    sys.exit(run_tool(body, debug=options.debug))


if __name__ == "__main__":
    main()
