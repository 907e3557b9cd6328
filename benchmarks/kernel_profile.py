"""Where a model's time goes: each distinct kernel compiled and timed by itself, the slowest first.

    python benchmarks/kernel_profile.py MODEL [--threads N] [--top N] [--seconds S] [--json FILE]

MODEL is the path of an ONNX file, or a name of `test/models` such as `resnet50`. A kernel's share is its time × its
calls over the sum of these. GFLOP/s counts contractions and convolutions (a multiplication and an addition are two),
GB/s the kernel's arguments and results, each once. Symbolic sizes are taken from `--dim NAME=SIZE`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, StringAttr

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

from lamina import api, pipelines
from lamina.artefact import Artefact, Manifest
from lamina.context import LaminaContext
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.types import dtype_of
from lamina.interface import signature
from lamina.lowering.to_llvm_text import print_llvm
from lamina.passes.graph.share_kernels import kernel_text, kernels_of
from lamina.targets.cpu import jit, llvm
from lamina.targets.cpu.executable import Executable
from lamina.targets.cpu.host import CpuDescription
from support import models


@dataclass(frozen=True)
class Row:
    """One distinct kernel: microseconds are of one call."""

    kernel: str
    calls: int
    microseconds: float
    share: float
    gflops: float
    gigabytes_per_second: float
    shapes: str


def _elements(type_) -> int:
    return math.prod(type_.get_shape())


def operations(kernel: func.FuncOp) -> int:
    """Floating-point operations of the contractions and convolutions of a kernel with static sizes."""
    total = 0
    for op in kernel.walk():
        if isinstance(op, DotGeneralOp):
            shape = op.lhs.type.get_shape()
            contracted = math.prod(shape[axis] for axis in op.lhs_contracting_dimensions.get_values())
            total += 2 * _elements(op.results[0].type) * contracted
        elif isinstance(op, ConvolutionOp):
            features = op.rhs.type.get_shape()[op.kernel_output_feature_dimension.value.data]
            total += 2 * _elements(op.results[0].type) * _elements(op.rhs.type) // features
    return total


def alone(kernel: func.FuncOp, module: ModuleOp) -> ModuleOp:
    """A module at the end of phase `kernels` whose main calls this kernel with its own arguments."""
    copy = kernel.clone()
    copy.sym_name = StringAttr("kernel")
    types = kernel.function_type
    main = func.FuncOp("main", types)
    call = func.CallOp("kernel", main.body.block.args, types.outputs.data)
    main.body.block.add_ops([call, func.ReturnOp(*call.results)])
    return ModuleOp([main, copy], dict(module.attributes))


def compiled(module: ModuleOp, context: LaminaContext, threads: int) -> Executable:
    """The executable of a module at the end of phase `kernels`."""
    inputs, outputs = signature(module)
    pipelines.run_phases(module, context, after="kernels", to=pipelines.LEVELS[-1].phase)
    pipelines.run_passes(module, context, pipelines.LEVELS[-1].passes)
    program = print_llvm(module)
    modules = [jit.LlvmModule(*one) for one in program.modules]
    description = CpuDescription.from_attribute(module.attributes[api.TARGET])
    objects = jit.compile_modules(modules, description.llvm_options())
    code = tuple((one.name, len(image)) for one, image in zip(modules, objects, strict=True))
    constants = tuple(program.constants)
    manifest = Manifest(inputs, outputs, constants, code, asdict(description), {"llvm": llvm.version()}, ())
    artefact = Artefact(manifest, tuple(objects), {key: context.resources.get(key) for key in constants})
    return Executable(artefact, threads=threads)


def seconds_of(executable: Executable, arguments: list[np.ndarray], seconds: float) -> float:
    """The minimum time of a call, over about `seconds`."""
    executable(*arguments)
    executable(*arguments)
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        executable(*arguments)
        best = min(best, time.perf_counter() - start)
    return best


def call_counts(module: ModuleOp) -> Counter[str]:
    """How many calls name each kernel (a call in a loop counts once)."""
    return Counter(op.callee.string_value() for op in module.walk() if isinstance(op, func.CallOp))


def distinct(module: ModuleOp) -> Iterator[tuple[func.FuncOp, int]]:
    """The kernels without their copies, and the number of calls of each."""
    counts, groups = call_counts(module), dict[str, list[func.FuncOp]]()
    for kernel in kernels_of(module):
        groups.setdefault(kernel_text(kernel), []).append(kernel)
    for copies in groups.values():
        yield copies[0], sum(counts[copy.sym_name.data] for copy in copies)


def with_sizes(model, sizes: dict[str, int]):
    """The ONNX model with its symbolic sizes replaced."""
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = sizes[dim.dim_param]
    return model


def profile(model, threads: int, seconds: float) -> list[Row]:
    """The rows, slowest first."""
    context = api.make_context()
    module = api.load_module(model, context)
    api.set_target(module, None)
    pipelines.run_phases(module, context, to="kernels")
    generator = np.random.default_rng(0)
    timed = []
    for kernel, calls in distinct(module):
        inputs, outputs = kernel.function_type.inputs.data, kernel.function_type.outputs.data
        if any(DYNAMIC_INDEX in type_.get_shape() for type_ in (*inputs, *outputs)):
            print(f"{kernel.sym_name.data}: left out, its sizes are not static", file=sys.stderr)
            continue
        arguments = [
            generator.standard_normal(type_.get_shape()).astype(dtype_of(type_.element_type)) for type_ in inputs
        ]
        moved = sum(argument.nbytes for argument in arguments)
        moved += sum(_elements(type_) * np.dtype(dtype_of(type_.element_type)).itemsize for type_ in outputs)
        if sys.stderr.isatty():
            print(f"{kernel.sym_name.data} ({len(timed) + 1})", end="          \r", file=sys.stderr, flush=True)
        executable = compiled(alone(kernel, module), context, threads)
        duration = seconds_of(executable, arguments, seconds)
        shapes = " ".join("x".join(map(str, type_.get_shape())) or "()" for type_ in (*inputs, *outputs))
        timed.append((kernel, calls, duration, moved, shapes))
    total = sum(calls * duration for _, calls, duration, _, _ in timed)
    rows = [
        Row(
            kernel.sym_name.data,
            calls,
            round(1e6 * duration, 2),
            round(calls * duration / total, 4),
            round(1e-9 * operations(kernel) / duration, 1),
            round(1e-9 * moved / duration, 1),
            shapes,
        )
        for kernel, calls, duration, moved, shapes in timed
    ]
    return sorted(rows, key=lambda row: -row.share)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--top", type=int, default=20, help="rows to print (default: 20)")
    parser.add_argument("--seconds", type=float, default=0.2, help="how long each kernel runs (default: 0.2)")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE", help="a symbolic size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows as JSON")
    options = parser.parse_args()
    sizes = {name: int(size) for name, _, size in (pair.partition("=") for pair in options.dim)}
    model = models.named(options.model)
    rows = profile(with_sizes(model, sizes), options.threads, options.seconds)
    total = sum(row.calls * row.microseconds for row in rows) / 1e3
    print(f"{len(rows)} distinct kernels, {sum(row.calls for row in rows)} calls, {total:.3f} ms in all")
    print("| kernel | calls | µs | share | GFLOP/s | GB/s | shapes |\n|---|---|---|---|---|---|---|")
    for row in rows[: options.top]:
        print(
            f"| {row.kernel} | {row.calls} | {row.microseconds} | {row.share:.1%} | {row.gflops or ''} "
            f"| {row.gigabytes_per_second} | {row.shapes} |"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
