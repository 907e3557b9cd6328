"""Kernels of the hardware level -> LLVM IR text for GPUs."""

from lamina.lowering.to_gpu_text.forms import KERNEL_FORMS, KernelForm
from lamina.lowering.to_gpu_text.printer import KernelText, module_text, print_kernels

__all__ = ["KERNEL_FORMS", "KernelForm", "KernelText", "module_text", "print_kernels"]
