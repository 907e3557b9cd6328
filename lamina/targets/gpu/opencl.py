"""Kernels in SPIR-V on an OpenCL device with shared virtual memory, through the C library by ctypes."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lamina.diagnostics import LaminaError
from lamina.targets.gpu.driver import Argument, Array, KernelImage, plain_arguments

DEVICE_TYPE_ALL = 0xFFFFFFFF
PROGRAM_BUILD_LOG = 0x1183
SUCCESS = 0
MEMORY_READ_WRITE_FINE_GRAINED = (1 << 0) | (1 << 10)
ALIGNMENT = 128
DLPACK_OPENCL = 4
LOADER, RUNTIME = "libOpenCL.so", "libintelocl.so"
RUNTIMES = "OCL_ICD_FILENAMES"
"""The variable that tells the loader of runtimes besides those that the system lists."""


def installed_runtime() -> Path | None:
    """The folder of PyPI's intel-opencl-rt in this environment, None where it is not installed."""
    folder = Path(sys.prefix) / "lib"
    return folder if (folder / LOADER).exists() and (folder / RUNTIME).exists() else None


@contextmanager
def _runtime_of(folder: Path | None) -> Generator[None]:
    """While the loader looks for runtimes, it is told of the one in a folder."""
    if folder is None or RUNTIMES in os.environ:
        yield
        return
    os.environ[RUNTIMES] = os.fspath(folder / RUNTIME)
    try:
        yield
    finally:
        del os.environ[RUNTIMES]


