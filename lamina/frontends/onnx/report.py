"""What an ONNX model needs and the compiler lacks: collected over the whole model, told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_NAMES = 6
DATA_DEPENDENT = "the size of the result depends on the data"


@dataclass(frozen=True)
class Unsupported:
    """Nodes of one operator that cannot be compiled, all for the same reason."""

    op_type: str
    domain: str
    node_names: tuple[str, ...]
    reason: str
    hints: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many nodes."""
        return len(self.node_names)

    @property
    def qualified_op(self) -> str:
        """The operator with its domain, as `com.acme.Z`; the default domain is left out."""
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type


class UnsupportedNode(Exception):
    """Raised by a converter for a valid node that it cannot express; collected into an `Unsupported`."""

    def __init__(self, reason: str, *, hints: Sequence[str] = ()):
        super().__init__(reason)
        self.reason = reason
        self.hints = tuple(hints)


class AlreadyReported(Exception):
    """Raised where a value is missing because what computes it is in the report."""


class UnsupportedReport:
    """Collects single findings and groups them by operator and reason, in order of appearance."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str, tuple[str, ...]], dict[str, None]] = {}

    def add(self, domain: str, op: str, node: str, reason: str, hints: Iterable[str] = ()) -> None:
        """Note one node; the same finding twice counts once (a loop's body may be converted more than once)."""
        self._groups.setdefault((domain, op, reason, tuple(hints)), {})[node] = None

    def __bool__(self) -> bool:
        return bool(self._groups)

    def findings(self) -> tuple[Unsupported, ...]:
        """The findings so far, one per operator and reason."""
        return tuple(
            Unsupported(op, domain, tuple(nodes), reason, hints)
            for (domain, op, reason, hints), nodes in self._groups.items()
        )


def format_unsupported(findings: Sequence[Unsupported]) -> str:
    """All findings as text: how many operators, then each with its count, node names, reason and hints."""
    operators = len({finding.qualified_op for finding in findings})
    width = max(len(finding.qualified_op) for finding in findings)
    count_width = max(len(str(finding.count)) for finding in findings) + 1
    lines = [f"{operators} operator{'s' if operators > 1 else ''} cannot be compiled"]
    for finding in findings:
        names = ", ".join(finding.node_names[:MAX_NAMES])
        if finding.count > MAX_NAMES:
            names += f" and {finding.count - MAX_NAMES} more"
        head = f"  {finding.qualified_op:<{width}}  {f'×{finding.count}':<{count_width}}  "
        lines.append(f"{head}{names}: {finding.reason}")
        lines.extend(f"{' ' * len(head)}→ {hint}" for hint in finding.hints)
    return "\n".join(lines)
