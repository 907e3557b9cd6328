"""What the kernel texts of the three kinds of GPU target look like in LLVM IR, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lamina.dialects.hardware.gpu import MEMORY_SPACES


@dataclass(frozen=True)
class KernelForm:
    """How a kernel of one kind is written.

    `spaces`: the numbers of the memory spaces by name. `thread`, `block`: what gives a position along x as `i32` or
    `i64` (`index_type`), with `declarations` of what they call. `barrier`: instructions. `attributes`: of the kernel,
    with {threads}. `suffix`: of the files of kernel text; `is_binary`: drivers take a binary form of it. `optimize`:
    whether LLVM's pipeline runs before code generation. `quiet_extremes`: LLVM loses NaN in `llvm.maximum` here.
    `has_bfloat`: whether the backend knows the type, `rounds_to_bfloat`: whether it rounds to it well.
    `unroll`: whether that pipeline unrolls loops. `options`:
    what LLVM is told besides. `static_shared_memory`: bytes that a kernel can declare; launches ask for more.
    """

    triple: str
    convention: str
    spaces: Mapping[str, int]
    thread: str
    block: str
    index_type: str
    declarations: Mapping[str, str]
    barrier: tuple[str, ...]
    attributes: str
    suffix: str
    is_binary: bool = False
    optimize: bool = True
    quiet_extremes: bool = False
    has_bfloat: bool = True
    rounds_to_bfloat: bool = False
    unroll: bool = True
    static_shared_memory: int = 1 << 30
    options: tuple[str, ...] = ()


def _spaces(*numbers: int) -> Mapping[str, int]:
    return dict(zip(MEMORY_SPACES, numbers, strict=True))


KERNEL_FORMS: Mapping[str, KernelForm] = {
    "ptx": KernelForm(
        triple="nvptx64-nvidia-cuda",
        convention="ptx_kernel",
        spaces=_spaces(1, 3, 0),
        thread="call i32 @llvm.nvvm.read.ptx.sreg.tid.x()",
        block="call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()",
        index_type="i32",
        declarations={
            "@llvm.nvvm.read.ptx.sreg.tid.x": "declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()",
            "@llvm.nvvm.read.ptx.sreg.ctaid.x": "declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()",
            "@llvm.nvvm.barrier.cta.sync.aligned.all": (
                "declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32) convergent"
            ),
        },
        barrier=("call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)",),
        attributes='nounwind "nvvm.maxntid"="{threads}"',
        suffix=".ptx",
        # Shared memory is addressed by 32 bits: half the registers of addresses.
        options=("--nvptx-short-ptr",),
        static_shared_memory=48 * 1024,
        rounds_to_bfloat=True,
    ),
    "amdgcn": KernelForm(
        triple="amdgcn-amd-amdhsa",
        convention="amdgpu_kernel",
        spaces=_spaces(1, 3, 5),
        thread="call i32 @llvm.amdgcn.workitem.id.x()",
        block="call i32 @llvm.amdgcn.workgroup.id.x()",
        index_type="i32",
        declarations={
            "@llvm.amdgcn.workitem.id.x": "declare i32 @llvm.amdgcn.workitem.id.x()",
            "@llvm.amdgcn.workgroup.id.x": "declare i32 @llvm.amdgcn.workgroup.id.x()",
            "@llvm.amdgcn.s.barrier": "declare void @llvm.amdgcn.s.barrier() convergent",
        },
        barrier=(
            'fence syncscope("workgroup") release',
            "call void @llvm.amdgcn.s.barrier()",
            'fence syncscope("workgroup") acquire',
        ),
        attributes='nounwind "amdgpu-flat-work-group-size"="{threads},{threads}"',
        suffix=".s",
        # Unrolled loops over shared memory load so far ahead that gfx1100 spills.
        unroll=False,
    ),
    "spirv": KernelForm(
        triple="spirv64-unknown-unknown",
        convention="spir_kernel",
        spaces=_spaces(1, 3, 0),
        thread="call spir_func i64 @_Z12get_local_idj(i32 0)",
        block="call spir_func i64 @_Z12get_group_idj(i32 0)",
        index_type="i64",
        declarations={
            "@_Z12get_local_idj": "declare spir_func i64 @_Z12get_local_idj(i32)",
            "@_Z12get_group_idj": "declare spir_func i64 @_Z12get_group_idj(i32)",
            "@_Z7barrierj": "declare spir_func void @_Z7barrierj(i32) convergent",
        },
        barrier=("call spir_func void @_Z7barrierj(i32 3) convergent",),
        attributes="nounwind",
        suffix=".spvasm",
        is_binary=True,
        optimize=False,
        quiet_extremes=True,
        has_bfloat=False,
    ),
}
"""By the kind of a `GpuDescription`."""
