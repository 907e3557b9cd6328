"""`lamina-opt -t llvm-text`: the hardware level's LLVM IR text, to look at and to test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.target import Target

from lamina.lowering.to_llvm_text.printer import print_llvm


@dataclass(frozen=True)
class LlvmTextTarget(Target):
    """Every LLVM module of the program under a comment with its name, and how it is to be compiled."""

    name = "llvm-text"
    partitions: int = 1

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        program = print_llvm(module, partitions=self.partitions)
        for one in program.modules:
            print(f"; module {one.name}: {'optimize' if one.optimize else 'code generation only'}", file=output)
            print(one.text, file=output)
        for position, key in enumerate(program.constants):
            print(f"; constant {position}: {key}", file=output)
