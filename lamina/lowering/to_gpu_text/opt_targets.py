"""`lamina-opt -t ptx|amdgcn|spirv`: the kernels of a module as kernel text, to look at and to test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.target import Target

from lamina.dialects.hardware.gpu_target import DEFAULTS, TARGET, GpuDescription, gpu_target_of, parse_gpu_target


@dataclass(frozen=True)
class PtxTarget(Target):
    """PTX. `arch`: another architecture than `lamina.target` has, or sm_80 where the module names no target."""

    name = "ptx"
    arch: str = ""

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        _emit(self.name, self.arch, module, output)


@dataclass(frozen=True)
class AmdgcnTarget(Target):
    """AMDGCN assembly. `arch`: as for PTX; gfx90a by default."""

    name = "amdgcn"
    arch: str = ""

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        _emit(self.name, self.arch, module, output)


@dataclass(frozen=True)
class SpirvTarget(Target):
    """SPIR-V for OpenCL, disassembled."""

    name = "spirv"

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        _emit(self.name, "", module, output)


OPT_TARGETS: Mapping[str, type[Target]] = {one.name: one for one in (PtxTarget, AmdgcnTarget, SpirvTarget)}
"""The targets by name."""


def _emit(kind: str, architecture: str, module: ModuleOp, output: IO[str]) -> None:
    from lamina.lowering.to_gpu_text import print_kernels
    from lamina.lowering.to_gpu_text.code_generation import generate

    target = _target(kind, architecture, module)
    module.attributes[TARGET] = target.attribute()
    codes, _ = generate(print_kernels(module), target)
    for code in codes:
        print(code.text, file=output)


def _target(kind: str, architecture: str, module: ModuleOp) -> GpuDescription:
    if architecture:
        return parse_gpu_target(f"{kind}:{architecture}")
    if TARGET in module.attributes:
        own = gpu_target_of(module)
        if own.kind == kind:
            return own
    return parse_gpu_target(DEFAULTS[kind])
