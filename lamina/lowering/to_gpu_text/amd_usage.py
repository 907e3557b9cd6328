"""What LLVM says in AMDGCN assembly of the registers and the memory that a kernel takes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_target import GpuDescription

FIGURES: Mapping[str, str] = {
    "registers": "vgpr_count",
    "scalar_registers": "sgpr_count",
    "spilled_registers": "vgpr_spill_count",
    "spilled_scalar_registers": "sgpr_spill_count",
    "scratch": "private_segment_fixed_size",
    "shared_memory": "group_segment_fixed_size",
}
"""What the manifest calls a figure, and its key in `amdhsa.kernels` of the metadata. `scratch`: bytes of each thread in
global memory, for what registers cannot hold; `registers`: of a lane, 32 bits each, those that only matrix instructions
reach included."""

SIMDS = 4
"""Parts of a processor that have registers of their own; the waves of a block are spread over them."""
REGISTER_FILES: Mapping[int, int] = {64: 512, 32: 1536}
"""By lanes of a wave, the registers of a part that its waves share."""


def amd_usage(text: str) -> dict[str, int]:
    """The figures of a kernel's assembly; without those that it does not have."""
    found = {name: re.search(rf"^ +\.{key}: +(\d+)$", text, re.MULTILINE) for name, key in FIGURES.items()}
    return {name: int(match[1]) for name, match in found.items() if match is not None}


def check_amd_usage(
    usage: Mapping[str, int], kernel: str, threads: int, target: GpuDescription, where: str | None
) -> None:
    """Raise LaminaError, with the kernel's name and the limit, for more than a block of `threads` can have."""
    waves = -(-threads // target.warp)
    at_a_time = -(-waves // SIMDS)
    limits = (
        ("bytes of shared memory", usage.get("shared_memory", 0), target.shared_memory),
        ("registers of a thread", usage.get("registers", 0), target.registers),
        (
            f"registers of each part of a processor for {threads} threads",
            at_a_time * usage.get("registers", 0),
            REGISTER_FILES[target.warp],
        ),
    )
    for what, amount, limit in limits:
        if amount > limit:
            raise LaminaError(f"kernel '{kernel}' needs {amount} {what}, {target.name} has {limit}", where=where)
