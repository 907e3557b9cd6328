"""What schedules and code generation know about a GPU, and how that stands in the IR (`lamina.target`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.ir import Attribute, Operation

from lamina.diagnostics import LaminaError

TARGET = "lamina.target"
KIB = 1024


@dataclass(frozen=True)
class GpuDescription:
    """One GPU target.

    `kind`: the form of the kernel text (ptx, amdgcn, spirv); `architecture`: as LLVM calls it; `warp`: threads that run
    in step; `registers`: of 32 bits, that a thread may use; `shared_memory`: bytes that a block may have;
    `maximum_threads`: of a block; `instruction`: how its matrix units are told to multiply (mma, mfma, wmma, or
    wgmma, which has mma too);
    `fragment`: their shape (m, n, k) with 16-bit factors, as text; `fragment_types`: the factors that they take;
    `copy`: bytes that an asynchronous copy to shared memory takes at most (0: there are none); `processors`: blocks of
    threads that it takes to keep all busy.
    """

    kind: str
    architecture: str
    warp: int
    registers: int
    shared_memory: int
    maximum_threads: int
    fragment: str = ""
    fragment_types: str = ""
    copy: int = 0
    processors: int = 64
    instruction: str = "mma"

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


def _ptx(
    architecture: str, processors: int, kib: int, fragment: str = "16x8x16", types: str = "f16 bf16 tf32 f64"
) -> GpuDescription:
    copy = 16 if "bf16" in types else 0
    return GpuDescription("ptx", architecture, 32, 255, kib * KIB, 1024, fragment, types, copy, processors)


def _cdna(architecture: str, processors: int) -> GpuDescription:
    """AMD's GPUs for computing: waves of 64 lanes, 512 registers, half of which only matrix instructions reach."""
    figures = ("amdgcn", architecture, 64, 512, 64 * KIB, 1024)
    return GpuDescription(*figures, "16x16x16", "f16 bf16 f32 f64", processors=processors, instruction="mfma")


def _rdna(architecture: str, processors: int) -> GpuDescription:
    """AMD's GPUs for graphics: waves of 32 lanes."""
    figures = ("amdgcn", architecture, 32, 256, 64 * KIB, 1024)
    return GpuDescription(*figures, "16x16x16", "f16 bf16", processors=processors, instruction="wmma")


GPU_TARGETS: Mapping[str, GpuDescription] = {
    one.name: one
    for one in (
        _ptx("sm_70", 80, 96, "", ""),
        _ptx("sm_75", 68, 64, "16x8x8", "f16"),
        _ptx("sm_80", 108, 163),
        _ptx("sm_86", 82, 99),
        _ptx("sm_89", 128, 99),
        _ptx("sm_90", 132, 227),
        replace(_ptx("sm_90a", 132, 227), instruction="wgmma"),
        _ptx("sm_100", 148, 227),
        _cdna("gfx90a", 104),
        _cdna("gfx942", 304),
        _rdna("gfx1100", 96),
        GpuDescription("spirv", "spirv64", 32, 256, 32 * KIB, 256, processors=16),
    )
}
"""Every GPU target by the text that names it."""

DEFAULTS: Mapping[str, str] = {"ptx": "ptx:sm_80", "amdgcn": "amdgcn:gfx90a", "spirv": "spirv"}
"""The target that a kind alone stands for."""


def is_gpu_target(text: str) -> bool:
    """Whether a text after `--target` names a GPU, known or not."""
    return text.partition(":")[0] in DEFAULTS


def is_for_gpu(op: Operation) -> bool:
    """Whether the module that an op is in says that it becomes code of a GPU."""
    top = op.get_toplevel_object()
    attribute = top.attributes.get(TARGET) if isinstance(top, ModuleOp) else None
    kind = attribute.data.get("kind") if isinstance(attribute, DictionaryAttr) else None
    return isinstance(kind, StringAttr) and kind.data in DEFAULTS


def reads_any_layout(op: Operation) -> bool:
    """Whether the module that an op is in becomes code of a GPU that multiplies factors however they lie (wgmma)."""
    top = op.get_toplevel_object()
    attribute = top.attributes.get(TARGET) if isinstance(top, ModuleOp) else None
    return isinstance(attribute, DictionaryAttr) and attribute.data.get("instruction") == StringAttr("wgmma")


def parse_gpu_target(text: str) -> GpuDescription:
    """The target that `ptx:sm_90`, `amdgcn:gfx942` or `spirv` names; raises LaminaError with those there are."""
    found = GPU_TARGETS.get(DEFAULTS.get(text, text))
    if found is None:
        raise LaminaError(f"unknown target '{text}'", hints=(f"the GPU targets are {', '.join(GPU_TARGETS)}",))
    return found


def gpu_target_of(module: ModuleOp) -> GpuDescription:
    """The target that a module's `lamina.target` describes: the architecture's figures, but for those that it names.

    Raises LaminaError where that is no GPU, or a figure is of the wrong kind.
    """
    attribute = module.attributes.get(TARGET)
    given: Mapping[str, Attribute] = attribute.data if isinstance(attribute, DictionaryAttr) else {}
    kind, architecture = (
        value.data if isinstance(value := given.get(name), StringAttr) else "" for name in ("kind", "architecture")
    )
    if kind not in DEFAULTS:
        raise LaminaError("expected a GPU target", where=TARGET, hints=("compile with --target ptx:sm_90",))
    known = parse_gpu_target(kind if kind == "spirv" else f"{kind}:{architecture}")
    return replace(
        known, **{one.name: _figure(one.name, given[one.name], known) for one in fields(known) if one.name in given}
    )


def _figure(name: str, value: Attribute, known: GpuDescription) -> Any:
    expected = str if isinstance(getattr(known, name), str) else int
    found: object = value.data if isinstance(value, StringAttr) else None
    if isinstance(value, IntegerAttr):
        found = value.value.data
    if not isinstance(found, expected) or (isinstance(found, int) and found < 0):
        what = "a string" if expected is str else "an integer that is not negative"
        raise LaminaError(f"expected {what} as '{name}', found {value}", where=TARGET)
    return found
