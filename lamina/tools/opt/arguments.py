"""The command line of `lamina-opt`, beyond what xDSL's driver has."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from lamina import pipelines
from lamina.diagnostics import LaminaError
from lamina.tools.plugin_arguments import add_load_argument
from lamina.tools.reporting import closest

EPILOG = """\
pipelines:
  canonicalize,tile{size=8}      passes in order; options in braces, separated by spaces (--help-pass NAME)
  func(canonicalize,cse)         nesting: the passes run on each function, one function at a time; a pass in it sees
                                 that function alone, in a module of its own
  graph,kernels                  a phase stands for its passes, and its contract is checked (--list-phases)

examples:
  lamina-opt model.mlir -p canonicalize,cse         run passes
  lamina-opt model.onnx --to kernels                run the phases up to one
  lamina-opt t.mlir --from kernels --to tensor      run the phases after one, up to another
  lamina-opt --print-pipeline --to loop             show the passes that a phase stands for
  lamina-opt t.mlir -p graph --print-diff           what each pass changed
  lamina-opt --run-reproducer reproducer.mlir       make a failure happen again
"""

VALUES_OF_BARE_FLAGS: Mapping[str, str] = {
    "--verify-each": "1",
    "--timing": "list",
    "--elide-constants": "16",
    "--color": "always",
}
"""Options whose value may be left out: `--timing` is `--timing=list`. (argparse would take the input file for it.)"""

MLIR_NAMES: Mapping[str, str] = {
    "--pass-pipeline": "--passes",
    "--mlir-print-ir-before": "--print-ir-before",
    "--mlir-print-ir-after": "--print-ir-after",
    "--mlir-print-ir-before-all": "--print-ir-before-all",
    "--mlir-print-ir-after-all": "--print-ir-after-all",
    "--mlir-print-ir-after-change": "--print-ir-after-change",
    "--mlir-print-ir-after-failure": "--print-ir-after-failure",
    "--mlir-print-ir-tree-dir": "--print-ir-tree-dir",
    "--mlir-print-debuginfo": "--print-debuginfo",
    "--mlir-print-op-generic": "--print-op-generic",
    "--mlir-timing": "--timing",
    "--mlir-pass-statistics": "--statistics",
    "--mlir-pass-pipeline-crash-reproducer": "--reproducer",
    "--mlir-elide-elementsattrs-if-larger": "--elide-constants",
    "--show-dialects": "--list-dialects",
    "--dump-pass-pipeline": "--print-pipeline",
}
"""Options of `mlir-opt` that are spelled differently there."""


def normalized(arguments: Sequence[str]) -> list[str]:
    """Arguments as the parser takes them: MLIR's spellings translated, the values of bare flags filled in."""
    result: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[index:]]
        name, equals, value = argument.partition("=")
        name = MLIR_NAMES.get(name, name)
        if not equals and name in VALUES_OF_BARE_FLAGS:
            equals, value = "=", VALUES_OF_BARE_FLAGS[name]
        result.append(f"{name}{equals}{value}")
    return result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add our options to the parser that xDSL's driver set up."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_pipeline_arguments(parser)
    _add_print_arguments(parser)
    _add_measuring_arguments(parser)
    _add_failure_arguments(parser)


def _add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pipelines")
    group.add_argument("--to", metavar="PHASE", help=f"run the phases up to PHASE: {', '.join(pipelines.PHASE_NAMES)}")
    group.add_argument(
        "--from", dest="after", metavar="PHASE", help="the input is at the end of PHASE (default: import)"
    )
    group.add_argument(
        "--assume",
        metavar="FACT[,FACT]",
        default="",
        help="facts that hold for the input, for passes that require them (--help-pass says which)",
    )
    group.add_argument(
        "--print-pipeline", action="store_true", help="print the passes to standard error, then run them"
    )
    add_load_argument(group)
    group.add_argument("--list-passes", action="store_true", help="print every pass with a line on it, and exit")
    group.add_argument("--list-phases", action="store_true", help="print every phase with its passes, and exit")
    group.add_argument("--list-dialects", action="store_true", help="print every dialect, and exit")
    group.add_argument(
        "--help-pass", metavar="NAME", help="print all about a pass (what it does, options, contract), and exit"
    )


def _add_print_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("seeing the IR (on standard error)")
    group.add_argument("--print-ir-before", metavar="PASS[,PASS]", default="", help="print the IR before these passes")
    group.add_argument("--print-ir-after", metavar="PASS[,PASS]", default="", help="print the IR after these passes")
    group.add_argument("--print-ir-before-all", action="store_true", help="print the IR before every pass")
    group.add_argument("--print-ir-after-all", action="store_true", help="print the IR after every pass")
    group.add_argument(
        "--print-ir-after-change", action="store_true", help="print the IR after a pass only where the pass changed it"
    )
    group.add_argument("--print-ir-after-failure", action="store_true", help="print the IR as a failing pass left it")
    group.add_argument(
        "--print-ir-tree-dir", metavar="DIR", help="write the dumps to numbered files under DIR (by default after all)"
    )
    group.add_argument("--print-diff", action="store_true", help="print what each pass changed as a unified diff")
    group.add_argument(
        "--elide-constants",
        metavar="N",
        type=int,
        help="print constants of more than N elements (16) without their data, on standard output too; what is printed "
        "on standard error always is, files never",
    )
    group.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="colors (default: on a terminal)"
    )


def _add_measuring_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("timing and counting (on standard error)")
    group.add_argument(
        "--timing", choices=("list", "tree", "json"), help="print where the time went (a bare --timing is list)"
    )
    group.add_argument("--trace", metavar="FILE", help="write the times as a trace for chrome://tracing or Perfetto")
    group.add_argument("--statistics", action="store_true", help="print what passes counted")


def _add_failure_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("diagnostics")
    group.add_argument(
        "--verify-each", choices=("0", "1"), default="1", help="verify after every pass (1), or at the end only"
    )
    group.add_argument("--remarks", action="store_true", help="print what passes have to say about what they did")
    group.add_argument("--debug", action="store_true", help="show Python tracebacks of errors")
    group.add_argument(
        "--reproducer",
        metavar="PATH",
        help="where a failing pass writes the file that makes it fail again (default: a temporary folder)",
    )
    group.add_argument(
        "--run-reproducer", action="store_true", help="run the pipeline that the input file, a reproducer, carries"
    )


def refuse_unknown_options(parser: argparse.ArgumentParser, arguments: Sequence[str], passes: Sequence[str]) -> None:
    """Refuse a long option that the parser does not have, offering the closest names (argparse does not)."""
    known = [option for action in parser._actions for option in action.option_strings]  # pyright: ignore[reportPrivateUsage]
    for argument in arguments:
        name = argument.partition("=")[0]
        if argument == "--":
            return
        if name.startswith("--") and not any(option.startswith(name) for option in known):
            hints = (f"a pass is run with -p {name[2:]}",) if name[2:] in passes else closest(name, known)
            raise LaminaError(f"unknown option '{name}'", hints=hints)
