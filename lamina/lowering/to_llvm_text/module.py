"""One LLVM module as text: its functions, and what they declare and define besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xdsl.dialects import func
from xdsl.ir import Operation

from lamina.lowering.to_llvm_text.target import LlvmTarget

if TYPE_CHECKING:
    from lamina.dialects.loop.memref import GlobalOp
    from lamina.lowering.to_llvm_text.function import FunctionPrinter

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$-")


def symbol(name: str) -> str:
    """A name as an LLVM global identifier."""
    if all(character in PLAIN for character in name):
        return f"@{name}"
    return '@"' + escaped(name.encode()) + '"'


def escaped(data: bytes) -> str:
    """Bytes as LLVM writes them between quotes."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in (34, 92) else f"\\{byte:02X}" for byte in data)


def function_symbol(name: str) -> str:
    """The LLVM name of a function of ours: prefixed, so that a kernel called `tanh` is not C's."""
    return symbol(f"function.{name}")


@dataclass
class Program:
    """What the LLVM modules of one MLIR module share."""

    target: LlvmTarget
    functions: Mapping[str, func.FuncOp]
    globals: Mapping[str, GlobalOp]
    constants: Mapping[str, int]
    """Positions in the call context's constants by resource key."""
    exclusive_arguments: Mapping[str, frozenset[int]]
    """By function: the buffer arguments that no other argument of the same call can overlap."""


@dataclass
class ModuleText:
    """The text of one LLVM module while it grows."""

    program: Program
    cases: Mapping[str, Callable[[FunctionPrinter, Operation], None]]
    definitions: dict[str, str] = field(default_factory=dict[str, str])
    """Functions, constants and helpers that this module defines, by symbol."""
    declarations: dict[str, str] = field(default_factory=dict[str, str])
    externals: set[str] = field(default_factory=set[str])
    """C functions that this module calls."""
    counter: int = 0

    @property
    def target(self) -> LlvmTarget:
        """The target of the program."""
        return self.program.target

    def next_number(self) -> int:
        """A number that no other part of this module has."""
        self.counter += 1
        return self.counter

    def declare(self, name: str, result: str, arguments: Sequence[str]) -> None:
        """Declare a function that another module, the C library or LLVM defines."""
        if name not in self.declarations:
            attributes = "" if name.startswith("@llvm.") else " nounwind"
            self.declarations[name] = f"declare {result} {name}({', '.join(arguments)}){attributes}"

    def define(self, name: str, text: str) -> None:
        """Add a definition."""
        self.definitions.setdefault(name, text)

    def message(self, text: str) -> str:
        """The symbol of a NUL-terminated string."""
        data = text.encode() + b"\0"
        for name, definition in self.definitions.items():
            if name.startswith("@message.") and definition.endswith(f'c"{escaped(data)}"'):
                return name
        name = f"@message.{sum(name.startswith('@message.') for name in self.definitions)}"
        self.define(name, f'{name} = private unnamed_addr constant [{len(data)} x i8] c"{escaped(data)}"')
        return name

    def text(self) -> str:
        """The whole module."""
        head = [] if self.target.triple is None else [f'target triple = "{self.target.triple}"']
        declared = [text for name, text in self.declarations.items() if name not in self.definitions]
        attributes = f'attributes #0 = {{ nounwind "prefer-vector-width"="{self.target.vector_bits}" }}'
        return "\n".join([*head, *declared, *self.definitions.values(), attributes, "!0 = !{}", ""])