class OpenClDriver:
    """One device: memory that host and device share, kernels that run one after the other.

    `library` is the path of OpenCL's loader; where left out the system's, else that of PyPI's intel-opencl-rt in this
    environment. Raises LaminaError where there is no library, no platform or no device.
    """

    def __init__(self, library: Path | None = None):
        installed = installed_runtime() if library is None and ctypes.util.find_library("OpenCL") is None else None
        if installed is not None:
            library = installed / LOADER
        found = os.fspath(library) if library is not None else ctypes.util.find_library("OpenCL")
        if found is None:
            raise _missing("there is no OpenCL library")
        try:
            if installed is not None:
                # Its loader does not say where its own libraries are; the runtime does, and brings them.
                ctypes.CDLL(os.fspath(installed / RUNTIME))
            self._cl: Any = ctypes.CDLL(found)
        except OSError as error:
            raise _missing(f"the OpenCL library cannot be loaded: {error}") from None
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name, result, arguments in (
            ("clCreateContext", pointer, None),
            ("clCreateCommandQueueWithProperties", pointer, [pointer, pointer, pointer, pointer]),
            ("clCreateProgramWithIL", pointer, [pointer, ctypes.c_char_p, size, pointer]),
            ("clCreateKernel", pointer, [pointer, ctypes.c_char_p, pointer]),
            ("clSVMAlloc", pointer, [pointer, ctypes.c_uint64, size, ctypes.c_uint]),
            ("clSVMFree", None, [pointer, pointer]),
            ("clSetKernelArg", ctypes.c_int, [pointer, ctypes.c_uint, size, pointer]),
            ("clSetKernelArgSVMPointer", ctypes.c_int, [pointer, ctypes.c_uint, pointer]),
            ("clFinish", ctypes.c_int, [pointer]),
            ("clGetProgramBuildInfo", ctypes.c_int, [pointer, pointer, ctypes.c_uint, size, pointer, pointer]),
            ("clBuildProgram", ctypes.c_int, [pointer, ctypes.c_uint, pointer, pointer, pointer, pointer]),
        ):
            function = getattr(self._cl, name)
            function.restype = result
            if arguments is not None:
                function.argtypes = arguments
        with _runtime_of(installed):
            self._device = self._first_device()
        code = ctypes.c_int()
        devices = (ctypes.c_void_p * 1)(self._device)
        self._context = ctypes.c_void_p(self._cl.clCreateContext(None, 1, devices, None, None, ctypes.byref(code)))
        _check(code.value, "clCreateContext")
        queue = self._cl.clCreateCommandQueueWithProperties(self._context, self._device, None, ctypes.byref(code))
        _check(code.value, "clCreateCommandQueueWithProperties")
        self._queue = ctypes.c_void_p(queue)
        self._programs: dict[bytes, ctypes.c_void_p] = {}

    def _first_device(self) -> ctypes.c_void_p:
        platform, device, count = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
        code = self._cl.clGetPlatformIDs(1, ctypes.byref(platform), ctypes.byref(count))
        if code != SUCCESS or not count.value:
            raise _missing("OpenCL has no platform")
        kind = ctypes.c_uint64(DEVICE_TYPE_ALL)
        code = self._cl.clGetDeviceIDs(platform, kind, 1, ctypes.byref(device), ctypes.byref(count))
        if code != SUCCESS or not count.value:
            raise _missing("OpenCL has no device")
        return device

    @property
    def kind(self) -> str:
        """The form of code that it takes."""
        return "spirv"

    def refusal(self, target: Mapping[str, Any]) -> str | None:
        """Why kernels for a target cannot run here, None where they can."""
        return None if target["kind"] == self.kind else f"is compiled for {target['kind']}, OpenCL takes {self.kind}"

    @property
    def device(self) -> tuple[int, int]:
        """DLPack's device type for OpenCL, and a number."""
        return DLPACK_OPENCL, 0

    @property
    def can_capture(self) -> bool:
        """There is nothing to record with."""
        return False

    @property
    def stream(self) -> int:
        """The one queue."""
        return 0

    def load(self, image: KernelImage) -> Any:
        """A kernel from SPIR-V. Raises LaminaError with the build log where the device refuses it."""
        status, name, code = ctypes.c_int(), image.name, image.code
        program = self._programs.get(code)
        if program is None:
            program = self._programs[code] = self._build(name, code)
        kernel = self._cl.clCreateKernel(program, name.encode(), ctypes.byref(status))
        _check(status.value, f"kernel '{name}': clCreateKernel")
        return ctypes.c_void_p(kernel)

    def _build(self, name: str, code: bytes) -> ctypes.c_void_p:
        status = ctypes.c_int()
        created = self._cl.clCreateProgramWithIL(self._context, code, len(code), ctypes.byref(status))
        _check(status.value, f"kernel '{name}': clCreateProgramWithIL")
        program = ctypes.c_void_p(created)
        if self._cl.clBuildProgram(program, 0, None, None, None, None) != SUCCESS:
            log = ctypes.create_string_buffer(1 << 14)
            self._cl.clGetProgramBuildInfo(program, self._device, PROGRAM_BUILD_LOG, len(log), log, None)
            raise LaminaError(f"kernel '{name}' is refused by the device: {log.value.decode(errors='replace')}")
        return program

    def allocate(self, size: int) -> int:
        """Memory that host and device share."""
        found = self._cl.clSVMAlloc(self._context, MEMORY_READ_WRITE_FINE_GRAINED, size, ALIGNMENT)
        if not found:
            raise LaminaError(f"the device has no memory for {size} bytes that the host can share")
        return int(found)

    def release(self, address: int) -> None:
        """Give memory back; kernels that use it have ended."""
        self._finish()
        self._cl.clSVMFree(self._context, address)

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy to the device."""
        self._finish()
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def download(self, array: Array, address: int, stream: int) -> None:
        """Copy from the device."""
        self._finish()
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy on the device."""
        self._finish()
        ctypes.memmove(target, source, size)

    def fill(self, address: int, value: bytes, stream: int) -> None:
        """Write one number."""
        self._finish()
        ctypes.memmove(address, value, len(value))

    def synchronize(self, stream: int) -> None:
        """Wait for the queue."""
        self._finish()

    def follow(self, stream: int, other: int) -> None:
        """There is one queue, which keeps its order."""

    def mark(self, stream: int) -> Any:
        """All that the queue holds."""
        return None

    def is_past(self, mark: Any) -> bool:
        """Waits for the queue."""
        self._finish()
        return True

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """Not there."""
        raise LaminaError("an OpenCL queue cannot be recorded")

    def replay(self, recorded: Any, stream: int) -> None:
        """Not there."""
        raise LaminaError("an OpenCL queue cannot be recorded")

    def forget(self, recorded: Any) -> None:
        """Not there."""

    def launch(self, kernel: Any, blocks: int, threads: int, arguments: Sequence[Argument], stream: int) -> None:
        """Run a kernel after those before it (the queue keeps their order)."""
        for position, (kind, value) in enumerate(plain_arguments(arguments, "OpenCL")):
            if kind == "address":
                code = self._cl.clSetKernelArgSVMPointer(kernel, position, value)
            else:
                size = ctypes.c_int64(value)
                code = self._cl.clSetKernelArg(kernel, position, 8, ctypes.byref(size))
            _check(code, f"argument {position}")
        total, local = ctypes.c_size_t(blocks * threads), ctypes.c_size_t(threads)
        code = self._cl.clEnqueueNDRangeKernel(
            self._queue, kernel, 1, None, ctypes.byref(total), ctypes.byref(local), 0, None, None
        )
        _check(code, "clEnqueueNDRangeKernel")

    def _finish(self) -> None:
        _check(self._cl.clFinish(self._queue), "clFinish")


def _check(code: int, what: str) -> None:
    if code != SUCCESS:
        raise LaminaError(f"OpenCL: {what} fails with {code}")


def _missing(reason: str) -> LaminaError:
    return LaminaError(
        f"cannot run on an OpenCL device: {reason}",
        hints=("install a runtime, such as PyPI's intel-opencl-rt, or compile only: lamina compile --target spirv",),
    )
