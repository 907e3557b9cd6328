"""Axes and lists of them, as ONNX writes them: negative ones count from the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.node import Node


def axis_of(axis: int, rank: int) -> int:
    """An axis within [0, rank); raises LaminaError for others."""
    if not -rank <= axis < rank:
        raise LaminaError(f"axis {axis} is out of range for {rank} axes")
    return axis % rank


def axes_of(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """Distinct axes within [0, rank); raises LaminaError for others."""
    found = tuple(axis_of(axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise LaminaError(f"axes {list(found)} are not distinct")
    return found


def given_axes(node: Node, build: OnnxBuilder, index: int) -> tuple[int, ...] | None:
    """Axes from the attribute `axes` or, in newer operator sets, the input at `index`; None when neither is given."""
    if node.has("axes"):
        return node.integers("axes")
    value = node.optional(index)
    return None if value is None else build.require_integers(value, "the axes")


def same_length(what: str, values: Sequence[object], expected: int) -> None:
    """Raise LaminaError unless a list has as many entries as expected."""
    if len(values) != expected:
        raise LaminaError(f"{what}: expected {expected} entries, found {len(values)}")
