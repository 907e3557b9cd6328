"""IR as text for the eye: big constants left out, colors, names that stay the same from pass to pass."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import IO, Any, cast

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.printer import Printer
from xdsl.utils.color_printer import ColorPrinter
from xdsl.utils.colors import RESET, Colors

ELIDED_ABOVE = 16
"""Observers print a constant of more elements than this (unless it is a splat) without its data."""

ELIDED = "dense_resource<__elided__> : "
"""What stands for an elided constant, as MLIR prints it: it can be read back, its data cannot."""


@dataclass(frozen=True)
class Style:
    """How IR is printed."""

    generic: bool = False
    locations: bool = False
    elide_above: int | None = None
    """Elide constants of more elements than this."""
    color: bool = False
    skip_regions: bool = False

    def render(self, ops: Sequence[Operation], names: Names | None = None) -> str:
        """Ops as text, one after the other; a line break at the end."""
        stream = StringIO()
        for op in ops:
            printer = EyePrinter(stream, print_generic_format=self.generic, print_debuginfo=self.locations)
            printer.style, printer.names = self, names
            printer.print_op(op)
            stream.write("\n")
        return stream.getvalue()

    def plain(self) -> Style:
        """The same without colors."""
        return replace(self, color=False)


class Names:
    """Names of values that do not change while a value lives, so that texts of two moments can be compared."""

    def __init__(self) -> None:
        self._names: dict[SSAValue, str] = {}
        self._taken: dict[str, int] = {}
        self._count = 0

    def of(self, value: SSAValue) -> str:
        """The name of a value, a new one when it is met for the first time."""
        name = self._names.get(value)
        if name is None:
            name = self._names[value] = self._fresh(value.name_hint)
        return name

    def _fresh(self, hint: str | None) -> str:
        if hint is None:
            self._count += 1
            return str(self._count - 1)
        count = self._taken[hint] = self._taken.get(hint, -1) + 1
        return f"{hint}_{count}" if count else hint


class EyePrinter(Printer, ColorPrinter):
    """xDSL's printer with the choices of a `Style`."""

    style: Style = Style()
    names: Names | None = None

    def print_ssa_value(self, value: SSAValue) -> str:
        with self.colored(Colors.BRIGHT_MAGENTA if self.style.color else None):
            if self.names is None:
                return super().print_ssa_value(value)
            name = self.names.of(value)
            self.print_string(f"%{name}")
            return name

    def print_attribute(self, attribute: Attribute) -> None:
        limit = self.style.elide_above
        dense = cast("DenseIntOrFPElementsAttr[Any] | None", _as_dense(attribute)) if limit is not None else None
        if limit is None or dense is None or len(dense) <= limit or dense.is_splat():
            super().print_attribute(attribute)
            return
        self.print_string(ELIDED)
        super().print_attribute(dense.get_type())

    def print_region(
        self,
        region: Region,
        print_entry_block_args: bool = True,
        print_empty_block: bool = True,
        print_block_terminators: bool = True,
    ) -> None:
        if self.style.skip_regions:
            self.print_string("{...}")
            return
        super().print_region(region, print_entry_block_args, print_empty_block, print_block_terminators)


def _as_dense(attribute: Attribute) -> Attribute | None:
    return cast(Attribute, attribute) if isinstance(attribute, DenseIntOrFPElementsAttr) else None


def wants_color(mode: str, stream: IO[str]) -> bool:
    """Whether to color what goes to `stream`: `always`, `never`, or `auto`: on a terminal unless NO_COLOR is set."""
    if mode != "auto":
        return mode == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR")


def colored(text: str, color: Colors, *, enabled: bool) -> str:
    """Text in a color, or as it is."""
    return f"{color}{text}{RESET}" if enabled else text
