"""Running a pipeline under observation: verification, spans of time, and instruments that look on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass, PassPipeline, PassPipelineCallbackType
from xdsl.utils.exceptions import ShrinkException

from lamina.profiling import Profile, Span, span
from lamina.tools.opt.pipeline import Nest, PhaseEnd, pass_text


@dataclass(frozen=True)
class View:
    """What a pass runs on: the module, or one function in a module of its own (its place: `2_1`, the second pass
    of the nested pipeline that stands third)."""

    module: ModuleOp
    target: Operation | None = None
    place: tuple[int, ...] = ()

    @property
    def ops(self) -> Sequence[Operation]:
        """The ops to show."""
        return (self.module,) if self.target is None else tuple(self.module.ops)

    @property
    def name(self) -> str | None:
        """Which op this is, as MLIR's dumps say it; None for the whole module."""
        if self.target is None:
            return None
        symbol = symbol_name(self.target)
        return f"'{self.target.name}' operation" + (f": @{symbol}" if symbol else "")


def symbol_name(op: Operation) -> str | None:
    """The name of the symbol that an op defines."""
    name = op.get_attr_or_prop("sym_name")
    return getattr(name, "data", None)


class Instrument:
    """Looks on while passes run. Nothing here may change the module."""

    def before(self, one: ModulePass, view: View) -> None:
        """`one` is about to run."""

    def after(self, one: ModulePass, view: View) -> None:
        """`one` has run, and what it left is valid."""

    def failed(self, one: ModulePass, view: View) -> None:
        """`one` raised an exception, or left something invalid."""


class PipelineError(Exception):
    """What went wrong (`__cause__`), and where in the pipeline."""

    def __init__(self, cause: Exception, element: int | None, failed: ModulePass | None, verifying: bool, view: View):
        super().__init__(str(cause))
        self.cause = cause
        self.element = element
        """Which element of the pipeline, at its top level; None when the input itself is invalid."""
        self.failed = failed
        self.verifying = verifying
        """Whether the pass ran through and left something invalid."""
        self.view = view

    @property
    def when(self) -> str:
        """`after pass 'cse'`, for a note."""
        if self.failed is None:
            return "in the input, before any pass"
        what = (
            f"phase '{self.failed.phase.name}'"
            if isinstance(self.failed, PhaseEnd)
            else f"pass '{pass_text(self.failed)}'"
        )
        on = f" on {self.view.name}" if self.view.name else ""
        return f"{'after' if self.verifying or isinstance(self.failed, PhaseEnd) else 'in'} {what}{on}"


class PassManager:
    """Runs xDSL's `PassPipeline`; its callback, called between passes, does what is to be done around each."""

    def __init__(
        self,
        profile: Profile | None = None,
        *,
        verify: bool = True,
        verify_each: bool = True,
        callback: PassPipelineCallbackType | None = None,
    ):
        self.profile = profile
        self.verify = verify
        self.verify_each = verify_each
        self.callback = callback
        """Called between the top level's passes as well (xDSL's `--time-passes`, `--print-between-passes`)."""
        self.instruments: list[Instrument] = []
        self.running: list[tuple[ModulePass, View]] = []
        """The passes under way, outermost first."""
        self.verifying = False

    def run(self, passes: Sequence[ModulePass], ctx: Context, module: ModuleOp) -> None:
        """Run a pipeline; raises PipelineError from whatever went wrong."""
        self.running.clear()
        self.verifying = False
        view = View(module)
        try:
            PassPipeline(tuple(passes), _Between(self, view)).apply(ctx, module)
        except ShrinkException:
            raise
        except Exception as error:
            for one, its_view in reversed(self.running):
                if not isinstance(one, Nest | PhaseEnd):
                    for instrument in self.instruments:
                        instrument.failed(one, its_view)
            if self.profile is not None:
                self.profile.unwind()
            failed, view = self.running[-1] if self.running else (None, view)
            element = self.running[0][1].place[0] if self.running else None
            raise PipelineError(error, element, failed, self.verifying, view) from error

    def run_nest(self, nest: Nest, ctx: Context, shell: ModuleOp, target: Operation) -> None:
        """Run the passes of a nested pipeline on one op, which stands alone in `shell`."""
        view = View(shell, target, self.running[-1][1].place)
        PassPipeline(nest.passes, _Between(self, view)).apply(ctx, shell)

    def verify_now(self, module: ModuleOp) -> None:
        """Verify; while that fails, `verifying` is set."""
        if not self.verify:
            return
        self.verifying = True
        with span("(V) verify", "verify"):
            module.verify()
        self.verifying = False


class _Between:
    """The callback of one `PassPipeline.apply`."""

    def __init__(self, manager: PassManager, view: View):
        self.manager = manager
        self.view = view
        self.index = 0
        self.span: Span | None = None

    def __call__(self, previous: ModulePass | None, module: ModuleOp, following: ModulePass | None) -> None:
        manager = self.manager
        nested = self.view.target is not None
        if previous is not None:
            self._finish(previous, module, is_end=following is None and not nested)
        elif not nested:
            manager.verify_now(module)
        if manager.callback is not None and not nested:
            manager.callback(previous, module, following)
        if following is not None:
            self._start(following)

    def _start(self, one: ModulePass) -> None:
        manager = self.manager
        view = replace(self.view, place=(*self.view.place, self.index))
        self.index += 1
        manager.running.append((one, view))
        if not isinstance(one, Nest | PhaseEnd):
            for instrument in manager.instruments:
                instrument.before(one, view)
        if manager.profile is not None and not isinstance(one, PhaseEnd):
            self.span = manager.profile.open(*_row(one))

    def _finish(self, one: ModulePass, module: ModuleOp, *, is_end: bool) -> None:
        manager = self.manager
        if manager.profile is not None and self.span is not None:
            manager.profile.close(self.span)
        self.span = None
        if is_end if not manager.verify_each else not isinstance(one, PhaseEnd):
            manager.verify_now(module)
        _, view = manager.running.pop()
        if not isinstance(one, Nest | PhaseEnd):
            for instrument in manager.instruments:
                instrument.after(one, view)


def _row(one: ModulePass) -> tuple[str, str]:
    """The name and kind of a pass's span."""
    return (f"'{one.anchor}' Pipeline", "nest") if isinstance(one, Nest) else (one.name, "pass")
