"""Trees of values (pytrees): what can be taken apart into leaves and put together again with other leaves.

Dicts (in the order of their sorted keys), lists, tuples, named tuples, dataclasses, None (a tree without leaves) and
registered classes such as `lamina.nn.Module` are nodes; everything else is a leaf. The path of a leaf is the keys,
indices and attribute names that lead to it, joined by dots: `encoder.layers.0.weight`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from lamina.diagnostics import LaminaError

Parts: TypeAlias = "tuple[Sequence[Any], Sequence[Any], Any]"
"""The names and values of a node's children, and what else it holds, which `==` can compare."""
Type = TypeVar("Type", bound=type)

STATIC = "lamina.static"


class Node(NamedTuple):
    """How a type is taken apart, and put together from names, other content and new children."""

    flatten: Callable[[Any], Parts]
    unflatten: Callable[[Sequence[Any], Any, Sequence[Any]], Any]


class Structure:
    """What a tree is besides its leaves; equal for trees of one structure, and a key for dicts."""

    __slots__ = ("children", "count", "kind", "names", "static")

    def __init__(
        self,
        kind: type | None,
        names: Sequence[Any] = (),
        static: Any = None,
        children: Sequence[Structure] = (),
    ):
        self.kind = kind
        """The type of the node; None for a leaf."""
        self.names = tuple(names)
        self.static = static
        self.children = tuple(children)
        self.count: int = 1 if kind is None else sum(child.count for child in self.children)
        """The number of leaves."""

    @property
    def is_leaf(self) -> bool:
        """Whether the tree is one leaf."""
        return self.kind is None

    def paths(self, prefix: str = "") -> Iterator[str]:
        """The paths of the leaves, in order."""
        if self.kind is None:
            yield prefix
        for name, child in zip(self.names, self.children, strict=True):
            yield from child.paths(_join(prefix, name))

    def unflatten(self, values: Sequence[Any]) -> Any:
        """The tree with these leaves; raises LaminaError for another number of them."""
        if len(values) != self.count:
            raise LaminaError(f"expected {self.count} leaves, found {len(values)}")
        return self._build(iter(values))

    def _build(self, values: Iterator[Any]) -> Any:
        if self.kind is None:
            return next(values)
        node = _node(self.kind)
        assert node is not None
        return node.unflatten(self.names, self.static, [child._build(values) for child in self.children])

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Structure) and (
            self.kind is other.kind
            and self.names == other.names
            and self.static == other.static
            and self.children == other.children
        )

    def __hash__(self) -> int:
        # Not `static`, which may hold lists and dicts.
        return hash((self.kind, self.names, self.children))

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        if self.kind is type(None):
            return "None"
        if self.kind is dict:
            return f"{{{', '.join(f'{name!r}: {child}' for name, child in self._items())}}}"
        if self.kind in (list, tuple):
            inner = ", ".join(map(str, self.children))
            return f"[{inner}]" if self.kind is list else f"({inner})"
        return f"{self.kind.__name__}({', '.join(f'{name}={child}' for name, child in self._items())})"

    def _items(self) -> Iterator[tuple[Any, Structure]]:
        return zip(self.names, self.children, strict=True)


LEAF = Structure(None)
_KINDS: Sequence[tuple[type, type]] = ((list, list), (tuple, tuple), (dict, Mapping))


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Structure]:
    """The leaves of a tree, in order, and its structure; `is_leaf` says of what else is not to be taken apart.

    Raises LaminaError for a dict whose keys cannot be sorted.
    """
    found: list[Any] = []
    return found, _flatten(tree, found, is_leaf)


def _flatten(tree: Any, found: list[Any], is_leaf: Callable[[Any], bool] | None) -> Structure:
    node = _node(tree.__class__)
    if node is None or (is_leaf is not None and is_leaf(tree)):
        found.append(tree)
        return LEAF
    names, values, static = node.flatten(tree)
    return Structure(_kind(tree.__class__), names, static, [_flatten(value, found, is_leaf) for value in values])


