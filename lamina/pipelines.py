"""The compiler's table of contents: phases, in order, as data; and how to run them.

Every tool reads the same list. A phase is a few passes and a contract: the dialects that may be left at its end.
Pass classes are imported when they are first used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from lamina.diagnostics import LaminaError, location_text
from lamina.plugins import Plugin, merged

if TYPE_CHECKING:
    from xdsl.context import Context
    from xdsl.dialects.builtin import ModuleOp
    from xdsl.ir import Dialect
    from xdsl.passes import ModulePass

# xDSL is imported where it is used: a model from the cache starts without it.

PassFactory: TypeAlias = "Callable[[], type[ModulePass]]"
DialectFactory: TypeAlias = "Callable[[], Dialect]"


def _lazy(path: str) -> Callable[[], type[ModulePass]]:
    """A factory that imports `module:Class` when called."""
    module, _, name = path.partition(":")
    return lambda: getattr(import_module(module), name)


PASSES: Mapping[str, PassFactory] = {
    name: _lazy(path)
    for name, path in {
        "assign-target": "lamina.targets.cpu.assign_target:AssignTargetPass",
        "infer-types": "lamina.passes.graph.infer_types:InferTypesPass",
        "canonicalize": "lamina.passes.graph.canonicalize:CanonicalizePass",
        "simplify-batch-norms": "lamina.passes.graph.simplify_batch_norms:SimplifyBatchNormsPass",
        "fold-constants": "lamina.passes.graph.fold_constants:FoldConstantsPass",
        "fold-scales": "lamina.passes.graph.fold_scales:FoldScalesPass",
        "resolve-shapes": "lamina.passes.graph.resolve_shapes:ResolveShapesPass",
        "recognize-composites": "lamina.passes.graph.recognize_composites:RecognizeCompositesPass",
        "recognize-group-norms": "lamina.passes.graph.recognize_group_norms:RecognizeGroupNormsPass",
        "move-views": "lamina.passes.graph.move_views:MoveViewsPass",
        "recognize-attention": "lamina.passes.graph.recognize_attention:RecognizeAttentionPass",
        "branch-attention": "lamina.passes.graph.branch_attention:BranchAttentionPass",
        "decompose": "lamina.passes.graph.decompose:DecomposePass",
        "remat": "lamina.passes.autodiff.remat:RematPass",
        "differentiate": "lamina.passes.autodiff.differentiate:DifferentiatePass",
        "inline-calls": "lamina.passes.graph.inline_calls:InlineCallsPass",
        "remove-gradient-stops": "lamina.passes.autodiff.remove_gradient_stops:RemoveGradientStopsPass",
        "assign-layouts": "lamina.passes.graph.assign_layouts:AssignLayoutsPass",
        "split-groups": "lamina.passes.graph.split_groups:SplitGroupsPass",
        "split-transposed-convolutions": (
            "lamina.passes.graph.split_transposed_convolutions:SplitTransposedConvolutionsPass"
        ),
        "materialize-padding": "lamina.passes.graph.materialize_padding:MaterializePaddingPass",
        "merge-positions": "lamina.passes.graph.merge_positions:MergePositionsPass",
        "prepare-contractions": "lamina.passes.graph.prepare_contractions:PrepareContractionsPass",
        "pack-constants": "lamina.passes.graph.pack_constants:PackConstantsPass",
        "pack-operands": "lamina.passes.graph.pack_operands:PackOperandsPass",
        "flatten-scatters": "lamina.passes.graph.flatten_scatters:FlattenScattersPass",
        "form-kernels": "lamina.passes.graph.form_kernels:FormKernelsPass",
        "remove-barriers": "lamina.passes.autodiff.remove_barriers:RemoveBarriersPass",
        "share-kernels": "lamina.passes.graph.share_kernels:ShareKernelsPass",
        "graph-to-linalg": "lamina.lowering.graph_to_linalg.graph_to_linalg:GraphToLinalgPass",
        "merge-rows": "lamina.passes.tensor.merge_rows:MergeRowsPass",
        "assign-schedules": "lamina.passes.tensor.assign_schedules:AssignSchedulesPass",
        "bufferize": "lamina.passes.loop.bufferize:BufferizePass",
        "skip-padding": "lamina.passes.loop.skip_padding:SkipPaddingPass",
        "tile": "lamina.passes.loop.tile:TilePass",
        "vectorize": "lamina.passes.loop.vectorize:VectorizePass",
        "linalg-to-loops": "lamina.passes.loop.linalg_to_loops:LinalgToLoopsPass",
        "fuse-loops": "lamina.passes.loop.fuse_loops:FuseLoopsPass",
        "pipeline-rows": "lamina.passes.loop.pipeline_rows:PipelineRowsPass",
        "stream-stores": "lamina.passes.loop.stream_stores:StreamStoresPass",
        "split-loops": "lamina.passes.loop.split_loops:SplitLoopsPass",
        "vectorize-loops": "lamina.passes.loop.vectorize_loops:VectorizeLoopsPass",
        "plan-arena": "lamina.passes.loop.plan_arena:PlanArenaPass",
        "lower-parallel": "lamina.passes.hardware.lower_parallel:LowerParallelPass",
        "expand-math": "lamina.passes.hardware.expand_math:ExpandMathPass",
        "assign-gpu-schedules": "lamina.passes.hardware.gpu.assign_gpu_schedules:AssignGpuSchedulesPass",
        "outline-gpu-kernels": "lamina.passes.hardware.gpu.outline_gpu_kernels:OutlineGpuKernelsPass",
        "expand-gpu-fragments": "lamina.passes.hardware.gpu.expand_gpu_fragments:ExpandGpuFragmentsPass",
        "expand-gpu-communication": ("lamina.passes.hardware.gpu.expand_gpu_communication:ExpandGpuCommunicationPass"),
    }.items()
}
"""Our passes by name."""

GPU_PASSES: tuple[str, ...] = (
    "assign-gpu-schedules",
    "bufferize",
    "outline-gpu-kernels",
    "expand-gpu-fragments",
    "expand-gpu-communication",
    "plan-arena",
    "expand-math",
)
"""For a GPU: from linalg on tensors to kernels and a host program."""

CPU_ONLY = frozenset({"branch-attention", "pack-constants", "pack-operands", "assign-schedules"})
"""Passes up to the tensor phase that are about a CPU's registers and caches; a GPU does without."""

