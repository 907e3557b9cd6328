"""A driver that runs kernels in the interpreter: what a compiled folder does is checked, without a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware import gpu
from lamina.parser import read_module
from lamina.targets.gpu.checked_memory import store
from lamina.targets.gpu.driver import Argument, Array, KernelImage, plain_arguments
from lamina.targets.gpu.interpreter import Finding, Interpreter


def _ignored(kernel: str) -> None:
    pass


@dataclass(frozen=True)
class CheckedKernel:
    """A kernel and where it comes from."""

    function: gpu.FuncOp
    source: str | None


HOST = "host.mlir"


def kernels_of(module: ModuleOp) -> dict[str, gpu.FuncOp]:
    """The kernels of a module by name."""
    return {
        function.sym_name.data: function
        for device in module.ops
        if isinstance(device, gpu.ModuleOp)
        for function in device.body.block.ops
        if isinstance(function, gpu.FuncOp)
    }


class CheckingDriver:
    """Runs the kernels of `host.mlir` in a compiled folder; `findings` has what was wrong."""

    def __init__(self, folder: Path, context: Context, seed: int = 0):
        self._interpreter = Interpreter(seed)
        self._memory = self._interpreter.memory
        self._kernels = kernels_of(read_module(context, folder / HOST))
        self._count = 0
        self.launches = 0
        self.observer: Callable[[str], None] = _ignored
        """Told of every kernel that is launched."""

    @property
    def findings(self) -> list[Finding]:
        """What was found, the first of each kind at each op."""
        return list(self._interpreter.findings.values())

    # The driver

    @property
    def kind(self) -> str:
        """It takes kernels of the hardware level."""
        return "ir"

    def refusal(self, target: Mapping[str, Any]) -> str | None:
        """Kernels for any target can be looked at; subgroups are as large as that target's."""
        self._interpreter.warp = int(target.get("warp", self._interpreter.warp))
        return None

    @property
    def device(self) -> tuple[int, int]:
        """A device type that nothing else has."""
        return -1, 0

    @property
    def can_capture(self) -> bool:
        """There is nothing to record."""
        return False

    @property
    def stream(self) -> int:
        """One launch follows the other."""
        return 0

    def load(self, image: KernelImage) -> CheckedKernel:
        """The kernel of that name."""
        found = self._kernels.get(image.name)
        if found is None:
            raise LaminaError(f"{image.title} is not in {HOST}", hints=("compile the model again",))
        return CheckedKernel(found, image.source)

    def allocate(self, size: int) -> int:
        """Memory that nobody has written to."""
        self._count += 1
        return self._memory.allocate(size, f"buffer {self._count}")

    def release(self, address: int) -> None:
        """Memory is kept: accesses after its end are not looked for."""

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Write all elements."""
        self._write(address, np.frombuffer(array.tobytes(), np.uint8))

    def download(self, array: Array, address: int, stream: int) -> None:
        """Read bytes."""
        buffer, offset = self._memory.find(address)
        flat = array.reshape(-1).view(np.uint8)
        flat[:] = buffer.data[offset : offset + array.nbytes]

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy bytes, and whether they were written."""
        (to, first), (origin, start) = self._memory.find(target), self._memory.find(source)
        to.data[first : first + size] = origin.data[start : start + size]
        to.written[first : first + size] = origin.written[start : start + size]

    def fill(self, address: int, value: bytes, stream: int) -> None:
        """Write one number."""
        self._write(address, np.frombuffer(value, np.uint8))

    def _write(self, address: int, data: Array) -> None:
        buffer, offset = self._memory.find(address)
        store(buffer, offset + np.arange(len(data)), data)

    def launch(
        self, kernel: CheckedKernel, blocks: int, threads: int, arguments: Sequence[Argument], stream: int
    ) -> None:
        """Interpret a kernel."""
        self.launches += 1
        self.observer(kernel.function.sym_name.data)
        values = [value & (1 << 64) - 1 for _, value in plain_arguments(arguments, "the interpreter")]
        self._interpreter.run(kernel.function, blocks, threads, values, kernel.source)

    def synchronize(self, stream: int) -> None:
        """Nothing goes on."""

    def follow(self, stream: int, other: int) -> None:
        """One launch follows the other."""

    def mark(self, stream: int) -> Any:
        """Now."""
        return None

    def is_past(self, mark: Any) -> bool:
        """Always."""
        return True

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """Not there."""
        raise LaminaError("an interpreter records nothing")

    def replay(self, recorded: Any, stream: int) -> None:
        """Not there."""
        raise LaminaError("an interpreter records nothing")

    def forget(self, recorded: Any) -> None:
        """Nothing is kept."""
