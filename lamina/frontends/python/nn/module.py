"""Modules: objects whose attributes hold parameters, and what is done with all parameters of one at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeAlias, TypeVar
from typing import cast as cast_type

import numpy as np
import numpy.typing as npt

from lamina.diagnostics import LaminaError
from lamina.frontends.python.nn.initializers import Initializer, normal, zeros
from lamina.frontends.python.random import fold_in
from lamina.frontends.python.specs import DTypeLike, Spec, parse_dtype
from lamina.frontends.python.tracer import Traced
from lamina.trees import Structure, difference, flatten, leaf, leaves, map_leaves, register

Array: TypeAlias = "npt.NDArray[Any]"
Value: TypeAlias = "Traced | Array"
"""What operations take: a parameter that is used has a value."""
Tree = TypeVar("Tree")


@leaf
@dataclass(frozen=True)
class Parameter(Spec):
    """A parameter that has no value yet: its shape and dtype, and how `initialize` makes one."""

    initializer: Initializer = field(default=zeros, compare=False)


SMALL = normal(0.02)


def parameter(shape: Sequence[int], initializer: Initializer = SMALL, dtype: DTypeLike = "f32") -> Any:
    """A parameter without a value: `initialize` or `load` gives it one, or `trace` makes it an argument."""
    return Parameter(tuple(shape), parse_dtype(dtype), None, initializer)


class Module:
    """Base class of models and layers. Assign parameters, modules, and lists, tuples and dicts of them to attributes
    in `__init__`, and define `__call__`.

    A module is a tree (`lamina.trees`): attributes that hold arrays, parameters or modules are its children, under
    PyTorch's names; all others are configuration, which is compared and never changed. Functions that change
    parameters give a new module. Inside a traced function, a module that came as an argument is a copy of its own,
    whose attributes may be assigned to.
    """

    BUFFERS: ClassVar[tuple[str, ...]] = ()
    """Names of attributes with arrays that are not trained, such as running statistics."""

    _children: tuple[str, ...] = ()
    """Attributes that are children whatever they hold, because they were before leaves were exchanged."""

    def tree_children(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """Names and values of the children."""
        names = [name for name, value in vars(self).items() if name in self._children or _holds_arrays(value)]
        return names, [getattr(self, name) for name in names]

    def with_children(self, names: Sequence[Any], values: Sequence[Any]) -> Self:
        """A copy with these children."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(zip(names, values, strict=True))
        copy.__dict__["_children"] = tuple(names)
        return copy

    def configuration(self) -> dict[str, Any]:
        """The attributes that are no children."""
        children = {*self.tree_children()[0], "_children"}
        return {name: value for name, value in vars(self).items() if name not in children}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        raise LaminaError(f"{type(self).__name__} does not define __call__")

    def __repr__(self) -> str:
        names, values = self.tree_children()
        lines = [f"{name}={value!r}" for name, value in self.configuration().items()]
        lines += [f"{name}={_short(value)}" for name, value in zip(names, values, strict=True)]
        if not any("\n" in line for line in lines) and sum(map(len, lines)) < 90:
            return f"{type(self).__name__}({', '.join(lines)})"
        return type(self).__name__ + _block("()", lines)


class _Skeleton:
    """A module without its children; equal to another with the same configuration."""

    __slots__ = ("module",)

    def __init__(self, module: Module):
        self.module = module

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Skeleton) and self.module.configuration() == other.module.configuration()

    def __repr__(self) -> str:
        return str(self.module.configuration())


def _flatten_module(module: Module) -> tuple[Sequence[Any], Sequence[Any], Any]:
    names, values = module.tree_children()
    # The children stay where they are: a skeleton keeps nothing alive but what it is compared with.
    return names, values, _Skeleton(module.with_children(names, (None,) * len(names)))


register(Module, _flatten_module, lambda names, other, values: other.module.with_children(names, values))


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Traced | Spec) or hasattr(value, "__dlpack__")


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, Module) or _is_array(value):
        return True
    if value is None or isinstance(value, str | int | float):
        return False
    members, _ = flatten(value, is_leaf=_is_module)
    return any(_is_module(each) or _is_array(each) for each in members)


def _is_module(value: Any) -> bool:
    return isinstance(value, Module)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        entries = cast_type("dict[Any, Any]", value)
        return _block("{}", [f"{name}: {_short(item)}" for name, item in entries.items()])
    if isinstance(value, list | tuple):
        return _block("[]", [_short(item) for item in cast_type("Sequence[Any]", value)])
    if isinstance(value, np.ndarray | Spec):
        tensor: Any = value  # pyright: ignore[reportUnknownVariableType]
        return f"{tensor.dtype.name}[{', '.join(map(str, tensor.shape))}]"
    return repr(value)


