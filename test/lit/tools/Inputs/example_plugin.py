"""A plugin with a bit of everything that `lamina-opt` lists."""

from dataclasses import dataclass

from xdsl.ir import Dialect
from xdsl.irdl import irdl_op_definition
from xdsl.utils.target import Target

from lamina.dialects.graph.composite import Activation
from lamina.passes.base import LaminaPass
from lamina.plugins import Plugin


@irdl_op_definition
class TwiceOp(Activation):
    """2 · x."""

    name = "example.twice"
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def reference(self, *operands):
        return operands[0] + operands[0]

    def decompose(self, builder):
        return (builder.add(self.operand, self.operand),)


@dataclass(frozen=True)
class ExamplePass(LaminaPass):
    """Does nothing."""

    name = "example-pass"

    def apply(self, ctx, op):
        return


class CountTarget(Target):
    """The number of ops."""

    name = "op-count"

    def emit(self, ctx, module, output):
        print(sum(1 for _ in module.walk()), "ops", file=output)


PLUGIN = Plugin(
    "example",
    dialects={"example": lambda: Dialect("example", [TwiceOp])},
    passes={"example-pass": lambda: ExamplePass},
    after={"infer-types": ("example-pass",)},
    targets={"op-count": lambda: CountTarget},
)
