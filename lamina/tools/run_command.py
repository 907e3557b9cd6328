"""`lamina run`: a model on given or random inputs, at any level, compared with ONNX Runtime on request."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lamina import api, pipelines
from lamina.diagnostics import LaminaError
from lamina.tools import gpu_commands, model_arguments
from lamina.tools.input_files import INPUTS_HELP, read_inputs
from lamina.tools.model_arguments import Array
from lamina.tools.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lamina run`."""
    model_arguments.add_model_argument(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--inputs", nargs="+", metavar="FILE", help=INPUTS_HELP)
    source.add_argument(
        "--random", type=int, default=0, metavar="SEED", help="random inputs from this seed (default: 0)"
    )
    levels = "; ".join(f"{level.name}: {level.summary}" for level in pipelines.LEVELS)
    parser.add_argument(
        "--at", metavar="LEVEL", default="hardware", choices=[level.name for level in pipelines.LEVELS], help=levels
    )
    parser.add_argument(
        "--check-against", choices=["onnxruntime"], help="compare the results; exit code 1 where they differ"
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="write every output to DIR/NAME.npy")
    model_arguments.add_execution_arguments(parser)
    gpu_commands.add_target_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Run and print a line per output."""
    if gpu_commands.wants_gpu(options):
        ran = gpu_commands.run_on_gpu(options)
        report(options, ran.output_names, ran.outputs)
        if options.check_against is None:
            return 0
        return compare(options.model, ran.input_names, ran.inputs, ran.output_names, ran.outputs)
    with Progress() as progress:
        executable = api.executable_for(
            options.model,
            level=options.at,
            threads=options.threads,
            cache=not options.no_cache,
            plugins=model_arguments.given_plugins(options),
            donate=model_arguments.parse_donations(options.donate),
            dims=model_arguments.fixed_dims(options),
            target=gpu_commands.cpu_fields(options),
            observer=lambda report, _: progress.update(f"compiled to phase {report.phase}"),
        )
        if options.inputs:
            inputs = read_inputs(options.inputs, [info.name for info in executable.inputs])
        else:
            sizes = model_arguments.parse_dims(options.dim)
            inputs = model_arguments.random_inputs(executable.inputs, sizes, options.random)
        progress.update("running")
        # Donated inputs are written in place; the comparison needs them as they were.
        given = [array.copy() for array in inputs]
        outputs = executable(*inputs)
    names = [info.name for info in executable.outputs]
    report(options, names, outputs)
    if options.check_against is None:
        return 0
    return compare(options.model, [info.name for info in executable.inputs], given, names, outputs)


def report(options: argparse.Namespace, names: Sequence[str], outputs: Sequence[Array]) -> int:
    """Print a line per output, and save them where that is asked for."""
    for name, output in zip(names, outputs, strict=True):
        print(summary(name, output))
    if options.save is not None:
        save(options.save, names, outputs)
    return 0


def summary(name: str, array: Array) -> str:
    """One line: name, type, and what helps to see whether the numbers are sane."""
    shape = "x".join(str(size) for size in array.shape)
    head = f"{name}: {shape + ' ' if shape else ''}{array.dtype}"
    if array.size == 0:
        return f"{head}, empty"
    first = ", ".join(f"{value:.6g}" for value in array.ravel()[:4].astype(np.float64))
    if array.dtype.kind == "b" or array.size <= 4:
        return f"{head} [{first}]"
    wide = array.astype(np.float64)
    return f"{head} [{first}, …] min {wide.min():.6g} max {wide.max():.6g} mean {wide.mean():.6g}"


def save(folder: Path, names: Sequence[str], outputs: Sequence[Array]) -> None:
    """Write every output as .npy."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, output in zip(names, outputs, strict=True):
            np.save(folder / f"{name.replace('/', '_')}.npy", output)
    except OSError as error:
        raise LaminaError(f"cannot be written: {error.strerror}", where=str(folder)) from None


def compare(
    model: str, input_names: Sequence[str], inputs: Sequence[Array], names: Sequence[str], outputs: Sequence[Array]
) -> int:
    """Print the largest difference per output; 1 where one exceeds 1e-3 of the output's largest magnitude."""
    if not model.endswith(".onnx"):
        raise LaminaError("only ONNX models can be compared with ONNX Runtime", where=model)
    theirs = onnxruntime_outputs(model, dict(zip(input_names, inputs, strict=True)), names)
    worst = 0.0
    for name, our, their in zip(names, outputs, theirs, strict=True):
        wide, expected = our.astype(np.float64), their.astype(np.float64)
        if wide.shape != expected.shape:
            print(f"{name}: shape {wide.shape}, ONNX Runtime's {expected.shape}")
            return 1
        scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)) or 1.0
        same = (wide == expected) | (np.isnan(wide) & np.isnan(expected))
        difference = float(np.where(same, 0.0, np.abs(wide - expected)).max(initial=0.0)) / scale
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
        print(f"{name}: largest difference from ONNX Runtime {difference:.2e} of the largest magnitude")
    return int(worst > 1e-3)


def onnxruntime_outputs(model: str, feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
    """What ONNX Runtime computes; raises LaminaError where it is not installed or refuses the model or the inputs."""
    try:
        onnxruntime: Any = import_module("onnxruntime")
    except ImportError:
        raise LaminaError("ONNX Runtime is not installed", hints=("pip install 'lamina[bench]'",)) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors come back as exceptions
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return [np.asarray(output) for output in session.run(list(names), dict(feeds))]
    except Exception as error:  # its exception types have no common base
        raise LaminaError(f"ONNX Runtime fails: {str(error).strip()}", where=model) from None
