"""`lamina compile`: a model to an artefact, or to the text at the end of a phase."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from xdsl.dialects.builtin import ModuleOp

from lamina import api, interface, pipelines
from lamina.diagnostics import LaminaError
from lamina.passes.graph.form_kernels import statistics
from lamina.pipelines import PhaseReport
from lamina.tools import gpu_commands, model_arguments
from lamina.tools.progress import Progress

STANDARD_OUTPUT: Final = Path("-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lamina compile`."""
    model_arguments.add_model_argument(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="where the result goes; '-' with --to: standard output, which has constants by their names only",
    )
    parser.add_argument(
        "--to",
        metavar="PHASE",
        choices=pipelines.PHASE_NAMES,
        help=f"stop at the end of a phase and write its text: {', '.join(pipelines.PHASE_NAMES)}",
    )
    parser.add_argument(
        "--dump-phases", type=Path, metavar="DIR", help="write the text at the end of every phase to DIR"
    )
    model_arguments.add_donate_argument(parser)
    gpu_commands.add_target_argument(parser)
    gpu_commands.add_ptxas_argument(parser)
    parser.add_argument("--verbose", "-v", action="store_true", help="print ops and milliseconds of every phase")


def run(options: argparse.Namespace) -> int:
    """Compile; print one line of what was written."""
    if options.output == STANDARD_OUTPUT and (options.to is None or gpu_commands.wants_gpu(options)):
        raise LaminaError(
            "standard output takes the text of a phase, not compiled code",
            where="-o -",
            hints=("give a path, or a phase with --to",),
        )
    if gpu_commands.wants_gpu(options):
        return gpu_commands.compile_for_gpu(options)
    target = gpu_commands.cpu_fields(options)
    if options.dump_phases is not None:
        make_folder(options.dump_phases)
    with Progress() as progress:

        def observe(report: PhaseReport, module: ModuleOp) -> None:
            progress.update(f"phase {report.phase}: {report.ops} ops")
            if options.verbose:
                print(f"{report.phase:10} {report.ops:7} ops {report.milliseconds:9.1f} ms", file=sys.stderr)
                if report.phase == "kernels":
                    print(f"           {statistics(module)}", file=sys.stderr)
            if options.dump_phases is not None:
                number = pipelines.PHASE_NAMES.index(report.phase)
                api.write_text(module, options.dump_phases / f"{number}-{report.phase}.mlir", context)

        context = api.make_context(model_arguments.given_plugins(options))
        start = time.perf_counter()
        module = api.load_module(options.model, context, dims=model_arguments.fixed_dims(options))
        interface.donate(module, model_arguments.parse_donations(options.donate))
        milliseconds = 1e3 * (time.perf_counter() - start)
        observe(PhaseReport("import", pipelines.op_count(module), milliseconds), module)
        if options.to is not None:
            if target is not None:
                api.set_target(module, target)
            pipelines.run_phases(module, context, to=options.to, observer=observe)
            if options.output != STANDARD_OUTPUT:
                api.write_text(module, options.output, context)
        else:
            api.compile_to_artefact(module, context, options.output, target=target, observer=observe)
    if options.output == STANDARD_OUTPUT:
        sys.stdout.write(api.module_text(module, locations=True))
        return 0
    print(f"{options.output}: {options.output.stat().st_size} bytes")
    return 0


def make_folder(path: Path) -> None:
    """Create a folder for output; raises LaminaError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaminaError(f"cannot be made: {error.strerror}", where=str(path)) from None
