"""`lamina compile`: a model to an artefact, or to the text at the end of a phase."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp

from lamina import api, pipelines
from lamina.diagnostics import LaminaError
from lamina.pipelines import PhaseReport
from lamina.tools import model_arguments
from lamina.tools.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lamina compile`."""
    model_arguments.add_model_argument(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help="where the result goes")
    parser.add_argument(
        "--to",
        metavar="PHASE",
        choices=pipelines.PHASE_NAMES,
        help=f"stop at the end of a phase and write its text: {', '.join(pipelines.PHASE_NAMES)}",
    )
    parser.add_argument(
        "--dump-phases", type=Path, metavar="DIR", help="write the text at the end of every phase to DIR"
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="print ops and milliseconds of every phase")


def run(options: argparse.Namespace) -> int:
    """Compile; print one line of what was written."""
    if options.dump_phases is not None:
        make_folder(options.dump_phases)
    with Progress() as progress:

        def observe(report: PhaseReport, module: ModuleOp) -> None:
            progress.update(f"phase {report.phase}: {report.ops} ops")
            if options.verbose:
                print(f"{report.phase:10} {report.ops:7} ops {report.milliseconds:9.1f} ms", file=sys.stderr)
            if options.dump_phases is not None:
                number = pipelines.PHASE_NAMES.index(report.phase)
                api.write_text(module, options.dump_phases / f"{number}-{report.phase}.mlir", context)

        context = api.make_context(model_arguments.given_plugins(options))
        start = time.perf_counter()
        module = api.load_module(options.model, context)
        milliseconds = 1e3 * (time.perf_counter() - start)
        observe(PhaseReport("import", pipelines.op_count(module), milliseconds), module)
        if options.to is not None:
            pipelines.run_phases(module, context, to=options.to, observer=observe)
            api.write_text(module, options.output, context)
        else:
            api.compile_to_artefact(module, context, options.output, observer=observe)
    print(f"{options.output}: {options.output.stat().st_size} bytes")
    return 0


def make_folder(path: Path) -> None:
    """Create a folder for output; raises LaminaError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaminaError(f"cannot be made: {error.strerror}", where=str(path)) from None
