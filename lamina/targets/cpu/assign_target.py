"""The pass `assign-target`: which machine the module is compiled for, written into the module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from lamina.passes.base import LaminaPass

TARGET = "lamina.target"


@dataclass(frozen=True)
class AssignTargetPass(LaminaPass):
    """Writes the description of this machine as `lamina.target`, where the module has none.

    Every later pass reads the target there; a test pins it by writing the attribute itself.

        builtin.module { … }
    →   builtin.module attributes {lamina.target = {cpu = "znver5", vector_bits = 512 : i64, …}} { … }
    """

    name = "assign-target"
    ensures: ClassVar[frozenset[str]] = frozenset({"target"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if TARGET in op.attributes:
            return
        from lamina.targets.cpu.host import target_attribute

        op.attributes[TARGET] = target_attribute()