ON_REQUEST = frozenset(
    {
        "differentiate",
        "remat",
        "assign-gpu-schedules",
        "outline-gpu-kernels",
        "expand-gpu-fragments",
        "expand-gpu-communication",
    }
)
"""Passes of no phase: they run where somebody asks for them, and for GPU targets."""


@dataclass(frozen=True)
class Phase:
    """A named stretch of the pipeline: its passes, and the dialects allowed when it is done."""

    name: str
    summary: str
    passes: tuple[str, ...]
    allowed: frozenset[str]


_GRAPH = frozenset({"builtin", "func", "graph"})
_TENSOR = frozenset({"builtin", "func", "arith", "math", "linalg", "tensor", "scf", "cf", "affine"})
_LOOP = frozenset({"builtin", "func", "arith", "math", "memref", "scf", "cf", "vector", "affine"})

PHASES: tuple[Phase, ...] = (
    Phase("import", "main in graph ops, as the front end gives it", (), _GRAPH),
    Phase(
        "graph",
        "one type per value, no redundant op, layouts assigned",
        (
            "assign-target",
            "inline-calls",
            "remove-gradient-stops",
            "infer-types",
            "canonicalize",
            "simplify-batch-norms",
            "fold-constants",
            "resolve-shapes",
            "flatten-scatters",
            "cse",
            "recognize-composites",
            "recognize-group-norms",
            "recognize-attention",
            "move-views",
            "fold-scales",
            "split-groups",
            "assign-layouts",
            "canonicalize",
            "move-views",
            "branch-attention",
            "split-transposed-convolutions",
            "merge-positions",
            "materialize-padding",
            "fold-constants",
            "prepare-contractions",
            "pack-constants",
            "pack-operands",
            "fold-constants",
            "infer-types",
            "cse",
            "dce",
        ),
        _GRAPH,
    ),
    Phase(
        "kernels",
        "main calls kernels; identical kernels shared",
        ("form-kernels", "remove-barriers", "share-kernels", "decompose", "canonicalize"),
        _GRAPH,
    ),
    Phase("tensor", "structured ops with schedules", ("graph-to-linalg", "merge-rows", "assign-schedules"), _TENSOR),
    Phase(
        "loop",
        "loops over buffers and vectors; one arena",
        (
            "bufferize",
            "skip-padding",
            "tile",
            "vectorize",
            "linalg-to-loops",
            "fuse-loops",
            "split-loops",
            "pipeline-rows",
            "stream-stores",
            "vectorize-loops",
            "plan-arena",
        ),
        _LOOP,
    ),
    Phase(
        "hardware",
        "parallel loops on the thread pool, math as polynomials",
        ("lower-parallel", "expand-math"),
        _LOOP | {"cpu"},
    ),
)


