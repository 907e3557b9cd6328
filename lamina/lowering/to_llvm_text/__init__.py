"""Hardware level -> LLVM IR text, by one table of cases; n-D vectors become runs of native registers here."""

from lamina.lowering.to_llvm_text.printer import (
    LlvmModule,
    LlvmProgram,
    LlvmText,
    print_llvm,
    print_llvm_text,
)
from lamina.lowering.to_llvm_text.target import LlvmTarget

__all__ = ["LlvmModule", "LlvmProgram", "LlvmTarget", "LlvmText", "print_llvm", "print_llvm_text"]