def _block(brackets: str, items: Sequence[str]) -> str:
    inner = "".join(f"\n  {item.replace(chr(10), chr(10) + '  ')}," for item in items)
    return f"{brackets[0]}{inner}\n{brackets[1]}"


# All parameters of a module


def named_parameters(module: Any) -> dict[str, Any]:
    """The parameters of a module, or the leaves of any tree, by path."""
    return dict(leaves(module))


def count_parameters(module: Any) -> int:
    """The number of elements of all parameters."""
    return sum(int(np.prod(each.shape, dtype=np.int64)) for each in flatten(module)[0])


def initialize(module: Tree, seed: int) -> Tree:
    """The module with values for all parameters that have none.

    What a parameter gets depends on the seed, its path and its shape only.
    """
    found, structure = flatten(module)
    values: list[Any] = []
    for path, each in zip(structure.paths(), found, strict=True):
        if isinstance(each, Parameter):
            sizes = [_static(path, size) for size in each.shape]
            generator = np.random.default_rng([seed, *path.encode()])
            values.append(np.asarray(each.initializer(generator, sizes)).astype(each.dtype))
        else:
            values.append(each)
    return structure.unflatten(values)


def _static(path: str, size: Any) -> int:
    if isinstance(size, int):
        return size
    raise LaminaError(f"parameter '{path}': expected numbers for sizes, found {size}")


def cast(module: Tree, dtype: DTypeLike) -> Tree:
    """The module with all floating-point parameters converted."""
    target = parse_dtype(dtype)

    def convert(value: Any) -> Any:
        if not _is_float(value.dtype):
            return value
        if isinstance(value, Parameter):
            return Parameter(value.shape, target, value.name, value.initializer)
        return value.astype(target)

    return map_leaves(convert, module)


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype.name == "bfloat16"


def split(module: Tree) -> tuple[Tree, Tree]:
    """The module with None for all buffers, and with None for all parameters: what is trained, and what is not."""
    found, structure = flatten(module)
    rows = list(zip(found, _buffers(structure, False), strict=True))
    parameters = [None if is_buffer else each for each, is_buffer in rows]
    return structure.unflatten(parameters), structure.unflatten(
        [each if is_buffer else None for each, is_buffer in rows]
    )


def _buffers(structure: Structure, inside: bool) -> Iterator[bool]:
    """For each leaf whether it is a buffer, or in one."""
    if structure.kind is None:
        yield inside
        return
    names = structure.kind.BUFFERS if issubclass(structure.kind, Module) else ()
    for name, child in zip(structure.names, structure.children, strict=True):
        yield from _buffers(child, inside or name in names)


def merge(first: Tree, second: Tree) -> Tree:
    """The inverse of `split`: all leaves of two trees, each of which has None where the other has a leaf.

    Raises LaminaError where both have a leaf, or the trees have different structures.
    """
    left, structure = flatten(first, is_leaf=_is_none)
    right, other = flatten(second, is_leaf=_is_none)
    if structure != other:
        raise LaminaError(f"merge: {difference(structure, other)}")
    for path, a, b in zip(structure.paths(), left, right, strict=True):
        if a is not None and b is not None:
            raise LaminaError(f"merge: both trees have '{path}'")
    return structure.unflatten([b if a is None else a for a, b in zip(left, right, strict=True)])


def _is_none(value: Any) -> bool:
    return value is None


# Training or inference


@dataclass
class _Training:
    key: Any
    used: int = 0


_training: ContextVar[_Training | None] = ContextVar("_training", default=None)


@contextmanager
def training(key: Any = None) -> Generator[None]:
    """While a traced function runs inside: BatchNorm uses the batch's statistics and updates its own, Dropout drops.

    `key` is where random numbers come from.
    """
    token = _training.set(_Training(key))
    try:
        yield
    finally:
        _training.reset(token)


def is_training() -> bool:
    """Whether layers behave as in training: inside of `training`."""
    return _training.get() is not None


def next_key() -> Any:
    """A random key for the next layer that needs one, made from the key of `training`; raises LaminaError without."""
    state = _training.get()
    if state is None or state.key is None:
        raise LaminaError("a layer needs random numbers", hints=("nn.training(key), with lamina.random.key(seed)",))
    state.used += 1
    return fold_in(state.key, state.used)
