"""Kernels of a text run by the interpreter that looks for mistakes."""

from __future__ import annotations

import numpy as np

from lamina import api
from lamina.parser import parse_text
from lamina.targets.gpu.checking_driver import kernels_of
from lamina.targets.gpu.interpreter import Finding, Interpreter


def run_kernel(
    text: str, blocks: int, threads: int, arrays: list[np.ndarray], *sizes: int, seed: int = 0
) -> list[Finding]:
    """Run the one kernel of a module on arrays, each with its first size, which are changed in place."""
    (kernel,) = kernels_of(parse_text(api.make_context(), text, "kernel.mlir")).values()
    interpreter = Interpreter(seed)
    arguments: list[int] = []
    buffers = []
    for number, array in enumerate(arrays):
        address = interpreter.memory.allocate(array.nbytes, f"argument {number}")
        buffer, _ = interpreter.memory.find(address)
        if not np.isnan(array.astype(np.float64)).all():  # NaN stands for memory that nobody has written to
            buffer.data[:] = np.frombuffer(array.tobytes(), np.uint8)
            buffer.written[:] = True
        buffers.append(buffer)
        arguments += [address, len(array)]
    interpreter.run(kernel, blocks, threads, [*arguments, *sizes])
    for array, buffer in zip(arrays, buffers, strict=True):
        array[...] = buffer.data.view(array.dtype)
    return list(interpreter.findings.values())


def kinds(findings: list[Finding]) -> set[str]:
    return {one.kind for one in findings}
