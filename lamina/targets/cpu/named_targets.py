"""CPU targets by name, for compiling on one machine what runs on others: `x86-64-v3`, `aarch64` …

Levels of x86-64 as in the System V psABI (x86-64-v3: AVX2 and FMA; x86-64-v4: AVX-512 F, BW, CD, DQ, VL). Caches are
of common machines of the kind: schedules need some size, and a wrong one costs speed, never correctness.
"""

from __future__ import annotations

from collections.abc import Mapping

from lamina.diagnostics import LaminaError

KIB, MIB = 2**10, 2**20
PREFIX = "cpu:"
X86_TRIPLE, ARM_TRIPLE = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
V2 = "+cx16,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2"
V3 = f"{V2},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"
V4 = f"{V3},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"

Fields = Mapping[str, str | int]


def _fields(triple: str, cpu: str, features: str, vector_bits: int, l2: int, l3: int) -> Fields:
    return {
        "triple": triple,
        "cpu": cpu,
        "features": features,
        "vector_bits": vector_bits,
        "l1": 32 * KIB,
        "l2": l2,
        "l3": l3,
    }


CPU_TARGETS: Mapping[str, Fields] = {
    "x86-64": _fields(X86_TRIPLE, "x86-64", "", 128, 256 * KIB, 4 * MIB),
    "x86-64-v3": _fields(X86_TRIPLE, "x86-64-v3", V3, 256, 256 * KIB, 8 * MIB),
    "x86-64-v4": _fields(X86_TRIPLE, "x86-64-v4", V4, 512, MIB, 8 * MIB),
    "aarch64": _fields(ARM_TRIPLE, "generic", "+neon", 128, 512 * KIB, 4 * MIB),
    "neoverse-n1": _fields(ARM_TRIPLE, "neoverse-n1", "+neon,+fullfp16", 128, MIB, 32 * MIB),
    "neoverse-v2": _fields(ARM_TRIPLE, "neoverse-v2", "+neon,+fullfp16", 128, 2 * MIB, 32 * MIB),
}
"""Name → the fields of `lamina.target` that differ from this machine's (`threads` stays)."""


def cpu_target(name: str) -> Fields:
    """The fields of `x86-64-v3` or `cpu:x86-64-v3`; raises LaminaError for a name that is not in the table."""
    fields = CPU_TARGETS.get(name.removeprefix(PREFIX))
    if fields is None:
        raise LaminaError(
            f"unknown CPU target '{name}'",
            hints=(f"the names are {', '.join(PREFIX + known for known in CPU_TARGETS)}",),
        )
    return fields