@dataclass(frozen=True)
class Level:
    """A way to execute a module as it is at the end of a phase: the passes that still lead to LLVM text."""

    name: str
    phase: str
    passes: tuple[str, ...]
    summary: str


LEVELS: tuple[Level, ...] = (
    Level("graph", "graph", (), "NumPy reference of every graph op"),
    Level(
        "tensor",
        "tensor",
        ("bufferize", "linalg-to-loops", "plan-arena", "expand-math"),
        "scalar loops of the structured ops, schedules ignored",
    ),
    Level("loop", "loop", ("expand-math",), "the loop level, parallel loops run in sequence"),
    Level("hardware", "hardware", (), "the compiled model"),
)
"""How `lamina run --at LEVEL` executes; all but `graph` end in LLVM text and run natively."""

PHASE_NAMES: tuple[str, ...] = tuple(phase.name for phase in PHASES)


def phases(plugins: Sequence[Plugin] = ()) -> tuple[Phase, ...]:
    """The phases with the plugins' passes in their places and the plugins' dialects beside `graph`.

    Raises LaminaError for a place that is no pass of the pipeline.
    """
    added = frozenset(name for plugin in plugins for name in plugin.dialects)
    result = [replace(one, allowed=one.allowed | added) if "graph" in one.allowed and added else one for one in PHASES]
    for plugin in plugins:
        for place, names in plugin.after.items():
            number = next((number for number, one in enumerate(result) if place in one.passes), None)
            if number is None:
                raise LaminaError(f"plugin '{plugin.name}' puts passes after '{place}', which is in no phase")
            passes = result[number].passes
            position = passes.index(place) + 1
            result[number] = replace(result[number], passes=(*passes[:position], *names, *passes[position:]))
    return tuple(result)


def phase(name: str, plugins: Sequence[Plugin] = ()) -> Phase:
    """The phase called `name`; raises LaminaError with the list of names."""
    for candidate in phases(plugins):
        if candidate.name == name:
            return candidate
    raise LaminaError(f"unknown phase '{name}'", hints=(f"the phases are {', '.join(PHASE_NAMES)}",))


def phases_between(after: str, to: str, plugins: Sequence[Plugin] = ()) -> tuple[Phase, ...]:
    """The phases after `after`, up to and with `to`; raises LaminaError for an unknown name."""
    first, last = (PHASE_NAMES.index(phase(name).name) + 1 for name in (after, to))
    return phases(plugins)[first:last]


def pass_names(*, after: str = "import", to: str) -> tuple[str, ...]:
    """The passes from the end of phase `after` to the end of phase `to`."""
    return tuple(name for current in phases_between(after, to) for name in current.passes)


def gpu_pass_names(*, after: str = "import", to: str) -> list[str]:
    """The same for a GPU: to the end of phase `graph` or `tensor`, or to kernels and a host program (`hardware`)."""
    end = "tensor" if to == PHASE_NAMES[-1] else to
    names = [name for name in pass_names(after=after, to=end) if name not in CPU_ONLY]
    return [*names, *GPU_PASSES] if to != end else names


def dialects() -> dict[str, DialectFactory]:
    """Our dialects, and the upstream ones as we extend or mend them, by name."""

    def graph() -> Dialect:
        from lamina.dialects.graph import Graph

        return Graph

    def cpu() -> Dialect:
        from lamina.dialects.hardware.cpu import Cpu

        return Cpu

    def gpu() -> Dialect:
        from lamina.dialects.hardware.gpu import Gpu

        return Gpu

    def nvgpu() -> Dialect:
        from lamina.dialects.hardware.nvgpu import Nvgpu

        return Nvgpu

    def amdgpu() -> Dialect:
        from lamina.dialects.hardware.amdgpu import Amdgpu

        return Amdgpu

    from lamina.dialects.builtin import builtin_dialect
    from lamina.dialects.loop import loop_dialects
    from lamina.dialects.tensor import tensor_dialects

    own = {"builtin": builtin_dialect, "graph": graph, "cpu": cpu, "gpu": gpu, "nvgpu": nvgpu, "amdgpu": amdgpu}
    return {**own, **tensor_dialects(), **loop_dialects()}


def available_passes(plugins: Sequence[Plugin] = ()) -> dict[str, PassFactory]:
    """xDSL's passes and ours, by name (ours win), and the plugins'; LaminaError for a name that is defined twice."""
    from xdsl.transforms import get_all_passes

    return merged("pass", {**get_all_passes(), **PASSES}, plugins, lambda plugin: plugin.passes)


