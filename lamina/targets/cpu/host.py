"""What the code generator and the schedules know about a CPU, and how that stands in the IR (`lamina.target`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lamina import knobs
from lamina.diagnostics import LaminaError
from lamina.targets.cpu import llvm

if TYPE_CHECKING:
    from xdsl.dialects.builtin import DictionaryAttr
    from xdsl.ir import Attribute

# xDSL is imported where it is used: a model from the cache starts without it.

CGROUP_ROOT = Path("/sys/fs/cgroup")
SYSTEM_CPUS = Path("/sys/devices/system/cpu")
CACHE_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}

VECTOR_BITS_BY_FEATURE = (("avx512f", 512), ("avx", 256))
MINIMUM_VECTOR_BITS = 128


@dataclass(frozen=True)
class CpuDescription:
    """One CPU target. Cache sizes in bytes: `l1` and `l2` of one core, `l3` of the chip."""

    triple: str
    cpu: str
    features: str
    vector_bits: int
    l1: int
    l2: int
    l3: int
    threads: int

    def attribute(self) -> DictionaryAttr:
        """The module attribute `lamina.target`: strings and i64 integers."""
        from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, StringAttr, i64

        return DictionaryAttr(
            {
                name: StringAttr(value) if isinstance(value, str) else IntegerAttr(value, i64)
                for name, value in asdict(self).items()
            }
        )

    @staticmethod
    def from_attribute(attribute: Attribute) -> CpuDescription:
        """The description that an attribute holds; what it leaves out is as on this machine.

        Raises LaminaError for anything but a dictionary of the fields with their types.
        """
        from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, StringAttr

        if not isinstance(attribute, DictionaryAttr):
            raise LaminaError("expected lamina.target to be a dictionary", where="lamina.target")
        fields: dict[str, str | int] = {}
        for name, value in attribute.data.items():
            if isinstance(value, StringAttr):
                fields[name] = value.data
            elif isinstance(value, IntegerAttr):
                fields[name] = value.value.data
            else:
                raise LaminaError(f"expected '{name}' to be a string or an integer", where="lamina.target")
        return host_description().with_fields(fields)

    def with_fields(self, fields: Mapping[str, str | int]) -> CpuDescription:
        """This description with some fields replaced; another `cpu` without `features` has that CPU's own features.

        Raises LaminaError for a field that does not exist or has the wrong type.
        """
        known = asdict(self)
        changed: dict[str, str | int] = {}
        if "cpu" in fields and fields["cpu"] != self.cpu:
            changed["features"] = ""
        for name, value in fields.items():
            if name not in known:
                raise LaminaError(f"unknown field '{name}'; the fields are {', '.join(known)}", where="lamina.target")
            if type(value) is not type(known[name]):
                expected = "a string" if isinstance(known[name], str) else "an integer"
                raise LaminaError(f"expected '{name}' to be {expected}, found {value!r}", where="lamina.target")
            changed[name] = value
        return replace(self, **changed)  # pyright: ignore[reportArgumentType]

    def llvm_options(self) -> llvm.TargetOptions:
        """What LLVM's target machine is made from."""
        features = [self.features] if self.features else []
        if self.triple.startswith("x86_64") and self.vector_bits >= 512:
            # Server CPUs before AVX-512 became cheap are tuned to 256 bits; our schedules count on the full width.
            features.append("-prefer-256-bit")
        return llvm.TargetOptions(self.triple, self.cpu, ",".join(features))


@cache
def host_description() -> CpuDescription:
    """This machine, as far as this process may use it."""
    features = llvm.host_features()
    bits = next((bits for name, bits in VECTOR_BITS_BY_FEATURE if features.get(name)), MINIMUM_VECTOR_BITS)
    sizes = cache_sizes()
    return CpuDescription(
        triple=llvm.host_triple(),
        cpu=llvm.host_cpu(),
        features=",".join(f"{'+' if present else '-'}{name}" for name, present in sorted(features.items())),
        vector_bits=bits,
        l1=sizes.get(1, 32 * 2**10),
        l2=sizes.get(2, 2**20),
        l3=sizes.get(3, 8 * 2**20),
        threads=default_threads(),
    )


def target_attribute() -> DictionaryAttr:
    """`lamina.target` for this machine."""
    return host_description().attribute()


def default_threads() -> int:
    """Threads for one call: LAMINA_THREADS, or the cores that affinity and the cgroup's quota leave to this process."""
    return knobs.THREADS.value() or available_cores()


@cache
def available_cores() -> int:
    """Physical cores that this process may run on, bounded by its cgroup's CPU quota; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        usable = os.sched_getaffinity(0)
        cores = len({_core_of(index) for index in usable})
    else:
        cores = os.cpu_count() or 1
    quota = cgroup_cpu_quota()
    return max(1, cores if quota is None else min(cores, int(quota + 0.5)))


def _core_of(index: int) -> str:
    """One name for all hardware threads of a core."""
    for name in ("core_cpus_list", "thread_siblings_list"):
        text = _read(SYSTEM_CPUS / f"cpu{index}" / "topology" / name)
        if text:
            return text
    return str(index)


def cgroup_cpu_quota(root: Path = CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """CPUs' worth of time that the cgroup of this process and those above it allow, or None when unbounded."""
    groups = {""}
    for line in _read(membership).splitlines():
        group = line.split(":", 2)[-1].strip("/")
        parts = group.split("/") if group else []
        groups.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    quotas: list[float] = []
    for group in groups:
        unified = _read(root / group / "cpu.max").split()
        legacy = [_read(root / "cpu" / group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        for quota, period in (unified[:2], legacy) if len(unified) == 2 else (legacy,):
            if quota.isdecimal() and period.isdecimal() and int(period):
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def cache_sizes() -> dict[int, int]:
    """Bytes of the data caches by level, of the first CPU; levels that the system does not tell are left out."""
    if sys.platform == "darwin":
        return {}
    sizes: dict[int, int] = {}
    for index in sorted((SYSTEM_CPUS / "cpu0" / "cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if kind != "Instruction" and level.isdecimal() and size[:-1].isdecimal():
            sizes[int(level)] = int(size[:-1]) * CACHE_UNITS.get(size[-1], 1)
    return sizes


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def missing_features(target: Mapping[str, str | int]) -> tuple[str, ...]:
    """What code compiled for `target` (the fields of a description) may use and this machine lacks."""
    triple = str(target.get("triple", ""))
    if triple.partition("-")[0] != llvm.host_triple().partition("-")[0]:
        return (f"its architecture ({triple.partition('-')[0]})",)
    present = llvm.host_features()
    wanted = [name[1:] for name in str(target.get("features", "")).split(",") if name.startswith("+")]
    return tuple(name for name in wanted if not present.get(name, False))
