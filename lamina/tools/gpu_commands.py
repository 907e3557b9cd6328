"""`--target` of `lamina compile` and `lamina run`: another CPU by name, or a GPU."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamina import api, interface, pipelines
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_sizes import MANIFEST
from lamina.dialects.hardware.gpu_target import GPU_TARGETS, is_gpu_target, parse_gpu_target
from lamina.files import writing
from lamina.targets.cpu.named_targets import CPU_TARGETS, PREFIX, Fields, cpu_target
from lamina.tools import model_arguments
from lamina.tools.input_files import read_inputs
from lamina.tools.model_arguments import Array

OTHER_TARGETS = (*(PREFIX + name for name in CPU_TARGETS), *GPU_TARGETS)


def add_target_argument(parser: argparse.ArgumentParser) -> None:
    """--target TARGET."""
    parser.add_argument(
        "--target",
        default="cpu",
        metavar="TARGET",
        help=f"cpu (this machine, the default), another CPU or a GPU: {', '.join(OTHER_TARGETS)}",
    )


def add_ptxas_argument(parser: argparse.ArgumentParser) -> None:
    """--ptxas."""
    parser.add_argument(
        "--ptxas",
        action="store_true",
        help="assemble the kernels with NVIDIA's ptxas: registers, shared memory and spills of each, in a table and in"
        " the manifest",
    )


def wants_gpu(options: argparse.Namespace) -> bool:
    """Whether `--target` names a GPU, or the model is a folder for one; raises LaminaError for an unknown target."""
    if options.target == "cpu" or options.target.startswith(PREFIX):
        cpu_fields(options)
        return (Path(options.model) / MANIFEST).exists()
    if not is_gpu_target(options.target):
        raise LaminaError(
            f"unknown target '{options.target}'", hints=(f"the targets are cpu, {', '.join(OTHER_TARGETS)}",)
        )
    parse_gpu_target(options.target)
    return True


def cpu_fields(options: argparse.Namespace) -> Fields | None:
    """What `--target cpu:NAME` changes in `lamina.target`, None for this machine; raises LaminaError for others."""
    if getattr(options, "ptxas", False):
        raise LaminaError("--ptxas is about PTX", hints=("compile with --target ptx",))
    return None if options.target == "cpu" else cpu_target(options.target)


def compile_for_gpu(options: argparse.Namespace) -> int:
    """Compile to a folder; print one line of what was written."""
    if options.to is not None or options.dump_phases is not None:
        raise LaminaError("--to and --dump-phases are about a CPU's phases", hints=("leave --target away",))
    manifest = _compile(options, options.output)
    print(f"{options.output}: {len(manifest['kernels'])} kernels for {options.target}")
    if options.ptxas:
        _assemble(options.output, manifest)
    return 0


def _assemble(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Have ptxas assemble the kernels; print what they take, and note it in the manifest."""
    from lamina.targets.gpu import ptxas

    usages = ptxas.assemble_package(folder, manifest)
    by_name = {usage.kernel: asdict(usage) for usage in usages}
    for kernel in manifest["kernels"]:
        found = by_name[kernel["name"]]
        kernel |= {name: found[name] for name in ("registers", "spill_stores", "spill_loads")}
    with writing(folder / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1).encode())
    print(ptxas.table(usages))


def _compile(options: argparse.Namespace, folder: Path) -> Mapping[str, Any]:
    context = api.make_context(model_arguments.given_plugins(options))
    module = api.load_module(options.model, context, dims=model_arguments.fixed_dims(options))
    interface.donate(module, model_arguments.parse_donations(options.donate))
    return api.compile_for_gpu(module, context, folder, options.target)


@dataclass(frozen=True)
class GpuRun:
    """A run on a device: names and arrays of inputs (as they were given) and outputs."""

    input_names: Sequence[str]
    inputs: Sequence[Array]
    output_names: Sequence[str]
    outputs: Sequence[Array]


def run_on_gpu(options: argparse.Namespace) -> GpuRun:
    """Run a model, or a compiled folder, on a device. Raises LaminaError where there is no driver for it."""
    if options.at != pipelines.LEVELS[-1].name:
        raise LaminaError("--at is about the CPU", hints=("leave --target away",))
    executable = api.gpu_executable(
        options.model,
        None if options.target == "cpu" else options.target,
        plugins=model_arguments.given_plugins(options),
        donate=model_arguments.parse_donations(options.donate),
        dims=model_arguments.fixed_dims(options),
    )
    if options.inputs:
        inputs = read_inputs(options.inputs, [info.name for info in executable.inputs])
    else:
        sizes = model_arguments.parse_dims(options.dim)
        inputs = model_arguments.random_inputs(executable.inputs, sizes, options.random)
    given = [array.copy() for array in inputs]  # donated inputs are written to
    outputs = executable(*inputs)
    return GpuRun([one.name for one in executable.inputs], given, [one.name for one in executable.outputs], outputs)
