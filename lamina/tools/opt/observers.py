"""Instruments that show the IR: before and after passes, into a tree of files, as differences."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.passes import ModulePass
from xdsl.utils.colors import Colors

from lamina.diagnostics import LaminaError
from lamina.files import writing
from lamina.profiling import span
from lamina.tools.opt.pass_manager import Instrument, View, symbol_name
from lamina.tools.opt.printing import Names, Style, colored

Sink: TypeAlias = Callable[[str, ModulePass, View], None]
"""Takes a dump: its headline (`IR Dump After CanonicalizePass (canonicalize)`), the pass and what it ran on."""


def headline(what: str, one: ModulePass, view: View) -> str:
    """MLIR's header line of a dump, without the line's frame."""
    place = f" ({view.name})" if view.name else ""
    return f"{what.format(type(one).__name__)} ({one.name}){place}"


def framed(text: str) -> str:
    """MLIR's frame of a header line."""
    return f"// -----// {text} //----- //"


class StderrSink:
    """Prints dumps to standard error as MLIR does."""

    def __init__(self, style: Style):
        self.style = style

    def __call__(self, title: str, one: ModulePass, view: View) -> None:
        line = colored(framed(title), Colors.BRIGHT_CYAN, enabled=self.style.color)
        print(f"{line}\n{self.style.render(view.ops)}", file=sys.stderr)


class TreeSink:
    """Writes dumps to numbered files, laid out as `mlir-opt --mlir-print-ir-tree-dir` does:

    `builtin_module_no-symbol-name/3_cse.mlir` after the fourth pass, and for the second pass of a nested pipeline
    that stands third `builtin_module_no-symbol-name/func_func_f/2_1_cse.mlir`. Nothing is elided in files. The chunks
    of a split input have a folder each, by the number that `chunk` gives: `0/builtin_module_no-symbol-name/3_cse.mlir`.
    """

    def __init__(self, directory: str, style: Style, chunk: Callable[[], int | None] = lambda: None):
        self.directory = directory
        self.style = style
        self.chunk = chunk

    def __call__(self, title: str, one: ModulePass, view: View) -> None:
        chunk = self.chunk()
        folders = [self.directory] if chunk is None else [self.directory, str(chunk)]
        folders.append(self._folder("builtin.module", symbol_name(view.module)))
        if view.target is not None:
            folders.append(self._folder(view.target.name, symbol_name(view.target)))
        # The third and later dumps of one pass (before, after) differ in their suffix.
        suffix = "_before" if " Before " in title else "_failed" if " Failed " in title else ""
        number = "_".join(map(str, view.place))
        path = os.path.join(*folders, f"{number}_{one.name}{suffix}.mlir")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with writing(path) as file:
                file.write(f"{framed(title)}\n{self.style.render(view.ops)}".encode())
        except OSError as error:
            raise LaminaError(f"cannot be written: {error.strerror}", where=path) from None

    @staticmethod
    def _folder(op: str, symbol: str | None) -> str:
        return re.sub(r"[^\w-]", "_", f"{op}_{symbol or 'no-symbol-name'}")


@dataclass(frozen=True)
class PrintOptions:
    """Which dumps are wanted. `None` for the names of passes means all passes."""

    before: Collection[str] | None = ()
    after: Collection[str] | None = ()
    only_changed: bool = False
    on_failure: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is wanted."""
        return self.before is None or self.after is None or bool(self.before or self.after) or self.on_failure


class PrintIR(Instrument):
    """Dumps the IR around passes."""

    def __init__(self, options: PrintOptions, sink: Sink):
        self.options = options
        self.sink = sink
        self._texts: dict[int, str] = {}

    def before(self, one: ModulePass, view: View) -> None:
        if _is_in(one, self.options.before):
            self._dump("IR Dump Before {}", one, view)
        if self.options.only_changed and _is_in(one, self.options.after):
            self._texts[id(one)] = self._text(view)

    def after(self, one: ModulePass, view: View) -> None:
        if not _is_in(one, self.options.after):
            return
        if self.options.only_changed and self._texts.pop(id(one)) == self._text(view):
            return
        self._dump("IR Dump After {}", one, view)

    def failed(self, one: ModulePass, view: View) -> None:
        if self.options.on_failure or _is_in(one, self.options.after):
            self._dump("IR Dump After {} Failed", one, view)

    def _dump(self, what: str, one: ModulePass, view: View) -> None:
        with span("(P) print IR", "print"):
            self.sink(headline(what, one, view), one, view)

    @staticmethod
    def _text(view: View) -> str:
        with span("(P) print IR", "print"):
            return Style(locations=True).render(view.ops)


class PrintDiff(Instrument):
    """Prints what each pass changed, as a unified diff. A value keeps its name while it lives, so that removing one op
    does not renumber the others."""

    def __init__(self, style: Style):
        self.style = style
        self._names = Names()
        self._texts: dict[int, list[str]] = {}

    def before(self, one: ModulePass, view: View) -> None:
        self._texts[id(one)] = self._lines(view)

    def after(self, one: ModulePass, view: View) -> None:
        self._print("IR Diff After {}", one, view)

    def failed(self, one: ModulePass, view: View) -> None:
        self._print("IR Diff After {} Failed", one, view)

    def _print(self, what: str, one: ModulePass, view: View) -> None:
        lines = list(difflib.unified_diff(self._texts.pop(id(one)), self._lines(view), lineterm=""))
        title = headline(what, one, view)
        # The first two lines name files; there are none.
        shown = [framed(title), *(self._colored(line) for line in lines[2:])] if lines else [framed(f"No {title[3:]}")]
        print(*shown, "", sep="\n", file=sys.stderr)

    def _lines(self, view: View) -> list[str]:
        with span("(P) print IR", "print"):
            return self.style.plain().render(view.ops, self._names).splitlines()

    def _colored(self, line: str) -> str:
        color = {"+": Colors.GREEN, "-": Colors.RED, "@": Colors.CYAN}.get(line[:1])
        return line if color is None else colored(line, color, enabled=self.style.color)


def _is_in(one: ModulePass, names: Collection[str] | None) -> bool:
    return names is None or one.name in names
