"""LLVM IR text without `bfloat`, for backends that lack it: integers, widened where they are computed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text.types import with_element

TYPE = r"(?:bfloat|<\d+ x bfloat>)"
CONSTANT = re.compile(r"0xR([0-9A-F]{4})")
EXTENSION = re.compile(rf"(%[\w.]+) = fpext ({TYPE}) (.+) to (.+)")
ARITHMETIC = re.compile(rf"(%[\w.]+) = (f(?:add|sub|mul|div|rem))((?: \w+)*) ({TYPE}) (.+), (.+)")
COMPARISON = re.compile(rf"(%[\w.]+) = fcmp(.*) ({TYPE}) (.+), (.+)")
NEGATION = re.compile(rf"(%[\w.]+) = fneg(?: \w+)* ({TYPE}) (.+)")
CALL = re.compile(r"call .*\bbfloat\b")


def without_bfloat(text: str) -> str:
    """The same functions with `i16` in place of `bfloat`; raises LaminaError for a call that takes or gives bfloat."""
    if "bfloat" not in text:
        return text
    namer = _Names()
    lines = [line for old in text.splitlines() for line in _lines(old, namer)]
    integers = CONSTANT.sub(lambda found: str(int(found[1], 16)), "\n".join(lines))
    return re.sub(r"\bbfloat\b", "i16", integers)


class _Names:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"%wide{self.count}"


def _lines(line: str, name: _Names) -> Iterator[str]:
    indent = line[: len(line) - len(line.lstrip())]
    for pattern, rewrite in _REWRITES.items():
        found = pattern.fullmatch(line.strip())
        if found is not None:
            yield from (indent + one for one in rewrite(found.groups(), name))
            return
    if CALL.search(line):
        raise LaminaError(f"bf16 numbers have no form in '{line.strip()}'")
    yield line


def _widened(type_: str, operand: str, result: str, name: _Names) -> list[str]:
    """Lines that make a float of a bfloat: its bits are the upper half."""
    wide, upper = name(), name()
    single, integer = with_element(type_, "float"), with_element(type_, "i32")
    sixteen = _splat(integer, "16")
    return [
        f"{wide} = zext {type_} {operand} to {integer}",
        f"{upper} = shl {integer} {wide}, {sixteen}",
        f"{result} = bitcast {integer} {upper} to {single}",
    ]


def _narrowed(type_: str, operand: str, result: str, name: _Names) -> list[str]:
    """Lines that round a float to bfloat: half of the last place is added, ties go to even, NaN stays NaN."""
    single, integer, flags = (with_element(type_, element) for element in ("float", "i32", "i1"))
    bits, upper, odd, bias, rounded, quiet, is_nan, chosen, shifted = (name() for _ in range(9))
    return [
        f"{bits} = bitcast {single} {operand} to {integer}",
        f"{upper} = lshr {integer} {bits}, {_splat(integer, '16')}",
        f"{odd} = and {integer} {upper}, {_splat(integer, '1')}",
        f"{bias} = add {integer} {odd}, {_splat(integer, str(0x7FFF))}",
        f"{rounded} = add {integer} {bits}, {bias}",
        f"{quiet} = or {integer} {bits}, {_splat(integer, str(0x400000))}",
        f"{is_nan} = fcmp uno {single} {operand}, {operand}",
        f"{chosen} = select {flags} {is_nan}, {integer} {quiet}, {integer} {rounded}",
        f"{shifted} = lshr {integer} {chosen}, {_splat(integer, '16')}",
        f"{result} = trunc {integer} {shifted} to {type_}",
    ]


def _splat(type_: str, number: str) -> str:
    return f"splat (i32 {number})" if type_.startswith("<") else number


def _extension(groups: Sequence[str], name: _Names) -> list[str]:
    result, type_, operand, wide = groups
    if "double" not in wide:
        return _widened(type_, operand, result, name)
    single = name()
    lines = _widened(type_, operand, single, name)
    return [*lines, f"{result} = fpext {with_element(type_, 'float')} {single} to {wide}"]


def _pair(type_: str, operands: Sequence[str], name: _Names) -> tuple[list[str], list[str]]:
    lines: list[str] = []
    wide: list[str] = []
    for operand in operands:
        wide.append(name())
        lines += _widened(type_, operand, wide[-1], name)
    return lines, wide


def _arithmetic(groups: Sequence[str], name: _Names) -> list[str]:
    result, opcode, flags, type_, *operands = groups
    lines, (left, right) = _pair(type_, operands, name)
    total = name()
    computed = f"{total} = {opcode}{flags} {with_element(type_, 'float')} {left}, {right}"
    return [*lines, computed, *_narrowed(type_, total, result, name)]


def _comparison(groups: Sequence[str], name: _Names) -> list[str]:
    result, predicate, type_, *operands = groups
    lines, (left, right) = _pair(type_, operands, name)
    return [*lines, f"{result} = fcmp{predicate} {with_element(type_, 'float')} {left}, {right}"]


def _negation(groups: Sequence[str], name: _Names) -> list[str]:
    result, type_, operand = groups
    sign = "splat (i16 -32768)" if type_.startswith("<") else "-32768"
    return [f"{result} = xor {type_} {operand}, {sign}"]


_REWRITES: Mapping[re.Pattern[str], Callable[[Sequence[str], _Names], list[str]]] = {
    EXTENSION: _extension,
    ARITHMETIC: _arithmetic,
    COMPARISON: _comparison,
    NEGATION: _negation,
}
