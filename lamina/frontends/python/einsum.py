"""Sums of products in Einstein's notation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters

from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.python.tracer import Operand, Traced, active_tracer, operation, plains

HIDDEN = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
"""Labels of the axes that an ellipsis stands for, the last axis' first."""


@dataclass(frozen=True)
class _Term:
    value: SSAValue
    labels: str


@operation
def einsum(subscripts: str, *operands: Operand) -> Traced:
    """NumPy's `einsum`: `"bij,bjk->bik"`; `...` stands for the leading axes, which have to be equal.

    Operands are multiplied from left to right. A label twice in one operand (a diagonal) is refused.
    """
    builder = active_tracer().builder
    if not isinstance(subscripts, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise LaminaError(
            f"einsum: expected subscripts first, found {subscripts!r}", hints=("ops.einsum('ij,jk->ik', x, y)",)
        )
    values = builder.values(*plains(operands))
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    parts = inputs.split(",")
    if len(parts) != len(values) or not values:
        raise LaminaError(f"einsum: '{subscripts}' is for {len(parts)} operands, found {len(values)}")
    terms = [
        _Term(value, _labels(part, builder.rank(value), subscripts)) for part, value in zip(parts, values, strict=True)
    ]
    wanted = _output(terms, output if arrow else None, subscripts)
    current = terms[0]
    for index, term in enumerate(terms[1:], 2):
        later = {label for other in terms[index:] for label in other.labels} | set(wanted)
        left, right = _summed(current, later | set(term.labels)), _summed(term, later | set(current.labels))
        current = _product(left, right, later)
    current = _summed(current, set(wanted))
    order = [current.labels.index(label) for label in wanted]
    if order == list(range(len(order))):
        return Traced(current.value)
    return Traced(builder.transpose(current.value, order))


def _labels(part: str, rank: int, subscripts: str) -> str:
    named = part.replace("...", "", 1)
    if "..." in part:
        hidden = rank - len(named)
        if 0 <= hidden <= len(HIDDEN):
            part = part.replace("...", HIDDEN[:hidden][::-1])
    if len(part) != rank or any(label not in ascii_letters + HIDDEN for label in part):
        raise LaminaError(f"einsum: '{part}' in '{subscripts}' does not name the axes of an operand of rank {rank}")
    if len(set(part)) != len(part):
        raise LaminaError(f"einsum: a label stands twice in '{part}'", hints=("take the diagonal first",))
    return part


def _output(terms: Sequence[_Term], output: str | None, subscripts: str) -> str:
    """The labels of the result; left out, those that stand once, in the alphabet's order, after an ellipsis' axes."""
    every = "".join(term.labels for term in terms)
    hidden = "".join(label for label in HIDDEN[::-1] if label in every)
    if output is None:
        return hidden + "".join(sorted({label for label in every if every.count(label) == 1} - set(HIDDEN)))
    if hidden and "..." not in output:
        raise LaminaError(
            f"einsum: the axes of '...' are missing in the result of '{subscripts}'",
            hints=("write '...' in the result too, or name the axes that are to be summed",),
        )
    wanted = output.replace("...", hidden)
    if len(set(wanted)) != len(wanted) or not set(wanted) <= set(every):
        raise LaminaError(f"einsum: the result of '{subscripts}' has a label twice, or one that no operand has")
    return wanted


def _summed(term: _Term, kept: set[str]) -> _Term:
    """A term without the axes that nothing else has."""
    axes = [axis for axis, label in enumerate(term.labels) if label not in kept]
    if not axes:
        return term
    labels = "".join(label for label in term.labels if label in kept)
    return _Term(active_tracer().builder.reduce("add", term.value, axes), labels)


def _product(left: _Term, right: _Term, kept: set[str]) -> _Term:
    shared = [label for label in left.labels if label in right.labels]
    batch = [label for label in shared if label in kept]
    contracted = [label for label in shared if label not in kept]
    value = active_tracer().builder.dot_general(
        left.value,
        right.value,
        [left.labels.index(label) for label in contracted],
        [right.labels.index(label) for label in contracted],
        [left.labels.index(label) for label in batch],
        [right.labels.index(label) for label in batch],
    )
    free = [label for term in (left, right) for label in term.labels if label not in shared]
    return _Term(value, "".join([*batch, *free]))
