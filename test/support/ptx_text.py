"""PTX as text, taken apart: instructions, labels, parameters and shared memory of one kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

ENTRY = re.compile(r"\.entry\s+([\w$.]+)\s*\((.*?)\)(.*?)\{", re.S)
PARAMETER = re.compile(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.([a-z]\d+)[^,]*?([\w$.]+)(?:\[(\d+)\])?\s*(?:,|$)")
SHARED = re.compile(r"(\.extern\s+)?\.shared\s+\.align\s+(\d+)\s+\.b8\s+([\w$.]+)\[(\d*)\]")
LABEL = re.compile(r"^([\w$]+):$")
LOCAL = re.compile(r"^\.reg\s+\.\w+\s+(.*)$")
GUARD = re.compile(r"^@(!?)(\S+)\s+(.*)$", re.S)
WORD = re.compile(r"[A-Za-z_$%][\w$.]*")


@dataclass(frozen=True)
class Parameter:
    """A kernel's parameter: where it begins among all, and its bytes."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Variable:
    """A part of shared memory; `size` None: as much as a launch asks for."""

    name: str
    alignment: int
    size: int | None


@dataclass(frozen=True)
class Instruction:
    """`@p add.s64 a, b, c`: the guard (negated or not), the parts of the name, the operands as text."""

    text: str
    guard: str | None
    is_negated: bool
    parts: tuple[str, ...]
    operands: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """One kernel; `labels`: numbers of the instructions behind them."""

    name: str
    threads: int
    parameters: Sequence[Parameter]
    shared: Sequence[Variable]
    instructions: Sequence[Instruction]
    labels: Mapping[str, int]


def parse(text: str) -> Kernel:
    """The only kernel of a PTX module."""
    text = re.sub(r"//.*", "", text)
    entry = ENTRY.search(text)
    assert entry is not None, "no kernel"
    name, parameters, properties = entry.groups()
    body = text[entry.end() : text.rindex("}")]
    limit = re.search(r"\.maxntid\s+(\d+)", properties)
    instructions, labels = _instructions(body)
    shared = [Variable(one[3], int(one[2]), None if one[1] else int(one[4])) for one in SHARED.finditer(text)]
    return Kernel(name, int(limit[1]) if limit else 1024, _parameters(parameters), shared, instructions, labels)


def _parameters(text: str) -> list[Parameter]:
    found: list[Parameter] = []
    end = 0
    for alignment, type_, name, count in PARAMETER.findall(text):
        each = int(type_[1:]) // 8
        size = each * int(count or 1)
        start = -(-end // int(alignment or each)) * int(alignment or each)
        found.append(Parameter(name, start, size))
        end = start + size
    return found


def _statements(body: str) -> Iterator[str]:
    """Braces of scopes, labels with their colon, and statements without their semicolon."""
    pending = ""
    for line in body.splitlines():
        line = line.strip()
        if not line:
            continue
        if not pending and (line in "{}" or LABEL.match(line)):
            yield line
            continue
        pending = f"{pending} {line}".strip()
        while ";" in pending:
            statement, _, pending = pending.partition(";")
            yield statement.strip()
            pending = pending.strip()


def _instructions(body: str) -> tuple[list[Instruction], dict[str, int]]:
    """Names that a scope declares are told apart by its number; its labels too."""
    statements = list(_statements(body))
    scoped: list[tuple[str, int]] = []
    number = depth = 0
    for statement in statements:
        if statement == "{":
            depth += 1
            number += 1
        elif statement == "}":
            depth -= 1
        else:
            scoped.append((statement, number if depth else 0))
    own: dict[int, set[str]] = {}
    for statement, scope in scoped:
        local, label = LOCAL.match(statement), LABEL.match(statement)
        if scope and local:
            own.setdefault(scope, set()).update(one.strip() for one in local[1].split(","))
        elif scope and label:
            own.setdefault(scope, set()).add(label[1])
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for statement, scope in scoped:
        names = own.get(scope, set[str]())

        def renamed(found: re.Match[str], names: set[str] = names, scope: int = scope) -> str:
            return f"{found[0]}@{scope}" if found[0] in names else found[0]

        label = LABEL.match(statement)
        if label:
            labels[WORD.sub(renamed, label[1])] = len(instructions)
        elif not statement.startswith("."):
            instructions.append(_instruction(statement, lambda text, one=renamed: WORD.sub(one, text)))
    return instructions, labels


def _instruction(statement: str, renamed: object) -> Instruction:
    assert callable(renamed)
    guard = GUARD.match(statement)
    rest = guard[3] if guard else statement
    name, _, operands = rest.partition(" ") if " " in rest or "\t" not in rest else rest.partition("\t")
    name, *more = re.split(r"\s+", rest, maxsplit=1)
    operands = more[0] if more else ""
    return Instruction(
        statement,
        str(renamed(guard[2])) if guard else None,
        bool(guard and guard[1]),
        tuple(name.replace("::", "__").split(".")),
        tuple(str(renamed(one)) for one in _split(operands)),
    )


def _split(text: str) -> list[str]:
    """Operands, at commas outside of braces and brackets."""
    found, depth, start = list[str](), 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "{[") - (letter in "}]")
        if letter == "," and not depth:
            found.append(text[start:at].strip())
            start = at + 1
    last = text[start:].strip()
    return [*found, last] if last else found
