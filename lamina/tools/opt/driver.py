"""The driver of `lamina-opt`: xDSL's, with Lamina's dialects, passes and phases, and everything observed."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from io import BytesIO, StringIO
from typing import IO, TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import DenseResourceAttr, ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass, PassPipeline, PassPipelineCallbackType
from xdsl.utils.exceptions import ParseError
from xdsl.utils.target import Target
from xdsl.xdsl_opt_main import xDSLOptMain

from lamina import pipelines
from lamina.context import LaminaContext
from lamina.diagnostics import Diagnostic, LaminaError, Severity, handling, warn
from lamina.dialects.hardware.gpu_target import DEFAULTS as KINDS
from lamina.passes.base import Counts, counting
from lamina.plugins import merged
from lamina.profiling import Profile, profiling, span
from lamina.tools.opt.arguments import add_arguments, normalized, refuse_unknown_options
from lamina.tools.opt.diagnostics import Reporter, pipeline_diagnostic, unexpected_diagnostic
from lamina.tools.opt.pass_manager import Instrument, PassManager, PipelineError
from lamina.tools.opt.pipeline import Nest, PipelineBuilder, find_phase, flattened, pipeline_text
from lamina.tools.opt.printing import ELIDED_ABOVE, Style, wants_color
from lamina.tools.plugin_arguments import plugins_in
from lamina.tools.reporting import closest

if TYPE_CHECKING:
    from lamina.tools.opt.statistics import PassStatistics
    from lamina.tools.opt.verify_diagnostics import DiagnosticVerifier

SPLIT = re.compile(rb"^// -----[ \t]*\r?$", re.MULTILINE)
"""The line between the chunks of `--split-input-file`. (A dump's header begins with the same characters.)"""


class LaminaOptMain(xDSLOptMain):
    """xDSL's opt driver plus Lamina's dialects, passes, ONNX input, phases and instruments.

    `run` is xDSL's. Its hooks are overridden: what goes wrong in one chunk of the input becomes a diagnostic there and
    the next chunk is processed; `failed` says that there was one.
    """

    ctx: LaminaContext
    reporter: Reporter
    manager: PassManager
    passes: tuple[ModulePass, ...]
    version_format = "lamina-opt, built on xDSL {xdsl_version}"

    def __init__(self, description: str, arguments: Sequence[str]):
        self.arguments = normalized(arguments)
        self.failed = False
        self.profile = Profile()
        self._chunk_failed = False
        self._chunk: tuple[bytes, int] = (b"", 0)
        self._chunk_number: int | None = None
        """Which chunk of a split input this is, from 0; None where there is only one."""
        self._verifier: DiagnosticVerifier | None = None
        self._statistics: PassStatistics | None = None
        self._counts: Counts = {}
        self._output: _KeptText | None = None
        setup = self.profile.open("Set-up", "setup")
        super().__init__(description, self.arguments)
        self.profile.close(setup)

    # ---- what there is

    def register_all_dialects(self) -> None:
        self.ctx = LaminaContext()
        super().register_all_dialects()
        for name, factory in pipelines.dialects().items():
            self.ctx.override_dialect(name, factory)
        self.ctx.add_plugins(plugins_in(self.arguments))
        self.ctx.load_registered_dialect("builtin")  # its interface prints the constants' keys

    def register_all_passes(self) -> None:
        super().register_all_passes()
        for name, factory in pipelines.PASSES.items():
            self.register_pass(name, factory)
        self.available_passes = merged("pass", self.available_passes, self.ctx.plugins, lambda plugin: plugin.passes)

    def register_all_targets(self) -> None:
        super().register_all_targets()

        def llvm_text() -> type[Target]:
            from lamina.lowering.to_llvm_text.opt_target import LlvmTextTarget

            return LlvmTextTarget

        def gpu_text(kind: str) -> type[Target]:
            from lamina.lowering.to_gpu_text.opt_targets import OPT_TARGETS

            return OPT_TARGETS[kind]

        self.available_targets["llvm-text"] = llvm_text
        self.available_targets |= {kind: partial(gpu_text, kind) for kind in KINDS}
        self.available_targets = merged("target", self.available_targets, self.ctx.plugins, lambda one: one.targets)

    def register_all_frontends(self) -> None:
        super().register_all_frontends()
        self.available_frontends["mlir"] = self.parse_mlir
        self.available_frontends["onnx"] = self.parse_onnx

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        super().register_all_arguments(arg_parser)
        add_arguments(arg_parser)
        refuse_unknown_options(arg_parser, self.arguments, list(self.available_passes))

    # ---- input

    def parse_mlir(self, stream: IO[bytes], line_offset: int = 0) -> ModuleOp:
        """Parse textual IR, with the constants of a `.safetensors` file beside the input."""
        from lamina.parser import parse_text

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
        split, self.args.split_input_file = self.args.split_input_file, False
        try:
            ((stream, _),), extension = super().prepare_input()
            if not split and extension != "mlir":
                return [(stream, 0)], extension
            with stream:
                text = stream.read()
        except OSError as error:
            raise LaminaError(f"cannot be read: {error.strerror}", where=path) from None
        if not split:
            return [(BytesIO(text), 0)], extension
        starts = [0, *(match.end() for match in SPLIT.finditer(text))]
        ends = [*(match.start() for match in SPLIT.finditer(text)), len(text)]
        self._chunk_number = -1 if len(starts) > 1 else None
        return [
            (BytesIO(text[start:end]), text.count(b"\n", 0, start)) for start, end in zip(starts, ends, strict=True)
        ], extension

    def parse_chunk(self, chunk: IO[bytes], file_extension: str, start_offset: int = 0) -> ModuleOp | None:
        self._chunk_failed = False
        self._verifier = None
        if self._chunk_number is not None:
            self._chunk_number += 1
        if file_extension == "mlir":
            self._chunk = (chunk.read(), start_offset)
            text = self._chunk[0].decode(errors="replace")
            self.reporter.add_source(self.get_input_name(), text, start_offset)
            if self.args.verify_diagnostics:
                from lamina.tools.opt.verify_diagnostics import DiagnosticVerifier

                self._verifier = DiagnosticVerifier(self.get_input_name(), text, start_offset)
            chunk = BytesIO(self._chunk[0])
        try:
            with span("Parser", "parse"):
                return self._parse(chunk, file_extension, start_offset)
        except ParseError as error:
            # xDSL's `--parsing-diagnostics` prints it to standard output and succeeds.
            if self.args.parsing_diagnostics and self._verifier is None:
                raise
            location = replace(error.span, line_offset=start_offset).get_location()
            self._fail(error, Diagnostic(Severity.ERROR, error.msg, str(location)))
        except Exception as error:
            self._fail(error, unexpected_diagnostic(error, f"while reading {self.get_input_name()}"))
        self._end_chunk()
        return None

    def _parse(self, chunk: IO[bytes], file_extension: str, start_offset: int) -> ModuleOp:
        if file_extension == "mlir":
            return self.parse_mlir(chunk, start_offset)
        return self.available_frontends[file_extension](chunk)

    def _read_again(self) -> ModuleOp:
        """The input of this chunk as it was before any pass."""
        if self.args.frontend == "onnx":
            return self.parse_onnx(BytesIO())
        data, offset = self._chunk
        return self.parse_mlir(BytesIO(data), offset)

    # ---- the pipeline

    def setup_pipeline(self) -> None:
        arguments = self.args
        self.reporter = Reporter(color=wants_color(arguments.color, sys.stderr), remarks=arguments.remarks)
        builder = PipelineBuilder(self.available_passes, self._run_nest, self.ctx.plugins)
        self.passes = self._parse_pipeline(builder)
        given = list(flattened(self.passes))
        known = (
            pipelines.facts_after(arguments.after or "import", self.ctx.plugins)
            if arguments.after or arguments.to
            else frozenset[str]()
        )
        assumed = frozenset(_listed(arguments.assume))
        pipelines.check_order(
            [type(one) for one in given], known | assumed, complete=bool(arguments.after or arguments.to)
        )
        if arguments.print_pipeline:
            print(pipeline_text(self.passes), file=sys.stderr)
        self.manager = PassManager(
            self.profile if arguments.timing or arguments.trace else None,
            verify=not arguments.disable_verify,
            verify_each=arguments.verify_each == "1",
            callback=self._xdsl_callback(),
        )
        self.manager.instruments += self._instruments({one.name for one in given})
        self.pipeline = PassPipeline(self.passes)

    def _run_nest(self, nest: Nest, ctx: Context, shell: ModuleOp, target: Operation) -> None:
        self.manager.run_nest(nest, ctx, shell, target)

    def _parse_pipeline(self, builder: PipelineBuilder) -> tuple[ModulePass, ...]:
        arguments = self.args
        if arguments.run_reproducer:
            from lamina.tools.opt.reproducer import read_reproducer

            if arguments.input_file is None or arguments.passes or arguments.to:
                raise LaminaError("--run-reproducer takes a file, which says what to run; no -p, no --to")
            arguments.passes, verify_each = read_reproducer(arguments.input_file)
            arguments.verify_each = "1" if verify_each else "0"
            # It was accepted when the reproducer was written.
            self.ctx.allow_unregistered = True
        if arguments.after is not None and not arguments.to and not arguments.passes:
            raise LaminaError("--from needs --to or -p", hints=("say how far to go: --to PHASE",))
        phases = builder.phases(arguments.after or "import", arguments.to) if arguments.to else ()
        if arguments.after:
            find_phase(arguments.after)
        return (*phases, *builder.parse(arguments.passes))

    def _xdsl_callback(self) -> PassPipelineCallbackType | None:
        """What xDSL does between passes for `--time-passes` and `--print-between-passes` (on standard output)."""
        arguments = self.args
        if not arguments.time_passes and not arguments.print_between_passes:
            return None
        given, arguments.passes = arguments.passes, ""
        super().setup_pipeline()
        arguments.passes = given
        return self.pipeline.callback

    def _instruments(self, given: set[str]) -> Iterable[Instrument]:
        """The observers that the command line asks for."""
        arguments = self.args
        before, after = (self._names(option, given) for option in ("print_ir_before", "print_ir_after"))
        follows_all = arguments.print_ir_after_all or (arguments.print_ir_after_change and not after)
        if arguments.statistics:
            from lamina.tools.opt.statistics import PassStatistics

            self._statistics = PassStatistics(self._counts)
            yield self._statistics
        dumps = bool(
            before or after or follows_all or arguments.print_ir_before_all or arguments.print_ir_after_failure
        )
        if not dumps and not arguments.print_ir_tree_dir and not arguments.print_diff:
            return
        from lamina.tools.opt.observers import PrintDiff, PrintIR, PrintOptions, StderrSink, TreeSink

        elide = ELIDED_ABOVE if arguments.elide_constants is None else arguments.elide_constants
        color = wants_color(arguments.color, sys.stderr)
        full = Style(arguments.print_op_generic, arguments.print_debuginfo)
        style = replace(full, elide_above=elide, color=color)
        if dumps or arguments.print_ir_tree_dir:
            options = PrintOptions(
                before=None if arguments.print_ir_before_all else before,
                after=None if follows_all or not dumps else after,
                only_changed=arguments.print_ir_after_change,
                on_failure=arguments.print_ir_after_failure,
            )
            directory = arguments.print_ir_tree_dir
            yield PrintIR(
                options, TreeSink(directory, full, lambda: self._chunk_number) if directory else StderrSink(style)
            )
        if arguments.print_diff:
            yield PrintDiff(style)

    def _names(self, option: str, given: set[str]) -> list[str]:
        names = _listed(getattr(self.args, option))
        for name in names:
            flag = f"--{option.replace('_', '-')}"
            if name not in self.available_passes:
                raise LaminaError(f"{flag}: unknown pass '{name}'", hints=closest(name, self.available_passes))
            if name not in given:
                self.reporter(Diagnostic(Severity.WARNING, f"{flag}: pass '{name}' is not in the pipeline"))
        return names

    def apply_passes(self, prog: ModuleOp) -> None:
        try:
            self.manager.run(self.passes, self.ctx, prog)
        except PipelineError as error:
            diagnostic = pipeline_diagnostic(error)
            if error.element is not None and self._verifier is None:
                diagnostic = replace(diagnostic, notes=(*diagnostic.notes, self._reproducer(error, diagnostic)))
            self._fail(error.cause, diagnostic)

    def _reproducer(self, error: PipelineError, diagnostic: Diagnostic) -> Diagnostic:
        """Write a reproducer; a note that says where it is."""
        from lamina.tools.opt.reproducer import split_at_failure, write_reproducer

        assert error.element is not None
        if self.args.run_reproducer and not self.args.reproducer:
            return Diagnostic(Severity.NOTE, f"this is the reproducer {self.args.input_file}")
        before, failing = split_at_failure(self.passes, error.element)
        try:
            path = write_reproducer(
                self._read_again(),
                self.ctx,
                before,
                failing,
                message=str(diagnostic),
                path=self.args.reproducer,
                verify_each=self.args.verify_each == "1",
            )
        except LaminaError as problem:
            return Diagnostic(Severity.NOTE, f"no reproducer could be written: {problem}")
        return Diagnostic(Severity.NOTE, f"to make it fail again: lamina-opt --run-reproducer {path}")

    # ---- output

    def prepare_output(self) -> IO[str]:
        if self.args.output_file is None or self.args.output_file == "-":
            self.args.output_file = None
            return sys.stdout
        self._output = _KeptText()
        return self._output

    def output_resulting_program(self, prog: ModuleOp) -> str:
        text = ""
        if not self._chunk_failed:
            try:
                with span("Output", "print"):
                    text = self._text(prog)
            except Exception as error:
                self._fail(error, unexpected_diagnostic(error, f"while printing for target '{self.args.target}'"))
        self._end_chunk()
        return text

    def _text(self, module: ModuleOp) -> str:
        arguments = self.args
        to_file = arguments.output_file is not None
        if to_file:
            self._warn_of_missing_constants(module)
        color = not to_file and wants_color(arguments.color, sys.stdout)
        elide = None if to_file else arguments.elide_constants
        if arguments.target != "mlir" or arguments.print_no_properties or (not color and elide is None):
            return super().output_resulting_program(module)
        style = Style(arguments.print_op_generic, arguments.print_debuginfo, elide_above=elide, color=color)
        return style.render((module,))

    def _warn_of_missing_constants(self, module: ModuleOp) -> None:
        for op in module.walk():
            for attribute in (*op.properties.values(), *op.attributes.values()):
                if (
                    isinstance(attribute, DenseResourceAttr)
                    and attribute.resource_handle.data not in self.ctx.resources
                ):
                    warn(op, f"constant '{attribute.resource_handle.data}' has no data: it is written by name only")

    # ---- the run

    def run(self) -> None:
        listing = self._listing()
        if listing is not None:
            print(listing)
            return
        with ExitStack() as stack:
            stack.enter_context(handling(self._diagnose))
            if self.manager.profile is not None:
                stack.enter_context(profiling(self.profile))
            if self._statistics is not None:
                stack.enter_context(counting(self._counts))
            stack.callback(self._print_reports)
            super().run()
            if self._output is not None and not self.failed:
                from lamina import api

                with span("Output", "print"):
                    api.store_text(self._output.text, self.args.output_file, self.ctx, partial=True)

    def _listing(self) -> str | None:
        """What is printed instead of running, if anything."""
        arguments = self.args
        if not (arguments.list_passes or arguments.list_phases or arguments.list_dialects or arguments.help_pass):
            return None
        from lamina.tools.opt import listing

        if arguments.help_pass:
            return listing.help_pass(self.available_passes, arguments.help_pass)
        if arguments.list_passes:
            return listing.list_passes(self.available_passes)
        if arguments.list_phases:
            return listing.list_phases(self.ctx.plugins)
        return listing.list_dialects(self.ctx.registered_dialect_names, pipelines.dialects())

    def _print_reports(self) -> None:
        sys.stdout.flush()
        if self._statistics is not None:
            self._statistics.print()
        if self.manager.profile is None:
            return
        from lamina.tools.opt.timing import print_timing, write_trace

        self.profile.finish()
        if self.args.timing:
            print_timing(self.profile, self.args.timing)
        if self.args.trace:
            write_trace(self.profile, self.args.trace)

    def _diagnose(self, diagnostic: Diagnostic) -> None:
        if self._verifier is None:
            self.reporter(diagnostic)
        elif diagnostic.severity is not Severity.REMARK or self.args.remarks:
            self._verifier(diagnostic)

    def _fail(self, error: Exception, diagnostic: Diagnostic) -> None:
        """This chunk cannot be processed."""
        self._chunk_failed = True
        if self.args.debug:
            traceback.print_exception(error)
        self._diagnose(diagnostic)
        self.failed = self.failed or self._verifier is None

    def _end_chunk(self) -> None:
        """Compare what was said about the chunk with what it expects."""
        if self._verifier is None:
            return
        for problem in self._verifier.problems():
            self.reporter(problem)
            self.failed = True
        self._verifier = None


def _listed(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


class _KeptText(StringIO):
    """Text that is still there after `close`."""

    text = ""

    def close(self) -> None:
        if not self.closed:
            self.text = self.getvalue()
        super().close()
