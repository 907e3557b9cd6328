"""What the compiler makes of a model, in figures: ops, kernels, bytes between them, and the arena."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp

from lamina import pipelines
from lamina.context import LaminaContext, plugins_of
from lamina.passes.base import Counts, counting
from lamina.passes.graph.form_kernels import KernelStatistics, statistics
from lamina.passes.loop.arena import Lifetime, Stack, bytes_at, largest_live_set, stack
from lamina.passes.loop.plan_arena import arena_buffers, entry_functions

ARENA_PASS = "plan-arena"
"""The pass before which the buffers of `main` can be seen."""


@dataclass(frozen=True)
class Memory:
    """The buffers of an entry function, and how they lie in its arena."""

    lifetimes: tuple[Lifetime, ...]
    stack: Stack

    def arena_bytes(self, sizes: Mapping[str, int]) -> int:
        """Bytes of the arena for given sizes of the symbolic dims; raises KeyError for one without a size."""
        return self.stack.bytes(sizes)

    def largest_live_bytes(self, sizes: Mapping[str, int]) -> int:
        """Bytes in use at once at the worst moment, which no arena can do without; raises KeyError as above."""
        return largest_live_set(self.lifetimes, sizes)

    def total_bytes(self, sizes: Mapping[str, int]) -> int:
        """Bytes of all buffers, had each a place of its own; raises KeyError as above."""
        return sum(bytes_at(lifetime, sizes) for lifetime in self.lifetimes)


@dataclass(frozen=True)
class Report:
    """A model on its way to machine code.

    `graph_ops`: ops of the graph dialect as the front end gave them, by name. `kernels`: what they became. `memory`:
    the arena of `main`. `counts`: what the passes counted, by pass and counter.
    """

    graph_ops: Mapping[str, int]
    kernels: KernelStatistics
    memory: Memory
    counts: Counts


def report(module: ModuleOp, context: LaminaContext, *, observer: Callable[[str], None] | None = None) -> Report:
    """Take a module, which is at the end of phase `import`, to the end of phase `loop`, in place, and report.

    `observer` is told the name of each pass before it runs. Raises LaminaError for what cannot be compiled.
    """
    graph_ops = Counter(op.name for op in module.walk() if op.name.startswith("graph."))
    kernels = statistics(module)
    memory = Memory((), stack(()))
    counts: Counts = {}
    for phase in pipelines.phases_between("import", "loop", plugins_of(context)):
        for name in phase.passes:
            if observer is not None:
                observer(name)
            if name == ARENA_PASS:
                memory = _memory(module)
            with counting(counts):
                pipelines.run_passes(module, context, (name,))
        if phase.name == "kernels":
            kernels = statistics(module)
        pipelines.check_contract(module, phase)
    return Report(graph_ops, kernels, memory, counts)


def _memory(module: ModuleOp) -> Memory:
    lifetimes = tuple(buffer.lifetime for function, _ in entry_functions(module) for buffer in arena_buffers(function))
    return Memory(lifetimes, stack(lifetimes))
