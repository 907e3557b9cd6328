"""What passes count, and how many ops each leaves (`--statistics`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.passes import ModulePass

from lamina.passes.base import Counts, LaminaPass
from lamina.tools.opt.pass_manager import Instrument, View
from lamina.tools.opt.timing import banner


@dataclass
class _Row:
    one: ModulePass
    place: tuple[int, ...]
    before: int = 0
    after: int = 0
    counts: dict[str, int] | None = None


class PassStatistics(Instrument):
    """Collects counters per place in the pipeline; a pass that ran on several functions has one row."""

    def __init__(self, counts: Counts):
        self._counts = counts
        self._rows: dict[tuple[int, ...], _Row] = {}

    def before(self, one: ModulePass, view: View) -> None:
        self._counts.clear()
        self._rows.setdefault(view.place, _Row(one, view.place)).before += _op_count(view)

    def after(self, one: ModulePass, view: View) -> None:
        row = self._rows[view.place]
        row.after += _op_count(view)
        declared = _declared(one)
        seen = row.counts or {}
        row.counts = {name: seen.get(name, 0) + self._counts.get((one.name, name), 0) for name in declared}

    def print(self) -> None:
        """Print the report to standard error, in the order of the pipeline."""
        lines = [banner("Pass statistics report")]
        for row in self._rows.values():
            indent = "  " * (len(row.place) - 1)
            lines.append(indent + row.one.name)
            declared = _declared(row.one)
            entries = [(row.before, "ops-before", "ops before the pass"), (row.after, "ops-after", "ops after it")]
            entries += [((row.counts or {}).get(name, 0), name, help_) for name, help_ in declared.items()]
            width = max(len(str(count)) for count, *_ in entries)
            names = max(len(name) for _, name, _ in entries)
            lines += [f"{indent}  (S) {count:>{width}} {name:<{names}} - {help_}" for count, name, help_ in entries]
        print("\n".join(lines), file=sys.stderr)


def _declared(one: ModulePass) -> Mapping[str, str]:
    return one.counters if isinstance(one, LaminaPass) else dict[str, str]()


def _op_count(view: View) -> int:
    return sum(1 for op in view.ops for _ in op.walk())