def _kind(type_: Any) -> type:
    """The type that a node's structure names: all mappings are dicts, all lists lists, but named tuples themselves."""
    if _is_named(type_):
        return type_
    return next((kind for kind, base in _KINDS if issubclass(type_, base)), type_)


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves with their paths, in order; all paths begin with `path`."""
    found, shape = flatten(tree)
    return zip(shape.paths(path), found, strict=True)


def structure(tree: Any) -> Structure:
    """The structure of a tree."""
    return flatten(tree)[1]


def map_leaves(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """A tree of the same structure with `function` of each leaf, and of the leaves at its place in `others`.

    Raises LaminaError unless all trees have the same structure.
    """
    found, shape = flatten(tree)
    columns = [found]
    for other in others:
        values, other_shape = flatten(other)
        _check_same(shape, other_shape, "map_leaves")
        columns.append(values)
    return shape.unflatten([function(*row) for row in zip(*columns, strict=True)])


def check_same_structure(left: Any, right: Any, what: str) -> None:
    """Raises LaminaError unless two trees have the same structure."""
    _check_same(structure(left), structure(right), what)


def _check_same(expected: Structure, found: Structure, what: str) -> None:
    if expected != found:
        raise LaminaError(f"{what}: {difference(expected, found)}")


LONGEST_SHOWN = 200


def difference(expected: Structure, found: Structure) -> str:
    """Where two structures differ, in words."""
    texts = str(expected), str(found)
    if texts[0] != texts[1] and max(map(len, texts)) <= LONGEST_SHOWN:
        return f"expected the structure {texts[0]}, found {texts[1]}"
    wanted, given = list(expected.paths()), list(found.paths())
    missing, extra = _without(wanted, set(given)), _without(given, set(wanted))
    if missing or extra:
        parts = [f"{word} {_listed(paths)}" for word, paths in (("missing", missing), ("unexpected", extra)) if paths]
        return "; ".join(parts)
    path, first, second = _first_difference(expected, found, "")
    where = f" at '{path}'" if path else ""
    if first.kind is not second.kind:
        return f"expected {_kind_name(first)}{where}, found {_kind_name(second)}"
    return f"expected {_kind_name(first)}{where} with {first.static}, found one with {second.static}"


def _first_difference(expected: Structure, found: Structure, path: str) -> tuple[str, Structure, Structure]:
    if expected.kind is found.kind and expected.names == found.names and expected.static == found.static:
        for name, first, second in zip(expected.names, expected.children, found.children, strict=True):
            if first != second:
                return _first_difference(first, second, _join(path, name))
    return path, expected, found


def _kind_name(shape: Structure) -> str:
    return "a leaf" if shape.kind is None else f"a {shape.kind.__name__}"


def _without(paths: Sequence[str], known: set[str]) -> list[str]:
    return [path for path in paths if path not in known]


def _listed(paths: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(f"'{path}'" for path in paths[:most])
    return shown if len(paths) <= most else f"{shown} and {len(paths) - most} more"


def _join(prefix: str, name: Any) -> str:
    return f"{prefix}.{name}" if prefix else str(name)


# Types of nodes


def register(
    type_: type, flatten: Callable[[Any], Parts], unflatten: Callable[[Sequence[Any], Any, Sequence[Any]], Any]
) -> None:
    """Make a class and the classes derived from it nodes.

    `flatten(object)` gives the children's names, their values and what else the object holds; `unflatten(names, other,
    values)` gives an object with these children.
    """
    _REGISTERED[type_] = Node(flatten, unflatten)
    _node.cache_clear()


def leaf(type_: Type) -> Type:
    """Decorator of a dataclass whose objects are leaves."""
    _LEAVES.add(type_)
    return type_


def static(**options: Any) -> Any:
    """A dataclass field that is configuration, no child: `heads: int = lamina.trees.static(default=4)`."""
    return dataclasses.field(metadata={STATIC: True}, **options)


_REGISTERED: dict[type, Node] = {}
_LEAVES: set[type] = set()


@cache
def _node(type_: type) -> Node | None:
    """How trees of a type are taken apart; None for a leaf."""
    for base in type_.__mro__:
        if base in _LEAVES:
            return None
        if base in _REGISTERED:
            return _REGISTERED[base]
    kind: Any = type_
    if issubclass(kind, Mapping):
        return Node(_flatten_mapping, _build_dict)
    if _is_named(kind):
        # Named by position, so that the names of inputs and outputs do not depend on the type of tuple.
        return Node(_flatten_sequence, partial(_build_named_tuple, type_))
    if issubclass(kind, tuple | list):
        return Node(_flatten_sequence, partial(_build_sequence, list if issubclass(kind, list) else tuple))
    if dataclasses.is_dataclass(kind):
        return Node(_flatten_dataclass, partial(_build_dataclass, type_))
    return Node(_flatten_none, _build_none) if kind is type(None) else None


def _is_named(type_: Any) -> bool:
    """Whether a type is that of named tuples."""
    return issubclass(type_, tuple) and hasattr(cast(Any, type_), "_fields")


def _flatten_none(_: None) -> Parts:
    return (), (), None


def _build_none(_names: Sequence[Any], _other: Any, _values: Sequence[Any]) -> None:
    return None


def _build_dict(names: Sequence[Any], _other: Any, values: Sequence[Any]) -> dict[Any, Any]:
    return dict(zip(names, values, strict=True))


def _build_named_tuple(type_: Any, _names: Sequence[Any], _other: Any, values: Sequence[Any]) -> Any:
    return type_(*values)


def _build_sequence(type_: Any, _names: Sequence[Any], _other: Any, values: Sequence[Any]) -> Any:
    return type_(values)


def _flatten_mapping(tree: Mapping[Any, Any]) -> Parts:
    try:
        names = sorted(tree)
    except TypeError:
        raise LaminaError(f"a tree's dict: expected keys that can be sorted, found {list(tree)}") from None
    return names, [tree[name] for name in names], None


def _flatten_sequence(tree: Sequence[Any]) -> Parts:
    return range(len(tree)), tree, None


def _flatten_dataclass(tree: Any) -> Parts:
    fields = dataclasses.fields(tree)
    names = [field.name for field in fields if not field.metadata.get(STATIC)]
    other = tuple((field.name, getattr(tree, field.name)) for field in fields if field.metadata.get(STATIC))
    return names, [getattr(tree, name) for name in names], other


def _build_dataclass(type_: type[object], names: Sequence[Any], other: Any, values: Sequence[Any]) -> Any:
    # Not through __init__, which may check or convert what is given.
    built: Any = object.__new__(type_)
    for name, value in (*zip(names, values, strict=True), *other):
        object.__setattr__(built, name, value)
    return built
