"""What a launcher asks of a device: memory, copies, kernels, in the order of a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from lamina.diagnostics import LaminaError

Array: TypeAlias = "npt.NDArray[Any]"


@dataclass(frozen=True)
class TensorMap:
    """How parts of a tensor in device memory are copied to shared memory (CUtensorMap).

    `sizes` of the dense tensor, and `box` of a part, in the order of memory: the last axis is the fastest. `swizzle`:
    bytes of a line in which chunks change places (0: none); `promotion`: bytes that the L2 cache takes at a time.
    """

    address: int
    dtype: str
    sizes: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int = 0
    promotion: int = 0


Argument: TypeAlias = "tuple[str, int] | tuple[str, TensorMap]"
"""("address" or "size", value), or ("map", a tensor map): what a kernel is given."""


def plain_arguments(arguments: Sequence[Argument], device: str) -> list[tuple[str, int]]:
    """Arguments of a device that has no tensor maps; raises LaminaError for one."""
    found: list[tuple[str, int]] = []
    for kind, value in arguments:
        if isinstance(value, TensorMap):
            raise LaminaError(f"{device} has no tensor maps", hints=("compile the model for this device",))
        found.append((kind, value))
    return found


@dataclass(frozen=True)
class KernelImage:
    """A kernel as a compiled folder has it: the code of its file, and what the manifest says of it.

    `threads` of a block; `shared_memory`: bytes that the code itself declares; `dynamic_shared_memory`: bytes that a
    launch has to ask for; `source`: the location that it comes from.
    """

    name: str
    code: bytes
    threads: int = 1
    shared_memory: int = 0
    dynamic_shared_memory: int = 0
    source: str | None = None

    @property
    def title(self) -> str:
        """The kernel in a message, which says in front of it where it comes from."""
        return f"kernel '{self.name}'"


class Driver(Protocol):
    """One device. Memory is named by addresses; what is given a stream happens in that stream's order.

    A stream is a number that the driver understands. `kind`: the form of code that it takes (`ptx`, `spirv` …);
    `device`: DLPack's device type and number of its memory; `can_capture`: whether launches can be recorded.
    """

    @property
    def kind(self) -> str: ...
    def refusal(self, target: Mapping[str, Any]) -> str | None:
        """Why kernels for a target (a manifest's) cannot run on this device, None where they can."""
        ...

    @property
    def device(self) -> tuple[int, int]: ...
    @property
    def can_capture(self) -> bool: ...
    @property
    def stream(self) -> int:
        """A stream of the driver's own, on which calls run that name no other."""
        ...

    def load(self, image: KernelImage) -> Any:
        """A kernel from its code; raises LaminaError that names it where the device refuses it."""
        ...

    def allocate(self, size: int) -> int:
        """Device memory; at least one byte."""
        ...

    def release(self, address: int) -> None:
        """Give memory back; nothing uses it any more."""
        ...

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy to the device; the array may be changed afterwards."""
        ...

    def download(self, array: Array, address: int, stream: int) -> None:
        """Copy from the device; the array is filled when this returns."""
        ...

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy on the device."""
        ...

    def fill(self, address: int, value: bytes, stream: int) -> None:
        """Write one number, of 1, 4 or 8 bytes."""
        ...

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: Sequence[Argument], stream: int) -> None:
        """Run a kernel after all that went before on the stream."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait for all that was put on a stream; raises LaminaError where some of it failed."""
        ...

    def follow(self, stream: int, other: int) -> None:
        """Let what `stream` is given from now on wait for what `other` has been given."""
        ...

    def mark(self, stream: int) -> Any:
        """A mark behind all that a stream has been given."""
        ...

    def is_past(self, mark: Any) -> bool:
        """Whether the device has come to a mark; asked until it has, and not after."""
        ...

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """Record what `work` puts on a stream instead of doing it."""
        ...

    def replay(self, recorded: Any, stream: int) -> None:
        """Do what was recorded."""
        ...

    def forget(self, recorded: Any) -> None:
        """Give a recording back."""
        ...
