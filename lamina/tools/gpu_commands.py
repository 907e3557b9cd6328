"""`--target` of `lamina compile` and `lamina run`: another CPU by name, or a GPU."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamina import api, interface, pipelines
from lamina.artefact import TensorInfo
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_target import GPU_TARGETS, is_gpu_target, parse_gpu_target
from lamina.targets.cpu.named_targets import CPU_TARGETS, PREFIX, Fields, cpu_target
from lamina.tools import model_arguments
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


def wants_gpu(options: argparse.Namespace) -> bool:
    """Whether `--target` names a GPU; raises LaminaError for a target that does not exist."""
    if options.target == "cpu" or options.target.startswith(PREFIX):
        cpu_fields(options)
        return False
    if not is_gpu_target(options.target):
        raise LaminaError(
            f"unknown target '{options.target}'", hints=(f"the targets are cpu, {', '.join(OTHER_TARGETS)}",)
        )
    parse_gpu_target(options.target)
    return True


def cpu_fields(options: argparse.Namespace) -> Fields | None:
    """What `--target cpu:NAME` changes in `lamina.target`, None for this machine; raises LaminaError for others."""
    return None if options.target == "cpu" else cpu_target(options.target)


def compile_for_gpu(options: argparse.Namespace) -> int:
    """Compile to a folder; print one line of what was written."""
    if options.to is not None or options.dump_phases is not None:
        raise LaminaError("--to and --dump-phases are about a CPU's phases", hints=("leave --target away",))
    manifest = _compile(options, options.output)
    print(f"{options.output}: {len(manifest['kernels'])} kernels for {options.target}")
    return 0


def _compile(options: argparse.Namespace, folder: Path) -> Mapping[str, Any]:
    context = api.make_context(model_arguments.given_plugins(options))
    module = api.load_module(options.model, context)
    interface.donate(module, model_arguments.parse_donations(options.donate))
    return api.compile_for_gpu(module, context, folder, options.target)


def run_on_gpu(options: argparse.Namespace) -> tuple[list[str], list[Array]]:
    """Run on a device: the outputs' names and the outputs. Raises LaminaError where there is no driver for it."""
    if options.check_against is not None or options.at != pipelines.LEVELS[-1].name:
        raise LaminaError("--check-against and --at are about the CPU", hints=("leave --target away",))
    if parse_gpu_target(options.target).kind != "spirv":
        raise LaminaError(
            f"there is no driver for '{options.target}' here: kernels are compiled, not run",
            hints=(
                f"lamina compile MODEL --target {options.target} -o DIR writes the kernels and how to launch them",
                "lamina run --target spirv runs them on an OpenCL device",
            ),
        )
    from lamina.targets.gpu.launcher import Program, dtype_named
    from lamina.targets.gpu.opencl import OpenClDriver

    driver = OpenClDriver()
    with tempfile.TemporaryDirectory() as folder:
        manifest = _compile(options, Path(folder))
        program = Program(Path(folder), driver)
        infos = [TensorInfo(one["name"], tuple(one["shape"]), dtype_named(one["dtype"])) for one in manifest["inputs"]]
        if options.inputs:
            inputs = model_arguments.read_inputs(options.inputs)
        else:
            inputs = model_arguments.random_inputs(infos, model_arguments.parse_dims(options.dim), options.random)
        if len(inputs) != len(infos):
            raise LaminaError(f"expected {len(infos)} inputs, found {len(inputs)}")
        outputs = program(**dict(zip((info.name for info in infos), inputs, strict=True)))
    return list(outputs), list(outputs.values())
