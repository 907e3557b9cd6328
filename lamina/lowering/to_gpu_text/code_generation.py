"""LLVM IR text of kernels to PTX, AMDGCN assembly or SPIR-V, in a child process: LLVM aborts on what it cannot select.

python -m lamina.lowering.to_gpu_text.code_generation  < job as JSON  > one JSON line per kernel
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.lowering.to_gpu_text import KERNEL_FORMS, KernelText, module_text

INTRINSIC = re.compile(r"llvm\.[\w.]+\w")
FEATURES: Mapping[str, str] = {"sm_75": "+ptx65", "sm_90a": "+ptx83"}
"""What an architecture has in versions of its assembly that LLVM does not choose by itself: 8.3 brings
`fence.proxy.tensormap`."""


@dataclass(frozen=True)
class KernelCode:
    """A kernel's code as text."""

    kernel: KernelText
    text: str


def generate(kernels: Sequence[KernelText], target: GpuDescription) -> tuple[list[KernelCode], bytes]:
    """The code of every kernel, and where drivers take a binary form one module with all of them.

    Raises LaminaError naming the kernel that LLVM refuses, with what it says.
    """
    if not kernels:
        return [], b""
    form = KERNEL_FORMS[target.kind]
    job = {
        "triple": form.triple,
        "architecture": "" if target.kind == "spirv" else target.architecture,
        "features": FEATURES.get(target.architecture, ""),
        "options": form.options,
        "optimize": form.optimize,
        "unroll": form.unroll,
        # Loop strength reduction makes pointers of SPIR-V that readers take wrong.
        "level": 2 if form.optimize else 0,
        "texts": [kernel.text for kernel in kernels],
        "whole": module_text(kernels) if form.is_binary else "",
    }
    command = [sys.executable, "-m", "lamina.lowering.to_gpu_text.code_generation"]
    child = subprocess.run(command, input=json.dumps(job).encode(), capture_output=True, check=False)
    results = [cast("Mapping[str, str]", json.loads(line)) for line in child.stdout.splitlines() if line]
    codes: list[KernelCode] = []
    for kernel, result in zip(kernels, results, strict=False):
        if "error" in result:
            raise _refused(kernel, target, result["error"])
        codes.append(KernelCode(kernel, result["text"]))
    if len(codes) < len(kernels):
        raise _refused(kernels[len(codes)], target, _last_words(child.stderr.decode(errors="replace")))
    if not form.is_binary:
        return codes, b""
    if len(results) == len(codes):
        raise LaminaError(f"LLVM has no {target.name} module of these kernels: {_last_words(child.stderr.decode())}")
    return codes, base64.b64decode(results[-1]["binary"])


def _refused(kernel: KernelText, target: GpuDescription, reason: str) -> LaminaError:
    """The error for a kernel, at the op whose intrinsic LLVM names, else at the kernel's source."""
    named = next((name for name in INTRINSIC.findall(reason) if name in kernel.origins), "")
    where = kernel.origins.get(named, kernel.where)
    return LaminaError(f"kernel '{kernel.name}': LLVM has no code for {target.name}: {reason}", where=where)


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "LLVM ERROR" in line or "error" in line.lower()]
    return (told or lines or ["it crashed"])[0].strip()


def work() -> None:
    """The child's life: a job from standard input, a line of JSON per kernel to standard output."""
    import llvmlite.binding as _binding  # pyright: ignore[reportMissingTypeStubs]

    binding: Any = _binding
    job = json.load(sys.stdin)
    for option in job["options"]:
        binding.set_option("lamina", option)
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    for text in job["texts"]:
        print(json.dumps(_compile(binding, text, job)), flush=True)
    if job["whole"]:
        whole = _emit(binding, job["whole"], job, lambda machine, module: bytes(machine.emit_object(module)))
        print(json.dumps({"binary": base64.b64encode(whole).decode()}), flush=True)


def _compile(binding: Any, text: str, job: Mapping[str, Any]) -> Mapping[str, str]:
    try:
        return {"text": _emit(binding, text, job, lambda machine, module: str(machine.emit_assembly(module)))}
    except RuntimeError as error:
        return {"error": str(error).strip()}


def _emit(binding: Any, text: str, job: Mapping[str, Any], emit: Callable[[Any, Any], Any]) -> Any:
    """Code of one form, from a target machine of its own: the SPIR-V backend keeps types of other modules."""
    machine = binding.Target.from_triple(job["triple"]).create_target_machine(
        cpu=job["architecture"], features=job["features"], opt=job["level"]
    )
    module = binding.parse_assembly(text)
    module.data_layout = str(machine.target_data)
    module.verify()
    if job["optimize"]:
        options = binding.create_pipeline_tuning_options(speed_level=2)
        options.loop_unrolling = job["unroll"]
        builder = binding.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
    return emit(machine, module)


if __name__ == "__main__":
    work()
