"""Trees of values: dicts (in the order of their sorted keys), lists and tuples with leaves of any other type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from lamina.diagnostics import LaminaError


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves with their paths: keys and indices joined by dots."""
    if not isinstance(tree, Mapping | list | tuple):
        yield path, tree
        return
    for key, child in _children(tree):
        yield from leaves(child, f"{path}.{key}" if path else str(key))


def _children(tree: Any) -> Iterator[tuple[object, Any]]:
    if isinstance(tree, Mapping):
        mapping = cast("Mapping[Any, Any]", tree)
        return ((key, mapping[key]) for key in sorted(mapping))
    return enumerate(cast("list[Any]", tree))


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """A tree of the same structure with each leaf replaced; leaves are visited in the order of `leaves`."""
    if isinstance(tree, Mapping):
        mapping = cast("Mapping[Any, Any]", tree)
        return {key: map_leaves(function, mapping[key]) for key in sorted(mapping)}
    if isinstance(tree, list | tuple):
        items = [map_leaves(function, item) for item in cast("list[Any]", tree)]
        if isinstance(tree, tuple) and hasattr(cast(Any, tree), "_fields"):
            return type(cast(Any, tree))(*items)
        return items if isinstance(tree, list) else tuple(items)
    return function(tree)


def structure(tree: Any) -> Any:
    """The tree with every leaf replaced by the same mark: equal for trees of equal structure."""
    return map_leaves(lambda _: "*", tree)


def check_same_structure(left: Any, right: Any, what: str) -> None:
    """Raises LaminaError unless two trees have the same structure."""
    expected, found = structure(left), structure(right)
    if expected != found:
        raise LaminaError(f"{what}: expected the structure {expected}, found {found}")
