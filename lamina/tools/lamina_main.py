"""`lamina`: compile, run, measure and check models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NoReturn

from lamina.tools.reporting import run_tool

EPILOG = """\
examples:
  lamina check model.onnx                               what would and would not compile
  lamina run model.onnx --random 0 --check-against onnxruntime
  lamina run model.onnx --inputs ids.npy mask.npy --save results/
  lamina compile model.onnx -o model.lamina             an artefact that `lamina run` and `lamina.load` take
  lamina compile model.onnx --to loop -o model.mlir     the text at the end of a phase
  lamina bench model.onnx --threads 2 --json
"""

COMMANDS: Mapping[str, tuple[str, str]] = {
    "compile": ("lamina.tools.compile_command", "compile a model to an artefact, or to the text at the end of a phase"),
    "run": ("lamina.tools.run_command", "run a model on given or random inputs"),
    "bench": ("lamina.tools.bench_command", "measure compile time, load time, run time and memory"),
    "check": ("lamina.tools.check_command", "say what would and would not compile, without compiling"),
    "gpu-check": ("lamina.tools.gpu_check_command", "look for races and the like in the GPU kernels of a model"),
}
"""Command → (module with `add_arguments` and `run`, one line)."""


class Parser(argparse.ArgumentParser):
    """argparse, with exit code 1 and our form of an error."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}\n  → see `{self.prog} --help`", file=sys.stderr)
        sys.exit(1)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: exits with 0, or with 1 after an error message."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = Parser(
        prog="lamina",
        description="Lamina: a compiler for machine-learning models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show Python tracebacks of errors")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    chosen = next((argument for argument in given if not argument.startswith("-")), None)
    run: Callable[[argparse.Namespace], int] | None = None
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if name == chosen:
            # Only the chosen command's module is imported: start-up stays short.
            implementation = import_module(module)
            implementation.add_arguments(command)
            run = implementation.run
    options = parser.parse_args(given)
    if options.version:
        from importlib.metadata import version

        print(f"lamina {version('lamina')}")
        sys.exit(0)
    if run is None:
        parser.print_help()
        sys.exit(1)
    command_run = run
    sys.exit(run_tool(lambda: command_run(options), debug=options.debug))


if __name__ == "__main__":
    main()
