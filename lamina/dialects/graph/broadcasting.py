"""NumPy broadcasting of shapes whose sizes may be symbolic."""

from __future__ import annotations

from collections.abc import Sequence

from lamina.dialects.graph.base import InferenceError
from lamina.dialects.graph.dims import Dim, Shape


def broadcast_shapes(name: str, shapes: Sequence[Shape]) -> Shape:
    """The common shape: axes align at the end, size 1 stretches, different symbolic sizes are taken to be equal.

    Raises InferenceError, naming the op `name`, where two static sizes do not fit.
    """
    return tuple(_common_size(name, shapes, [size for size in sizes if size != 1]) for sizes in _aligned_sizes(shapes))


def broadcast_constraints(shapes: Sequence[Shape]) -> list[tuple[Dim, Dim]]:
    """The pairs of sizes that `broadcast_shapes` took to be equal."""
    constraints: list[tuple[Dim, Dim]] = []
    for sizes in _aligned_sizes(shapes):
        first, *rest = _stretched_to(sizes) or (1,)
        constraints += [(first, other) for other in rest if other != first and (first, other) not in constraints]
    return constraints


def _aligned_sizes(shapes: Sequence[Shape]) -> list[list[Dim]]:
    """Per axis of the result, the sizes of the shapes that have it."""
    rank = max((len(shape) for shape in shapes), default=0)
    return [[shape[axis - rank + len(shape)] for shape in shapes if axis >= rank - len(shape)] for axis in range(rank)]


def _stretched_to(sizes: Sequence[Dim]) -> list[Dim]:
    """The sizes other than 1, static ones first."""
    return sorted((size for size in sizes if size != 1), key=lambda size: not isinstance(size, int))


def _common_size(name: str, shapes: Sequence[Shape], sizes: Sequence[Dim]) -> Dim:
    first, *rest = _stretched_to(sizes) or (1,)
    if any(isinstance(other, int) and other != first for other in rest):
        listed = ", ".join(f"[{', '.join(str(size) for size in shape)}]" for shape in shapes)
        raise InferenceError(f"{name}: expected shapes that broadcast together, found {listed}")
    return first
