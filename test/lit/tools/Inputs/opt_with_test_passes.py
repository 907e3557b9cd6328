"""lamina-opt with passes that go wrong, to see what it makes of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, i64
from xdsl.ir import Operation
from xdsl.pattern_rewriter import PatternRewriter, PatternRewriteWalker, RewritePattern
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import PassFailedException

from lamina.diagnostics import note, warn
from lamina.passes.base import LaminaPass
from lamina.tools.lamina_opt import main
from lamina.tools.opt.driver import LaminaOptMain


class Divide(RewritePattern):
    """Raises at the first multiplication."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        if op.name == "arith.muli":
            print(1 // 0)


@dataclass(frozen=True)
class RaisePass(LaminaPass):
    """Has a bug: divides by zero at a multiplication."""

    name = "test-raise"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(Divide()).rewrite_module(op)


@dataclass(frozen=True)
class InvalidatePass(LaminaPass):
    """Has a bug: gives a multiplication a wrong type."""

    name = "test-invalidate"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in op.walk():
            if inner.name == "arith.muli":
                Rewriter.replace_value_with_new_type(inner.results[0], i64)


@dataclass(frozen=True)
class RefusePass(LaminaPass):
    """Cannot do its work, and says so at a multiplication."""

    name = "test-refuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in op.walk():
            if inner.name == "arith.muli":
                inner.emit_error("no", PassFailedException("cannot be multiplied"))


@dataclass(frozen=True)
class WarnPass(LaminaPass):
    """Warns at each multiplication, with a note at the function."""

    name = "test-warn"
    counters: ClassVar[Mapping[str, str]] = {"warnings": "warnings given"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in op.walk():
            if inner.name == "arith.muli":
                function = inner.parent_op()
                assert function is not None
                warn(inner, "multiplication is slow", notes=[note(function, "in this function")])
                self.count("warnings")


@dataclass(frozen=True)
class OptionsPass(LaminaPass):
    """Sets an attribute from its options.

    It changes the module, so it cannot be nested.
    """

    name = "test-options"

    size: int
    """How large, in elements."""
    label: str = "none"
    """What to write."""
    shape: tuple[int, ...] = (1, 2)
    flag: bool = False

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.attributes["test.options"] = StringAttr(f"{self.size} {self.label} {self.shape} {self.flag}")


@dataclass(frozen=True)
class NeedsThingPass(LaminaPass):
    """Requires what test-gives-thing ensures."""

    name = "test-needs-thing"
    requires: ClassVar[frozenset[str]] = frozenset({"thing"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


@dataclass(frozen=True)
class GivesThingPass(LaminaPass):
    """Ensures what test-needs-thing requires."""

    name = "test-gives-thing"
    ensures: ClassVar[frozenset[str]] = frozenset({"thing"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pass


PASSES = (RaisePass, InvalidatePass, RefusePass, WarnPass, OptionsPass, NeedsThingPass, GivesThingPass)


class TestOptMain(LaminaOptMain):
    def register_all_passes(self) -> None:
        super().register_all_passes()
        for one in PASSES:
            self.register_pass(one.name, lambda one=one: one)


if __name__ == "__main__":
    main(driver=TestOptMain)
