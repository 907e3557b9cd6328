"""Tensor maps as the CUDA driver encodes them, and the parameters of a launch that has some."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

from lamina.diagnostics import LaminaError
from lamina.targets.gpu.driver import Argument, TensorMap
from lamina.targets.gpu.steps import dtype_named

LIBRARY, ENCODE = "libcuda.so.1", "cuTensorMapEncodeTiled"
MAP_BYTES, MAP_ALIGNMENT = 128, 128
"""Of a CUtensorMap, which cuda.h aligns at 64 bytes, from CUDA 13 on at 128."""
STEP_BYTES, MOST_STEP, MOST_SIZE = 16, 1 << 40, 1 << 32
"""What steps between lines are multiples of, and the limits of steps in bytes and of sizes in elements."""

DTYPES: Mapping[str, str] = {
    "float16": "FLOAT16",
    "bfloat16": "BFLOAT16",
    "float32": "FLOAT32",
    "tf32": "TFLOAT32",
    "float64": "FLOAT64",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
}
"""By the name of a dtype, the end of CU_TENSOR_MAP_DATA_TYPE_*; tf32: of f32 in memory, rounded by the copy."""
ELEMENT_BYTES: Mapping[str, int] = {"tf32": 4}
"""Of the names that are no dtypes in memory."""
SWIZZLES: Mapping[int, str] = {0: "NONE", 32: "32B", 64: "64B", 128: "128B"}
PROMOTIONS: Mapping[int, str] = {0: "NONE", 64: "L2_64B", 128: "L2_128B", 256: "L2_256B"}


Encode: TypeAlias = "Callable[..., int]"
"""cuTensorMapEncodeTiled with the arguments of `ARGUMENT_TYPES`; gives the driver's result code."""

ARGUMENT_TYPES: Sequence[Any] = (
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.POINTER(ctypes.c_uint32),
    ctypes.POINTER(ctypes.c_uint32),
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
)
"""Map, data type, rank, address, sizes, steps in bytes, box, steps in elements, interleave, swizzle, promotion, fill
(CUDA driver API, "Tensor Map Object Management")."""


def driver_encode() -> Encode:
    """The driver's own function; raises LaminaError where there is no driver, or one without tensor maps.

    NVIDIA's Python bindings keep the map inside a Python object, which lies at multiples of 16 bytes: the driver's
    aligned stores to it fail.
    """
    try:
        encode = ctypes.CDLL(LIBRARY)[ENCODE]
    except (OSError, AttributeError) as error:
        raise LaminaError(f"CUDA: there is no {ENCODE}: {error}") from None
    encode.argtypes, encode.restype = list(ARGUMENT_TYPES), ctypes.c_int
    return encode


class Parameters:
    """The parameters of a launch in memory: 8 bytes for an address or a size, 128 for a tensor map.

    `pointers`: the address of an array of the addresses of all. `encode` writes a tensor map's bytes to an address, a
    multiple of `MAP_ALIGNMENT`.
    """

    def __init__(self, arguments: Sequence[Argument], encode: Callable[[TensorMap, int], None]):
        count = max(1, len(arguments))
        self._values = (ctypes.c_uint64 * count)()
        self._maps: list[Any] = []
        places = [ctypes.addressof(self._values) + 8 * number for number in range(count)]
        for number, (_, value) in enumerate(arguments):
            if isinstance(value, TensorMap):
                block = ctypes.create_string_buffer(MAP_BYTES + MAP_ALIGNMENT)
                start = -(-ctypes.addressof(block) // MAP_ALIGNMENT) * MAP_ALIGNMENT
                encode(value, start)
                self._maps.append(block)
                places[number] = start
            else:
                self._values[number] = value & (1 << 64) - 1
        self._places = (ctypes.c_void_p * count)(*places)

    @property
    def pointers(self) -> int:
        """What cuLaunchKernel takes as kernelParams."""
        return ctypes.addressof(self._places)


def encode_arguments(cuda: Any, map_: TensorMap) -> tuple[Any, ...]:
    """What cuTensorMapEncodeTiled takes behind the map, the fastest axis first; `cuda`: the bindings, for their enums.

    Raises LaminaError for what no tensor map can be.
    """
    size = ELEMENT_BYTES.get(map_.dtype) or dtype_named(map_.dtype).itemsize
    sizes, box = map_.sizes[::-1], map_.box[::-1]
    strides = [size * prod(sizes[:axis]) for axis in range(1, len(sizes))]
    if map_.address % STEP_BYTES or any(stride % STEP_BYTES or stride >= MOST_STEP for stride in strides):
        raise LaminaError(
            f"a tensor map of sizes {list(map_.sizes)} needs lines and a start at multiples of {STEP_BYTES} bytes"
        )
    if any(not 0 < one <= MOST_SIZE for one in sizes):
        raise LaminaError(f"a tensor map cannot have sizes {list(map_.sizes)}")
    rank = len(sizes)
    wide, narrow = ctypes.c_uint64 * rank, ctypes.c_uint32 * rank
    kinds = (
        cuda.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
        getattr(cuda.CUtensorMapSwizzle, f"CU_TENSOR_MAP_SWIZZLE_{SWIZZLES[map_.swizzle]}"),
        getattr(cuda.CUtensorMapL2promotion, f"CU_TENSOR_MAP_L2_PROMOTION_{PROMOTIONS[map_.promotion]}"),
        cuda.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
    )
    return (
        int(getattr(cuda.CUtensorMapDataType, f"CU_TENSOR_MAP_DATA_TYPE_{DTYPES[map_.dtype]}")),
        rank,
        map_.address,
        wide(*sizes),
        wide(*strides),
        narrow(*box),
        narrow(*[1] * rank),
        *(int(kind) for kind in kinds),
    )
