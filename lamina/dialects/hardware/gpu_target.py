"""What schedules and code generation know about a GPU, and how that stands in the IR (`lamina.target`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.ir import Attribute

from lamina.diagnostics import LaminaError

TARGET = "lamina.target"
KIB = 1024


@dataclass(frozen=True)
class GpuDescription:
    """One GPU target.

    `kind`: the form of the kernel text (ptx, amdgcn, spirv); `architecture`: as LLVM calls it; `warp`: threads that run
    in step; `registers`: of 32 bits, that a thread may use; `shared_memory`: bytes that a block may have without being
    asked for specially; `maximum_threads`: of a block; `fragment`: shapes (m, n, k) of the matrix units, bf16, as text.
    """

    kind: str
    architecture: str
    warp: int
    registers: int
    shared_memory: int
    maximum_threads: int
    fragment: str = ""

    def attribute(self) -> DictionaryAttr:
        """The module attribute `lamina.target`: strings and i64 integers."""
        return DictionaryAttr(
            {
                name: StringAttr(value) if isinstance(value, str) else IntegerAttr(value, i64)
                for name, value in asdict(self).items()
            }
        )

    @property
    def name(self) -> str:
        """The target as it is spelt after `--target`."""
        return self.kind if self.kind == "spirv" else f"{self.kind}:{self.architecture}"


def _ptx(architecture: str, fragment: str) -> GpuDescription:
    return GpuDescription("ptx", architecture, 32, 255, 48 * KIB, 1024, fragment)


def _amdgcn(architecture: str, warp: int, registers: int, fragment: str) -> GpuDescription:
    return GpuDescription("amdgcn", architecture, warp, registers, 64 * KIB, 1024, fragment)


GPU_TARGETS: Mapping[str, GpuDescription] = {
    one.name: one
    for one in (
        _ptx("sm_70", ""),
        _ptx("sm_75", ""),
        _ptx("sm_80", "16x8x16"),
        _ptx("sm_86", "16x8x16"),
        _ptx("sm_89", "16x8x16"),
        _ptx("sm_90", "16x8x16"),
        _ptx("sm_100", "16x8x16"),
        _amdgcn("gfx90a", 64, 512, "32x32x8"),
        _amdgcn("gfx942", 64, 512, "32x32x8"),
        _amdgcn("gfx1100", 32, 256, "16x16x16"),
        GpuDescription("spirv", "spirv64", 1, 256, 32 * KIB, 256),
    )
}
"""Every GPU target by the text that names it."""

DEFAULTS: Mapping[str, str] = {"ptx": "ptx:sm_80", "amdgcn": "amdgcn:gfx90a", "spirv": "spirv"}
"""The target that a kind alone stands for."""


def is_gpu_target(text: str) -> bool:
    """Whether a text after `--target` names a GPU, known or not."""
    return text.partition(":")[0] in DEFAULTS


def parse_gpu_target(text: str) -> GpuDescription:
    """The target that `ptx:sm_90`, `amdgcn:gfx942` or `spirv` names; raises LaminaError with those there are."""
    found = GPU_TARGETS.get(DEFAULTS.get(text, text))
    if found is None:
        raise LaminaError(f"unknown target '{text}'", hints=(f"the GPU targets are {', '.join(GPU_TARGETS)}",))
    return found


def gpu_target_of(module: ModuleOp) -> GpuDescription:
    """The target that a module's `lamina.target` describes; raises LaminaError where that is no GPU."""
    attribute = module.attributes.get(TARGET)
    fields: Mapping[str, Attribute] = attribute.data if isinstance(attribute, DictionaryAttr) else {}
    kind, architecture = (
        value.data if isinstance(value := fields.get(name), StringAttr) else "" for name in ("kind", "architecture")
    )
    if kind not in DEFAULTS:
        raise LaminaError("expected a GPU target", where=TARGET, hints=("compile with --target ptx:sm_90",))
    return parse_gpu_target(kind if kind == "spirv" else f"{kind}:{architecture}")
