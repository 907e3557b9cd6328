"""The target as the printer sees it: the width of its vectors, the triple, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, StringAttr

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text.types import LANE_BITS

DEFAULT_VECTOR_BITS = 256

# fmt: off
BEFORE_FUSED = frozenset((
    "amdfam10", "athlon-fx", "athlon64", "athlon64-sse3", "atom", "barcelona", "bonnell", "btver1", "btver2",
    "core-avx-i", "core2", "corei7", "corei7-avx", "generic", "goldmont", "goldmont-plus", "ivybridge", "k8", "k8-sse3",
    "nehalem", "nocona", "opteron", "opteron-sse3", "penryn", "sandybridge", "silvermont", "slm",
    "tremont", "westmere", "x86-64", "x86-64-v2",
))
# fmt: on
"""x86-64 CPUs, by LLVM's names, that have no fused multiply-add unless the features name it: a closed set. All other
architectures' have one."""

X86 = "x86_64"


@dataclass(frozen=True)
class LlvmTarget:
    """What the text depends on. The CPU's name and features belong to the target machine that compiles the text."""

    vector_bits: int = DEFAULT_VECTOR_BITS
    triple: str | None = None
    fuses: bool = True
    """Whether it has fused multiply-adds; where it has none, LLVM calls C's `fmaf` for every element."""

    @property
    def lanes(self) -> int:
        """Lanes of one vector part."""
        return self.vector_bits // LANE_BITS

    @staticmethod
    def of(module: ModuleOp) -> LlvmTarget:
        """The target that the module's `lamina.target` attribute describes; the defaults for what it leaves out."""
        attribute = module.attributes.get("lamina.target")
        fields = attribute if isinstance(attribute, DictionaryAttr) else DictionaryAttr({})
        bits, triple = fields.data.get("vector_bits"), fields.data.get("triple")
        vector_bits = bits.value.data if isinstance(bits, IntegerAttr) else DEFAULT_VECTOR_BITS
        if vector_bits < LANE_BITS or vector_bits & (vector_bits - 1):
            raise LaminaError(
                f"expected vector_bits to be a power of two of at least {LANE_BITS}, found {vector_bits}",
                where="lamina.target",
            )
        return LlvmTarget(vector_bits, triple.data if isinstance(triple, StringAttr) else None, _fuses(fields))


def _fuses(fields: DictionaryAttr) -> bool:
    triple, cpu, features = (
        value.data if isinstance(value := fields.data.get(name), StringAttr) else ""
        for name in ("triple", "cpu", "features")
    )
    if triple and not triple.startswith(X86):
        return True
    named = features.split(",")
    return "+fma" in named or not (cpu in BEFORE_FUSED or "-fma" in named)
