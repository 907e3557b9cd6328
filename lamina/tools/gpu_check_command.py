"""`lamina gpu-check`: look for races, missing barriers and accesses out of bounds in a model's GPU kernels."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from lamina import api, interface
from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.gpu_sizes import MANIFEST
from lamina.targets.gpu.checking_driver import CheckingDriver
from lamina.targets.gpu.launcher import Program
from lamina.tools import model_arguments
from lamina.tools.input_files import INPUTS_HELP, read_inputs
from lamina.tools.progress import Progress

TARGET = "spirv"
"""Where there is nothing that only some devices have; `--target` names another."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lamina gpu-check`."""
    model_arguments.add_model_argument(parser)
    parser.add_argument("--inputs", nargs="+", metavar="FILE", help=INPUTS_HELP)
    parser.add_argument(
        "--random", type=int, default=0, metavar="SEED", help="random inputs and order of threads from this seed"
    )
    parser.add_argument(
        "--target",
        default=TARGET,
        metavar="TARGET",
        help=f"a model is compiled for this GPU target; {TARGET} unless given",
    )
    model_arguments.add_dim_argument(parser, "size of a symbolic dim of random inputs; may be repeated")
    model_arguments.add_donate_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Run every kernel in the interpreter; print what was found, and exit with 1 where something was."""
    folder = Path(options.model)
    if (folder / MANIFEST).exists():
        for option, given in (("--fix", options.fix), ("--donate", options.donate)):
            if given:
                raise LaminaError(
                    f"is compiled already: {option} is for models",
                    where=options.model,
                    hints=(f"lamina compile MODEL --target TARGET {option} {given[0]}",),
                )
        return _check(options, folder)
    if folder.is_dir():
        raise LaminaError(f"has no {MANIFEST}: it is no compiled GPU program", where=options.model)
    with tempfile.TemporaryDirectory(prefix="lamina-") as scratch:
        context = api.make_context(model_arguments.given_plugins(options))
        module = api.load_module(options.model, context, dims=model_arguments.fixed_dims(options))
        interface.donate(module, model_arguments.parse_donations(options.donate))
        api.compile_for_gpu(module, context, scratch, options.target)
        return _check(options, Path(scratch))


def _check(options: argparse.Namespace, folder: Path) -> int:
    driver = CheckingDriver(folder, api.make_context(model_arguments.given_plugins(options)), options.random)
    program = Program(folder, driver)
    infos = program.signature.inputs
    if options.inputs:
        inputs = read_inputs(options.inputs, [info.name for info in infos])
    else:
        inputs = model_arguments.random_inputs(infos, model_arguments.parse_dims(options.dim), options.random)
    with Progress() as progress:
        driver.observer = lambda name: progress.update(f"launch {driver.launches}: {name}")
        program.call(program.signature.order(inputs, {}))
    for finding in driver.findings:
        print(finding)
    kernels = f"{len(program.images)} kernels, {driver.launches} launches"
    print(f"{kernels}: {f'{len(driver.findings)} findings' if driver.findings else 'no mistakes found'}")
    return int(bool(driver.findings))
