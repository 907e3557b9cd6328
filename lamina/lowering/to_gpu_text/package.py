"""A model compiled for a GPU: a folder of kernel files, a manifest, the constants and the host program as IR text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, DenseResourceAttr, ModuleOp
from xdsl.ir import Attribute

from lamina import safetensors
from lamina.artefact import TensorInfo
from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.types import dtype_of
from lamina.dialects.hardware.gpu_sizes import CONSTANTS, FORMAT_VERSION, MANIFEST
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.files import writing
from lamina.lowering.to_gpu_text import KERNEL_FORMS, print_kernels
from lamina.lowering.to_gpu_text.amd_usage import amd_usage, check_amd_usage
from lamina.lowering.to_gpu_text.code_generation import KernelCode, generate
from lamina.lowering.to_gpu_text.host_program import HostProgram, host_program
from lamina.lowering.to_llvm_text.memory import constant_bytes
from lamina.resources import ResourceStore

HOST = "host.mlir"
MODULE = "kernels.spv"
"""All kernels, where drivers take a binary form: OpenCL runtimes take one program better than many."""


def write_package(
    folder: Path,
    module: ModuleOp,
    context: LaminaContext,
    target: GpuDescription,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    host_text: str,
) -> Mapping[str, Any]:
    """Write everything that a launcher needs into a folder, and return the manifest; raises LaminaError."""
    separate = [one.name for one in outputs if one.alias is None]
    program = host_program(module, [one.name for one in inputs], separate)
    codes, binary = generate(print_kernels(module), target)
    manifest = _manifest(program, codes, target, inputs, outputs)
    suffix = KERNEL_FORMS[target.kind].suffix
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for code in codes:
            _write(folder / f"{code.kernel.name}{suffix}", _commented(code, target).encode())
        if binary:
            _write(folder / MODULE, binary)
        constants = {key: _array(value, context.resources) for key, value in program.constants.items()}
        safetensors.write(folder / CONSTANTS, constants)
        _write(folder / HOST, host_text.encode())
        _write(folder / MANIFEST, json.dumps(manifest, indent=1).encode())
    except OSError as error:
        raise LaminaError(f"cannot be written: {error.strerror}", where=os.fspath(folder)) from None
    return manifest


def _write(path: Path, data: bytes) -> None:
    with writing(path) as file:
        file.write(data)


def _commented(code: KernelCode, target: GpuDescription) -> str:
    comment = {"ptx": "//", "amdgcn": "//", "spirv": ";"}[target.kind]
    return f"{comment} kernel {code.kernel.name}, from {code.kernel.where or 'an unknown place'}\n{code.text}"


def _manifest(
    program: HostProgram,
    codes: Sequence[KernelCode],
    target: GpuDescription,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
) -> dict[str, Any]:
    suffix = KERNEL_FORMS[target.kind].suffix
    shapes = iter(program.output_shapes)
    return {
        "format": FORMAT_VERSION,
        "target": asdict(target),
        "inputs": [{"name": one.name, "dtype": one.dtype.name, "shape": _dims(one, n)} for n, one in enumerate(inputs)],
        "outputs": [
            {"name": one.name, "dtype": one.dtype.name, "input": inputs[one.alias].name}
            if one.alias is not None
            else {"name": one.name, "dtype": one.dtype.name, "shape": list(next(shapes))}
            for one in outputs
        ],
        "constants": list(program.constants),
        "workspace": program.arena,
        "kernels": [
            {
                "name": code.kernel.name,
                "file": MODULE if KERNEL_FORMS[target.kind].is_binary else f"{code.kernel.name}{suffix}",
                "text": f"{code.kernel.name}{suffix}",
                "threads": code.kernel.threads,
                "shared_memory": code.kernel.shared_memory,
                **({"dynamic_shared_memory": more} if (more := code.kernel.dynamic_shared_memory) else {}),
                **_usage(code, target),
                "source": code.kernel.where,
            }
            for code in codes
        ],
        "planning": list(program.planning),
        "steps": list(program.steps),
    }


def _usage(code: KernelCode, target: GpuDescription) -> Mapping[str, int]:
    """What the assembly itself says that the kernel takes; raises LaminaError where that is too much."""
    if target.kind != "amdgcn":
        return {}
    usage, kernel = amd_usage(code.text), code.kernel
    check_amd_usage(usage, kernel.name, kernel.threads, target, kernel.where)
    return usage


def _dims(info: TensorInfo, number: int) -> list[int | str]:
    """The sizes under the names that the steps use."""
    return [
        size if isinstance(size, int) or size.isidentifier() else f"input{number}_axis{axis}"
        for axis, size in enumerate(info.shape)
    ]


def _array(value: Attribute, resources: ResourceStore) -> np.ndarray[Any, Any]:
    if isinstance(value, DenseResourceAttr):
        return resources.get(value.resource_handle.data)
    if not isinstance(value, DenseIntOrFPElementsAttr):
        raise LaminaError(f"{type(value).__name__} is no constant")
    dense = cast("DenseIntOrFPElementsAttr[Any]", value)
    dtype = dtype_of(dense.get_element_type())
    return np.frombuffer(constant_bytes(dense), dtype).reshape(dense.get_shape())