def build_pass(name: str, plugins: Sequence[Plugin] = ()) -> ModulePass:
    """The pass called `name` with its default options."""
    return available_passes(plugins)[name]()()


@dataclass(frozen=True)
class PhaseReport:
    """What one phase did: ops at its end, and the time that it took."""

    phase: str
    ops: int
    milliseconds: float


Observer: TypeAlias = "Callable[[PhaseReport, ModuleOp], None]"


def op_count(module: ModuleOp) -> int:
    """The number of ops in a module, itself included."""
    return sum(1 for _ in module.walk())


def check_contract(module: ModuleOp, reached: Phase) -> None:
    """Raise LaminaError for the first op of a dialect that the phase's contract does not allow."""
    for op in module.walk():
        dialect = op.name.partition(".")[0]
        if dialect not in reached.allowed:
            raise LaminaError(
                f"'{op.name}' is left after phase '{reached.name}', which allows {', '.join(sorted(reached.allowed))}",
                where=location_text(op.location),
            )


def run_passes(module: ModuleOp, context: Context, names: Sequence[str]) -> None:
    """Run passes by name, with their default options."""
    from xdsl.passes import PassPipeline

    from lamina.context import plugins_of

    plugins = plugins_of(context)
    PassPipeline(tuple(build_pass(name, plugins) for name in names)).apply(context, module)


def run_phases(
    module: ModuleOp,
    context: Context,
    *,
    after: str = "import",
    to: str = "hardware",
    observer: Observer | None = None,
    verify_each: bool = False,
) -> None:
    """Take `module`, which is at the end of phase `after`, to the end of phase `to`, in place.

    Verifies at phase ends (after every pass with `verify_each`), but not between `loop` and `hardware`: nearly all ops
    stay what they are. Raises LaminaError where a contract is broken.
    """
    from lamina.context import plugins_of

    for current in phases_between(after, to, plugins_of(context)):
        start = time.perf_counter()
        for name in current.passes:
            run_passes(module, context, (name,))
            if verify_each:
                verify(module, f"pass '{name}'")
        if current.name != "loop" or to == "loop":
            verify(module, f"phase '{current.name}'")
        check_contract(module, current)
        if observer is not None:
            milliseconds = 1e3 * (time.perf_counter() - start)
            observer(PhaseReport(current.name, op_count(module), milliseconds), module)


def verify(module: ModuleOp, after: str) -> None:
    """Verify a module; a failure names what ran last."""
    from xdsl.utils.exceptions import VerifyException

    from lamina.verification import verify_module

    try:
        verify_module(module)
    except VerifyException as error:
        error.add_note(f"after {after}")
        raise


def facts_after(name: str, plugins: Sequence[Plugin] = ()) -> frozenset[str]:
    """What the passes up to the end of a phase ensure."""
    passes = available_passes(plugins)
    last = PHASE_NAMES.index(phase(name).name) + 1
    done = phases(plugins)[:last]
    return frozenset(fact for current in done for one in current.passes for fact in _ensures(passes[one]()))


def check_order(passes: Sequence[type[ModulePass]], known: frozenset[str], *, complete: bool) -> None:
    """Raise LaminaError for the first pass that requires what does not hold where it stands.

    `known` are facts that hold at the start. Unless they are `complete`, a requirement that they lack is taken to hold
    there as well (the input is anybody's) if no later pass of the same pipeline is the one that ensures it: that
    is a wrong order.
    """
    facts = set(known)
    for index, pass_type in enumerate(passes):
        missing = _requires(pass_type) - facts
        later = [other for other in passes[index + 1 :] if _ensures(other) & missing]
        if later or (missing and complete):
            givers = {other.name for other in later} or {
                name for name, factory in PASSES.items() if missing & _ensures(factory())
            }
            late = f"; {_quoted(givers)} ensures it only later" if later else ""
            raise LaminaError(
                f"pass '{pass_type.name}' requires {', '.join(sorted(missing))}, which no earlier pass ensures{late}",
                hints=(
                    f"run {_quoted(givers)} before it",
                    f"or say that it holds: --assume {','.join(sorted(missing))}",
                ),
            )
        facts |= missing | _ensures(pass_type)


def _quoted(names: Iterable[str]) -> str:
    return " or ".join(f"'{name}'" for name in sorted(names))


def _requires(pass_type: type[ModulePass]) -> frozenset[str]:
    return getattr(pass_type, "requires", frozenset[str]())


def _ensures(pass_type: type[ModulePass]) -> frozenset[str]:
    return getattr(pass_type, "ensures", frozenset[str]())
