"""A stand-in for `cuda.bindings.driver` on host memory: what the launcher's logic is tested with where no GPU is.

Kernels are Python functions by name, called with (blocks, threads, arguments as unsigned 64-bit numbers). Functions
give tuples that start with a result code, as the bindings' do.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

from lamina.targets.gpu.tensor_maps import ARGUMENT_TYPES

Kernel = Callable[[int, int, Sequence[int]], None]


class Result(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_INVALID_PTX = 218
    CUDA_ERROR_NOT_READY = 600
    CUDA_ERROR_ILLEGAL_ADDRESS = 700


SWIZZLES = ("NONE", "32B", "64B", "128B")
PROMOTIONS = ("NONE", "L2_64B", "L2_128B", "L2_256B")


class FakeCuda:
    """One process's driver: `log` has every call that reaches the device, in order."""

    def __init__(self, kernels: dict[str, Kernel], *, devices: int = 1, capability: int = 90, memory: int = 1 << 30):
        self.kernels = kernels
        self.devices = devices
        self.capability = capability
        self.free = memory
        self.registers = {"default": 32}
        self.log: list[tuple[Any, ...]] = []
        self.blocks: dict[int, Any] = {}
        self.recording: list[Callable[[], Any]] | None = None
        self.failed = Result.CUDA_SUCCESS
        self.count = 100
        self.CUresult = Result
        self.CUdevice_attribute = SimpleNamespace(
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=75,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=76,
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN=97,
        )
        self.CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
        self.CUevent_flags = SimpleNamespace(CU_EVENT_DISABLE_TIMING=2)
        self.CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)
        self.CUjit_option = SimpleNamespace(CU_JIT_ERROR_LOG_BUFFER=5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES=6)
        kinds = {"Swizzle": ("SWIZZLE_", SWIZZLES), "L2promotion": ("L2_PROMOTION_", PROMOTIONS)}
        for name, (prefix, ends) in kinds.items():
            values = {f"CU_TENSOR_MAP_{prefix}{end}": value for value, end in enumerate(ends)}
            setattr(self, f"CUtensorMap{name}", SimpleNamespace(**values))
        self.CUtensorMapInterleave = SimpleNamespace(CU_TENSOR_MAP_INTERLEAVE_NONE=0)
        self.CUtensorMapFloatOOBfill = SimpleNamespace(CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE=0)
        self.CUtensorMapDataType = SimpleNamespace(
            CU_TENSOR_MAP_DATA_TYPE_FLOAT16=6,
            CU_TENSOR_MAP_DATA_TYPE_FLOAT32=7,
            CU_TENSOR_MAP_DATA_TYPE_BFLOAT16=9,
            CU_TENSOR_MAP_DATA_TYPE_TFLOAT32=11,
        )
        self.CUfunction_attribute = SimpleNamespace(
            CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK=0,
            CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES=3,
            CU_FUNC_ATTRIBUTE_NUM_REGS=4,
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8,
        )

    def named(self, kind: str) -> list[tuple[Any, ...]]:
        """The calls of one kind."""
        return [one for one in self.log if one[0] == kind]

    def _number(self) -> int:
        self.count += 1
        return self.count

    def _do(self, work: Callable[[], Any], *entry: Any) -> tuple[Result]:
        """Something that a stream does: recorded while a graph is made."""
        if self.failed:
            return (self.failed,)
        if self.recording is not None:
            self.recording.append(work)
            return (Result.CUDA_SUCCESS,)
        self.log.append(entry)
        work()
        return (self.failed,) if entry[0] != "launch" else (Result.CUDA_SUCCESS,)

    # Device and context

    def cuInit(self, flags: int) -> tuple[Result]:
        return (Result.CUDA_SUCCESS,)

    def cuDeviceGetCount(self) -> tuple[Result, int]:
        return Result.CUDA_SUCCESS, self.devices

    def cuDeviceGet(self, number: int) -> tuple[Result, int]:
        return Result.CUDA_SUCCESS, number

    def cuDeviceGetName(self, length: int, device: int) -> tuple[Result, bytes]:
        return Result.CUDA_SUCCESS, b"Fake GPU".ljust(length, b"\0")

    def cuDeviceGetAttribute(self, which: int, device: int) -> tuple[Result, int]:
        return Result.CUDA_SUCCESS, {75: self.capability // 10, 76: self.capability % 10, 97: 100_000}[which]

    def cuDevicePrimaryCtxRetain(self, device: int) -> tuple[Result, str]:
        return Result.CUDA_SUCCESS, "context"

    def cuCtxSetCurrent(self, context: str) -> tuple[Result]:
        assert context == "context"
        return (Result.CUDA_SUCCESS,)

    def cuGetErrorName(self, code: Result) -> tuple[Result, bytes]:
        return Result.CUDA_SUCCESS, Result(code).name.encode()

    def cuGetErrorString(self, code: Result) -> tuple[Result, bytes]:
        return Result.CUDA_SUCCESS, b"what went wrong"

    # Kernels

    def cuModuleLoadDataEx(self, image: bytes, count: int, options: Any, values: Any) -> tuple[Any, ...]:
        assert image.endswith(b"\0") and count == len(options) == len(values)
        text = image.rstrip(b"\0").decode()
        if "error" in text:
            message = b"ptxas fatal: line 3: no such instruction"
            values[0][: len(message)] = message
            return (Result.CUDA_ERROR_INVALID_PTX,)
        return Result.CUDA_SUCCESS, text

    def cuModuleGetFunction(self, module: str, name: bytes) -> tuple[Result, str]:
        return Result.CUDA_SUCCESS, name.decode()

    def cuFuncGetAttribute(self, which: int, function: str) -> tuple[Result, int]:
        registers = self.registers.get(function, self.registers["default"])
        return Result.CUDA_SUCCESS, {0: min(1024, 65536 // registers), 3: 0, 4: registers}[which]

    def cuFuncSetAttribute(self, function: str, which: int, value: int) -> tuple[Result]:
        self.log.append(("dynamic", function, value))
        return (Result.CUDA_SUCCESS,)

    def cuLaunchKernel(self, function: str, *rest: Any) -> tuple[Result]:
        blocks, _, _, threads, _, _, shared, stream, places, extra = rest
        assert extra == 0
        if threads > 1024:
            return (Result.CUDA_ERROR_INVALID_VALUE,)
        work = self.kernels[function]
        count = getattr(work, "arguments", 8)
        pointers = (ctypes.c_void_p * count).from_address(places)
        values = [ctypes.c_uint64.from_address(pointer).value for pointer in pointers if pointer]
        # Of a tensor map, a kernel reads its 16 numbers, copied when it is launched; they start at 128 bytes.
        for position in getattr(work, "maps", ()):
            assert pointers[position] % 128 == 0
            values[position] = list((ctypes.c_uint64 * 16).from_address(pointers[position]))
        return self._do(lambda: work(blocks, threads, values), "launch", function, blocks, threads, stream, shared)

    @property
    def encode(self) -> Any:
        """cuTensorMapEncodeTiled as a C function, so that arguments pass as they do to the driver's."""
        return ctypes.CFUNCTYPE(ctypes.c_int, *ARGUMENT_TYPES)(self._encode)

    def _encode(self, place: int, kind: int, rank: int, address: int, *rest: Any) -> int:
        """The map's bytes are 16 numbers, the address among them, as a launch gets them."""
        sizes, steps_in_bytes, box, steps, _, swizzle, promotion, _ = rest
        sizes, strides, box, steps = sizes[:rank], steps_in_bytes[: rank - 1], box[:rank], steps[:rank]
        if place % 128 or address % 16 or any(one % 16 for one in strides):
            return int(Result.CUDA_ERROR_INVALID_VALUE)
        self.log.append(("map", kind, rank, address, sizes, strides, box, steps))
        values = [address, kind, rank, swizzle, promotion, *sizes, *box]
        ctypes.memmove(place, (ctypes.c_uint64 * 16)(*values), 128)
        return int(Result.CUDA_SUCCESS)

    # Memory

    def cuMemAlloc(self, size: int) -> tuple[Any, ...]:
        if size > self.free:
            return (Result.CUDA_ERROR_OUT_OF_MEMORY,)
        self.free -= size
        block = ctypes.create_string_buffer(b"\xcd" * size, size)
        address = ctypes.addressof(block)
        self.blocks[address] = block
        self.log.append(("allocate", size))
        return Result.CUDA_SUCCESS, address

    def cuMemFree(self, address: int) -> tuple[Result]:
        self.free += len(self.blocks.pop(address))
        return (Result.CUDA_SUCCESS,)

    def cuMemcpyHtoDAsync(self, target: int, source: int, size: int, stream: int) -> tuple[Result]:
        assert self.recording is None
        return self._do(lambda: ctypes.memmove(target, source, size), "upload", size, stream)

    def cuMemcpyDtoHAsync(self, target: int, source: int, size: int, stream: int) -> tuple[Result]:
        assert self.recording is None
        return self._do(lambda: ctypes.memmove(target, source, size), "download", size, stream)

    def cuMemcpyDtoDAsync(self, target: int, source: int, size: int, stream: int) -> tuple[Result]:
        return self._do(lambda: ctypes.memmove(target, source, size), "copy", size, stream)

    def cuMemsetD8Async(self, target: int, value: int, count: int, stream: int) -> tuple[Result]:
        return self._do(lambda: ctypes.memset(target, value, count), "fill", 1, stream)

    def cuMemsetD32Async(self, target: int, value: int, count: int, stream: int) -> tuple[Result]:
        word = value.to_bytes(4, "little")
        return self._do(lambda: ctypes.memmove(target, word * count, 4 * count), "fill", 4, stream)

    # Streams, events, graphs

    def cuStreamCreate(self, flags: int) -> tuple[Result, int]:
        return Result.CUDA_SUCCESS, self._number()

    def cuStreamSynchronize(self, stream: int) -> tuple[Result]:
        assert self.recording is None
        self.log.append(("synchronize", stream))
        return (self.failed,)

    def cuEventCreate(self, flags: int) -> tuple[Result, int]:
        return Result.CUDA_SUCCESS, self._number()

    def cuEventRecord(self, event: int, stream: int) -> tuple[Result]:
        self.log.append(("record", event, stream))
        return (Result.CUDA_SUCCESS,)

    def cuEventQuery(self, event: int) -> tuple[Result]:
        return (Result.CUDA_SUCCESS,)

    def cuEventDestroy(self, event: int) -> tuple[Result]:
        return (Result.CUDA_SUCCESS,)

    def cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> tuple[Result]:
        self.log.append(("wait", stream, event))
        return (Result.CUDA_SUCCESS,)

    def cuStreamBeginCapture(self, stream: int, mode: int) -> tuple[Result]:
        assert stream > 2 and self.recording is None
        self.recording = []
        return (Result.CUDA_SUCCESS,)

    def cuStreamEndCapture(self, stream: int) -> tuple[Result, Any]:
        recorded, self.recording = self.recording, None
        return Result.CUDA_SUCCESS, recorded

    def cuGraphInstantiate(self, graph: Any, flags: int) -> tuple[Result, Any]:
        self.log.append(("instantiate", len(graph)))
        return Result.CUDA_SUCCESS, list(graph)

    def cuGraphDestroy(self, graph: Any) -> tuple[Result]:
        return (Result.CUDA_SUCCESS,)

    def cuGraphExecDestroy(self, graph: Any) -> tuple[Result]:
        self.log.append(("forget", len(graph)))
        return (Result.CUDA_SUCCESS,)

    def cuGraphLaunch(self, graph: Any, stream: int) -> tuple[Result]:
        return self._do(lambda: [work() for work in graph], "replay", len(graph), stream)
