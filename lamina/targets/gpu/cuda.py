"""Kernels in PTX on an NVIDIA GPU, through NVIDIA's Python bindings of the CUDA driver (PyPI: cuda-bindings)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lamina import knobs
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_target import GPU_TARGETS
from lamina.targets.gpu.driver import Argument, Array, KernelImage, TensorMap
from lamina.targets.gpu.tensor_maps import ENCODE, Encode, Parameters, driver_encode, encode_arguments

BINDINGS = "cuda.bindings.driver"
DLPACK_CUDA = 2
LOG_BYTES = 1 << 14
LAUNCH_REFUSALS = frozenset({1, 400, 701})
"""Errors about a launch itself (invalid value, invalid handle, out of resources), not about what ran before."""
LONGEST_LIST = 6
"""Kernels that an error names which one of many caused."""


@dataclass(frozen=True)
class LoadedKernel:
    """A kernel on the device; `registers` of 32 bits and bytes of `local_memory` (spills) of each thread."""

    image: KernelImage
    function: Any
    module: Any
    registers: int
    local_memory: int


@dataclass(frozen=True)
class Graph:
    """Launches that were recorded, and their kernels by name."""

    handle: Any
    kernels: Mapping[str, KernelImage]


class CudaDriver:
    """The GPU with a number, in its primary context, which other libraries in the process share.

    `bindings`: the module with the driver's functions, `cuda.bindings.driver` where left out; `encode`: what makes
    tensor maps, the driver's cuTensorMapEncodeTiled where left out. Raises LaminaError where the bindings are not
    installed, there is no driver, or no such device.
    """

    def __init__(self, number: int = 0, bindings: Any = None, encode: Encode | None = None):
        self._cuda = _bindings() if bindings is None else bindings
        self._encode = encode
        self.number = number
        try:
            self._check(self._cuda.cuInit(0), "cuInit")
            count = self._check(self._cuda.cuDeviceGetCount(), "cuDeviceGetCount")
        except (LaminaError, RuntimeError, OSError) as error:
            raise _missing(f"there is no driver: {error}") from None
        if number >= count:
            raise _missing(f"there is no device {number}, the driver has {count}")
        device = self._check(self._cuda.cuDeviceGet(number), "cuDeviceGet")
        name = self._check(self._cuda.cuDeviceGetName(256, device), "cuDeviceGetName")
        self.name: str = name.split(b"\0")[0].decode()
        attribute = self._cuda.CUdevice_attribute
        major, minor, self.shared_memory = (
            int(self._check(self._cuda.cuDeviceGetAttribute(which, device), "cuDeviceGetAttribute"))
            for which in (
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            )
        )
        self.capability: int = 10 * major + minor
        self._context = self._check(self._cuda.cuDevicePrimaryCtxRetain(device), "cuDevicePrimaryCtxRetain")
        flag = self._cuda.CUstream_flags.CU_STREAM_NON_BLOCKING
        self._stream: int = int(self._do("cuStreamCreate", int(flag)))
        self._waits = bool(knobs.GPU_SYNCHRONIZE.value())
        self._launched: dict[str, KernelImage] = {}

    @property
    def kind(self) -> str:
        """The form of code that it takes."""
        return "ptx"

    @property
    def device(self) -> tuple[int, int]:
        """DLPack's device type for CUDA, and the device's number."""
        return DLPACK_CUDA, self.number

    @property
    def can_capture(self) -> bool:
        """Launches become a graph, except where every kernel is waited for."""
        return not self._waits

    @property
    def stream(self) -> int:
        """The driver's own stream, which does not wait for CUDA's default stream."""
        return self._stream

    @property
    def target(self) -> str:
        """The best target for this device, as `--target` spells it."""
        exact = f"ptx:sm_{self.capability}a"
        if exact in GPU_TARGETS:
            return exact
        known = {_number(name): name for name in GPU_TARGETS if name.startswith("ptx:") and name[-1].isdigit()}
        fitting = [number for number in known if number <= self.capability]
        if not fitting:
            raise LaminaError(
                f"{self.name} is of architecture sm_{self.capability}, kernels need sm_{min(known)} at least"
            )
        return known[max(fitting)]

    def refusal(self, target: Mapping[str, Any]) -> str | None:
        """Why kernels for a target cannot run here, None where they can."""
        if target["kind"] != self.kind:
            return f"is compiled for {target['kind']}, {self.name} takes {self.kind}"
        architecture = str(target["architecture"])
        needed, is_exact = _number(architecture), not architecture[-1].isdigit()
        if needed > self.capability or (is_exact and needed != self.capability):
            return f"is compiled for {architecture}, {self.name} is sm_{self.capability}"
        return None

    # Kernels

    def load(self, image: KernelImage) -> LoadedKernel:
        """A kernel from PTX. Raises LaminaError, with what the driver's compiler says, where it is refused."""
        needed = image.shared_memory + image.dynamic_shared_memory
        if needed > self.shared_memory:
            raise LaminaError(
                f"{image.title} needs {needed} bytes of shared memory,"
                f" {self.name} has {self.shared_memory} for a block",
                where=image.source,
            )
        option = self._cuda.CUjit_option
        log = bytearray(LOG_BYTES)
        options = {option.CU_JIT_ERROR_LOG_BUFFER: log, option.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES: LOG_BYTES}
        self._enter()
        code, *found = self._cuda.cuModuleLoadDataEx(
            image.code + b"\0", len(options), list(options), list(options.values())
        )
        if int(code):
            said = bytes(log).split(b"\0")[0].decode(errors="replace").strip()
            raise LaminaError(
                f"{image.title} is refused by the driver ({self._error(code)}): {said or 'it says nothing more'}",
                where=image.source,
            )
        module = found[0]
        function = self._do("cuModuleGetFunction", module, image.name.encode())
        attribute = self._cuda.CUfunction_attribute
        registers, local, most = (
            int(self._do("cuFuncGetAttribute", which, function))
            for which in (
                attribute.CU_FUNC_ATTRIBUTE_NUM_REGS,
                attribute.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES,
                attribute.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
            )
        )
        if image.threads > most:
            raise LaminaError(
                f"{image.title} needs {registers} registers for each of {image.threads} threads,"
                f" {self.name} has room for {most} threads like that",
                where=image.source,
            )
        if image.dynamic_shared_memory:
            which = attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._do("cuFuncSetAttribute", function, which, image.dynamic_shared_memory)
        return LoadedKernel(image, function, module, registers, local)

    def launch(
        self, kernel: LoadedKernel, blocks: int, threads: int, arguments: Sequence[Argument], stream: int
    ) -> None:
        """Put a kernel on a stream. An argument has 8 bytes, an address or a whole number whose low bytes count, or is
        a tensor map; the driver keeps a copy of all."""
        self._enter()
        try:
            parameters = Parameters(arguments, self._write_map)
        except LaminaError as error:
            error.message = f"{kernel.image.title}: {error.message}"
            error.where = error.where or kernel.image.source
            raise
        shared = kernel.image.dynamic_shared_memory
        code, *_ = self._cuda.cuLaunchKernel(
            kernel.function, blocks, 1, 1, threads, 1, 1, shared, stream, parameters.pointers, 0
        )
        if int(code) in LAUNCH_REFUSALS:
            raise LaminaError(
                f"{kernel.image.title} cannot be launched with {blocks} blocks of {threads} threads:"
                f" {self._error(code)}",
                where=kernel.image.source,
            )
        if int(code):
            raise self._failed("cuLaunchKernel", code)
        self._launched[kernel.image.name] = kernel.image
        if self._waits:
            self.synchronize(stream)

    def _write_map(self, map_: TensorMap, place: int) -> None:
        """Write a tensor map's bytes."""
        arguments = encode_arguments(self._cuda, map_)
        if self._encode is None:
            self._encode = driver_encode()
        code = self._encode(place, *arguments)
        if code:
            raise LaminaError(f"CUDA: {ENCODE} fails: {self._error(self._cuda.CUresult(code))}")

    # Memory

    def allocate(self, size: int) -> int:
        """Device memory. Raises LaminaError where the device has none left."""
        self._enter()
        code, *found = self._cuda.cuMemAlloc(size)
        if int(code):
            raise LaminaError(f"{self.name} has no memory for {size} bytes more: {self._error(code)}")
        return int(found[0])

    def release(self, address: int) -> None:
        """Give memory back; waits for what uses it."""
        self._do("cuMemFree", address)

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy to the device; from pageable memory, the driver has read the array when this returns."""
        self._work("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, stream)

    def download(self, array: Array, address: int, stream: int) -> None:
        """Copy from the device, and wait."""
        self._work("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, stream)
        self.synchronize(stream)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy on the device."""
        self._work("cuMemcpyDtoDAsync", target, source, size, stream)

    def fill(self, address: int, value: bytes, stream: int) -> None:
        """Write one number; a recording keeps the value."""
        if len(value) % 4:
            for position, byte in enumerate(value):
                self._work("cuMemsetD8Async", address + position, byte, 1, stream)
            return
        for position in range(0, len(value), 4):
            word = int.from_bytes(value[position : position + 4], "little")
            self._work("cuMemsetD32Async", address + position, word, 1, stream)

    # Order

    def synchronize(self, stream: int) -> None:
        """Wait for a stream. Raises LaminaError, with the kernels that may have failed, where something did."""
        self._work("cuStreamSynchronize", stream)
        self._launched.clear()

    def follow(self, stream: int, other: int) -> None:
        """Let a stream wait for another."""
        if stream == other:
            return
        event = self.mark(other)
        self._do("cuStreamWaitEvent", stream, event, 0)
        self._do("cuEventDestroy", event)

    def mark(self, stream: int) -> Any:
        """An event on a stream."""
        event = self._do("cuEventCreate", int(self._cuda.CUevent_flags.CU_EVENT_DISABLE_TIMING))
        self._do("cuEventRecord", event, stream)
        return event

    def is_past(self, mark: Any) -> bool:
        """Whether an event has come to pass; then it is given back."""
        self._enter()
        code, *_ = self._cuda.cuEventQuery(mark)
        if int(code) == int(self._cuda.CUresult.CUDA_ERROR_NOT_READY):
            return False
        self._do("cuEventDestroy", mark)
        return True

    # Graphs

    def capture(self, stream: int, work: Callable[[], None]) -> Graph:
        """A graph of what `work` puts on a stream, ready to run."""
        before, self._launched = self._launched, {}
        mode = self._cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._do("cuStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            with suppress(LaminaError):
                self._do("cuGraphDestroy", self._do("cuStreamEndCapture", stream))
            raise
        finally:
            kernels, self._launched = self._launched, before
        graph = self._do("cuStreamEndCapture", stream)
        try:
            return Graph(self._do("cuGraphInstantiate", graph, 0), kernels)
        finally:
            self._do("cuGraphDestroy", graph)

    def replay(self, recorded: Graph, stream: int) -> None:
        """Run a graph."""
        self._launched |= recorded.kernels
        self._work("cuGraphLaunch", recorded.handle, stream)

    def forget(self, recorded: Graph) -> None:
        """Give a graph back, when it has run."""
        self._do("cuGraphExecDestroy", recorded.handle)

    # Calls

    def _enter(self) -> None:
        self._check(self._cuda.cuCtxSetCurrent(self._context), "cuCtxSetCurrent")

    def _do(self, name: str, *arguments: Any) -> Any:
        self._enter()
        return self._check(getattr(self._cuda, name)(*arguments), name)

    def _work(self, name: str, *arguments: Any) -> None:
        """A call that may tell of a kernel that failed before it."""
        self._enter()
        code, *_ = getattr(self._cuda, name)(*arguments)
        if int(code):
            raise self._failed(name, code)

    def _failed(self, name: str, code: Any) -> LaminaError:
        suspects = list(self._launched.values())
        self._launched.clear()
        reason = self._error(code)
        if len(suspects) == 1:
            return LaminaError(f"{suspects[0].title} failed on {self.name}: {reason}", where=suspects[0].source)
        if not suspects:
            return LaminaError(f"{self.name}: {name} fails: {reason}")
        names = ", ".join(f"'{image.name}'" for image in suspects[:LONGEST_LIST])
        rest = f" and {len(suspects) - LONGEST_LIST} more" if len(suspects) > LONGEST_LIST else ""
        return LaminaError(
            f"one of the kernels {names}{rest} failed on {self.name}: {reason}",
            hints=(f"run again with {knobs.GPU_SYNCHRONIZE.name}=1, which names it",),
        )

    def _check(self, result: Sequence[Any], name: str) -> Any:
        code, *found = result
        if int(code):
            raise LaminaError(f"CUDA: {name} fails: {self._error(code)}")
        return found[0] if found else None

    def _error(self, code: Any) -> str:
        texts: list[str] = []
        for ask in (self._cuda.cuGetErrorName, self._cuda.cuGetErrorString):
            failed, text = ask(code)
            texts.append(str(int(code)) if int(failed) or text is None else text.decode())
        return ": ".join(texts)


def stream_number(stream: object) -> int | None:
    """A caller's stream as the driver's number: a number itself, or an object of a library that has streams.

    `__cuda_stream__` (cuda.core, Numba), `cuda_stream` (torch) and `ptr` (CuPy) are understood; None stays None.
    """
    if stream is None or isinstance(stream, int):
        return stream
    ask: Any = getattr(stream, "__cuda_stream__", None)
    if ask is not None:
        version_and_handle: Any = ask() if callable(ask) else ask
        return int(version_and_handle[1])
    for name in ("cuda_stream", "ptr"):
        found = getattr(stream, name, None)
        if isinstance(found, int):
            return found
    raise LaminaError(f"expected a CUDA stream, found {type(stream).__name__}")


def _number(architecture: str) -> int:
    found = re.search(r"sm_(\d+)", architecture)
    return int(found[1]) if found is not None else 0


def _bindings() -> Any:
    try:
        return import_module(BINDINGS)
    except ImportError:
        raise _missing("NVIDIA's Python bindings are not installed") from None


def _missing(reason: str) -> LaminaError:
    return LaminaError(
        f"cannot run on an NVIDIA GPU: {reason}",
        hints=(
            "install the bindings (pip install 'lamina[cuda]') on a machine with an NVIDIA driver",
            "or compile only: lamina compile MODEL --target ptx -o DIR",
        ),
    )
