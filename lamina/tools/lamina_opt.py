"""`lamina-opt`: pass pipelines over textual IR. xDSL's driver with our dialects, passes, phases and diagnostics."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import IO, NoReturn

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass, get_pass_option_infos
from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.target import Target
from xdsl.xdsl_opt_main import xDSLOptMain

from lamina import pipelines
from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.parser import parse_text
from lamina.tools.reporting import closest, run_tool

EPILOG = """\
examples:
  lamina-opt model.mlir -p canonicalize,cse         run passes
  lamina-opt model.onnx --to kernels                run the phases up to one
  lamina-opt t.mlir --from kernels --to tensor      run the phases after one, up to another
  lamina-opt --print-pipeline --to loop             show the passes that a phase stands for
"""


class LaminaOptMain(xDSLOptMain):
    """xDSL's opt driver plus Lamina's dialects, passes, ONNX input and phases."""

    ctx: LaminaContext
    version_format = "lamina-opt, built on xDSL {xdsl_version}"

    def __init__(self, description: str, arguments: Sequence[str]):
        self.arguments = arguments
        super().__init__(description, arguments)

    def register_all_dialects(self) -> None:
        self.ctx = LaminaContext()
        super().register_all_dialects()
        for name, factory in pipelines.dialects().items():
            self.ctx.override_dialect(name, factory)
        self.ctx.load_registered_dialect("builtin")  # its interface prints the constants' keys

    def register_all_passes(self) -> None:
        super().register_all_passes()
        for name, factory in pipelines.PASSES.items():
            self.register_pass(name, factory)

    def register_all_targets(self) -> None:
        super().register_all_targets()

        def llvm_text() -> type[Target]:
            from lamina.lowering.to_llvm_text.opt_target import LlvmTextTarget

            return LlvmTextTarget

        self.available_targets["llvm-text"] = llvm_text

    def register_all_frontends(self) -> None:
        super().register_all_frontends()
        self.available_frontends["mlir"] = self.parse_mlir
        self.available_frontends["onnx"] = self.parse_onnx

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(arg_parser)
        arg_parser.epilog = EPILOG
        arg_parser.formatter_class = argparse.RawDescriptionHelpFormatter
        phases = arg_parser.add_argument_group("phases")
        phases.add_argument(
            "--to", metavar="PHASE", help=f"run the phases up to PHASE: {', '.join(pipelines.PHASE_NAMES)}"
        )
        phases.add_argument(
            "--from", dest="after", metavar="PHASE", help="the input is at the end of PHASE (default: import)"
        )
        phases.add_argument(
            "--print-pipeline", action="store_true", help="print the passes to standard error, then run them"
        )
        phases.add_argument("--verify-each", action="store_true", help="verify after every pass, not only at the end")
        arg_parser.add_argument("--debug", action="store_true", help="show Python tracebacks of errors")
        refuse_unknown_options(arg_parser, self.arguments)

    def parse_mlir(self, stream: IO[bytes], line_offset: int = 0) -> ModuleOp:
        """Parse textual IR, with the constants of a `.safetensors` file beside the input."""
        name = self.get_input_name()
        store = os.path.splitext(name)[0] + ".safetensors"
        if self.args.input_file and os.path.exists(store):
            self.ctx.resources.load(store)
        try:
            text = stream.read().decode()
        except UnicodeDecodeError as error:
            raise LaminaError(f"is not text: {error}", where=name) from None
        allow_implicit = not self.args.no_implicit_module
        return parse_text(self.ctx, text, name, line_offset=line_offset, allow_implicit_module=allow_implicit)

    def parse_onnx(self, stream: IO[bytes]) -> ModuleOp:
        """Import an ONNX model (external data is looked up beside the input file)."""
        from lamina.frontends.onnx import import_model

        return import_model(self.args.input_file or stream.read(), self.ctx)

    def parse_chunk(self, chunk: IO[bytes], file_extension: str, start_offset: int = 0) -> ModuleOp | None:
        if file_extension == "mlir":
            return self.parse_mlir(chunk, start_offset)
        return super().parse_chunk(chunk, file_extension, start_offset)

    def prepare_input(self) -> tuple[list[tuple[IO[bytes], int]], str]:
        path = self.args.input_file
        if path is not None and not self.args.frontend:
            extension = os.path.splitext(path)[1].removeprefix(".")
            if extension.lower() in self.available_frontends:
                self.args.frontend = extension.lower()
            else:
                known = ", ".join(f".{name}" for name in self.available_frontends)
                raise LaminaError(
                    f"unknown file type '.{extension}'", where=path, hints=(f"known are {known}; or give -f",)
                )
        try:
            return super().prepare_input()
        except OSError as error:
            raise LaminaError(f"cannot be read: {error.strerror}", where=path) from None

    def setup_pipeline(self) -> None:
        specs = list(parse_pipeline(self.args.passes))
        for spec in specs:
            if spec.name not in self.available_passes:
                raise LaminaError(f"unknown pass '{spec.name}'", hints=closest(spec.name, self.available_passes))
        passes = [*self.phase_passes(), *(self.build_pass(spec) for spec in specs)]
        if self.args.print_pipeline:
            print(",".join(str(one.pipeline_pass_spec()) for one in passes), file=sys.stderr)
        # xDSL parses `--passes` itself and installs its observers (timing, printing) around the pipeline.
        super().setup_pipeline()
        self.pipeline = type(self.pipeline)(tuple(passes), self.pipeline.callback)

    def build_pass(self, spec: ArgSpec) -> ModulePass:
        """A pass from its spec; unknown and ill-typed options are refused with the known ones."""
        pass_type = self.available_passes[spec.name]()
        options = {info.name.replace("_", "-"): info for info in get_pass_option_infos(pass_type)}
        for option in spec.parameters:
            if option.replace("_", "-") not in options:
                known = f"its options are {', '.join(options)}" if options else "it has no options"
                raise LaminaError(
                    f"pass '{spec.name}' has no option '{option}'", hints=(*closest(option, options), known)
                )
        try:
            return pass_type.from_pass_spec(spec)
        except (ValueError, TypeError) as error:
            raise LaminaError(f"pass '{spec.name}': {error}") from None

    def phase_passes(self) -> list[ModulePass]:
        """The passes that `--from` and `--to` stand for."""
        if self.args.to is None:
            if self.args.after is not None:
                raise LaminaError("--from needs --to", hints=("say how far to go: --to PHASE",))
            return []
        for name in filter(None, (self.args.after, self.args.to)):
            if name not in pipelines.PHASE_NAMES:
                raise LaminaError(
                    f"unknown phase '{name}'",
                    hints=(*closest(name, pipelines.PHASE_NAMES), f"the phases are {', '.join(pipelines.PHASE_NAMES)}"),
                )
        names = pipelines.pass_names(after=self.args.after or "import", to=self.args.to)
        return [self.available_passes[name]()() for name in names]


def refuse_unknown_options(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Refuse a long option that the parser does not have, offering the closest names (argparse does not)."""
    known = [option for action in parser._actions for option in action.option_strings]  # pyright: ignore[reportPrivateUsage]
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("--") and name != "--" and not any(option.startswith(name) for option in known):
            raise LaminaError(f"unknown option '{name}'", hints=closest(name, known))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: exits with 0, or with 1 after an error message."""
    given = sys.argv[1:] if arguments is None else list(arguments)

    def body() -> int:
        try:
            LaminaOptMain("Lamina's opt tool: dialects, passes and phases over textual IR.", given).run()
        except SystemExit as stop:
            return 1 if stop.code else 0
        return 0

    sys.exit(run_tool(body, debug="--debug" in given))


if __name__ == "__main__":
    main()
