"""A driver that runs PTX in `ptx_machine`: compiled folders for NVIDIA's GPUs are executed as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

from lamina.targets.gpu.driver import Argument, Array, KernelImage
from lamina.targets.gpu.driver import TensorMap as Described
from lamina.targets.gpu.tensor_maps import encode_arguments
from support.ptx_machine import Block
from support.ptx_matrix import TensorMap
from support.ptx_state import Memory
from support.ptx_text import Kernel, parse

ENUMS = SimpleNamespace(
    CUtensorMapDataType=IntEnum(
        "CUtensorMapDataType",
        {
            f"CU_TENSOR_MAP_DATA_TYPE_{name}": value
            for value, name in enumerate(
                [
                    "UINT8",
                    "UINT16",
                    "UINT32",
                    "INT32",
                    "UINT64",
                    "INT64",
                    "FLOAT16",
                    "FLOAT32",
                    "FLOAT64",
                    "BFLOAT16",
                    "FLOAT32_FTZ",
                    "TFLOAT32",
                ]
            )
        },
    ),
    CUtensorMapInterleave=IntEnum("CUtensorMapInterleave", {"CU_TENSOR_MAP_INTERLEAVE_NONE": 0}),
    CUtensorMapSwizzle=IntEnum(
        "CUtensorMapSwizzle",
        {f"CU_TENSOR_MAP_SWIZZLE_{name}": value for value, name in enumerate(("NONE", "32B", "64B", "128B"))},
    ),
    CUtensorMapL2promotion=IntEnum(
        "CUtensorMapL2promotion",
        {
            f"CU_TENSOR_MAP_L2_PROMOTION_{name}": value
            for value, name in enumerate(("NONE", "L2_64B", "L2_128B", "L2_256B"))
        },
    ),
    CUtensorMapFloatOOBfill=IntEnum("CUtensorMapFloatOOBfill", {"CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE": 0}),
)
"""The numbers of cuda.h."""


class PtxDriver:
    """Runs kernels block by block; `seed`: of the order in which warps, copies and products go on."""

    kind = "ptx"
    device = (-1, 0)
    can_capture = False
    stream = 0

    def __init__(self, seed: int = 0, size: int = 1 << 24):
        self.memory = Memory(size)
        self.seed = seed
        self.launched: list[str] = []

    def refusal(self, target: Mapping[str, Any]) -> str | None:
        return None if target["kind"] == self.kind else f"is compiled for {target['kind']}"

    def load(self, image: KernelImage) -> tuple[Kernel, int]:
        kernel = parse(image.code.decode())
        assert kernel.name == image.name and kernel.threads == image.threads
        return kernel, image.dynamic_shared_memory

    def launch(
        self, kernel: tuple[Kernel, int], blocks: int, threads: int, arguments: Sequence[Argument], stream: int
    ) -> None:
        own, dynamic = kernel
        assert threads == own.threads and len(arguments) == len(own.parameters)
        self.launched.append(own.name)
        given = {
            one.name: _encoded(value) if isinstance(value, Described) else value & (1 << 64) - 1
            for one, (_, value) in zip(own.parameters, arguments, strict=True)
        }
        for number in range(blocks):
            Block(own, self.memory, given, number, dynamic, hash((self.seed, len(self.launched), number))).run()

    def allocate(self, size: int) -> int:
        return self.memory.allocate(size)

    def release(self, address: int) -> None:
        pass

    def upload(self, address: int, array: Array, stream: int) -> None:
        self._bytes(address, array.nbytes)[:] = np.frombuffer(array.tobytes(), np.uint8)

    def download(self, array: Array, address: int, stream: int) -> None:
        array.reshape(-1).view(np.uint8)[:] = self._bytes(address, array.nbytes)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self._bytes(target, size)[:] = self._bytes(source, size)

    def fill(self, address: int, value: bytes, stream: int) -> None:
        self._bytes(address, len(value))[:] = np.frombuffer(value, np.uint8)

    def _bytes(self, address: int, size: int) -> Array:
        return self.memory.bytes[address - Memory.START :][:size]

    def synchronize(self, stream: int) -> None:
        pass

    def follow(self, stream: int, other: int) -> None:
        pass

    def mark(self, stream: int) -> Any:
        return None

    def is_past(self, mark: Any) -> bool:
        return True

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        raise NotImplementedError

    def replay(self, recorded: Any, stream: int) -> None:
        raise NotImplementedError

    def forget(self, recorded: Any) -> None:
        raise NotImplementedError


def _encoded(map_: Described) -> TensorMap:
    """What the driver would be given, as the CUDA driver API says what it means."""
    type_, rank, address, sizes, strides, box, steps, *kinds = encode_arguments(ENUMS, map_)
    given = list(sizes), list(strides)[: rank - 1], list(box), list(steps)
    return TensorMap.encode(type_, rank, address, *given, *kinds)
