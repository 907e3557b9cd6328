"""Parameters from and to safetensors files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from lamina import safetensors
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.types import element_type_of, is_float
from lamina.trees import flatten

Array: TypeAlias = "npt.NDArray[Any]"
Source: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, Array]"
"""A file, several files, the index of several (`model.safetensors.index.json`), or arrays by name."""
Rename: TypeAlias = "Callable[[str], str] | Mapping[str, str] | None"
"""From a parameter's path to the name in the file: a function, or regular expressions and their replacements."""
Tree = TypeVar("Tree")

IGNORED = ("*.num_batches_tracked",)
"""What PyTorch's files hold besides parameters."""
SHOWN = 20


def load(
    module: Tree,
    source: Source,
    *,
    rename: Rename = None,
    ignore: Sequence[str] = IGNORED,
    strict: bool = True,
) -> Tree:
    """The module with the values of safetensors files for its parameters.

    A tensor is found under the parameter's path (`layers.0.weight`), renamed by `rename`; the tensors' dtype is
    converted where it differs. Files are mapped, not copied. Raises LaminaError, with all of them at once, for
    parameters that the file lacks, tensors that no parameter has (except those matching a pattern of `ignore`), and
    shapes that differ. Without `strict`, parameters that the file lacks stay as they are and further tensors are
    ignored.
    """
    tensors, where = _tensors(source)
    renamed = _renaming(rename)
    found, structure = flatten(module)
    paths = list(structure.paths())
    names = [renamed(path) for path in paths]
    problems = _shape_problems(paths, names, found, tensors)
    if strict:
        missing = [_both(p, n) for p, n in zip(paths, names, strict=True) if n not in tensors]
        expected = set(names)
        extra = [n for n in tensors if n not in expected and not any(fnmatchcase(n, pattern) for pattern in ignore)]
        problems = [
            *_listed("missing in the file", missing),
            *_listed("in the file, but no parameter", extra),
            *problems,
        ]
    if problems:
        raise LaminaError(
            "the tensors do not fit the module:\n" + "\n".join(f"  {line}" for line in problems),
            where=where,
            hints=("rename= maps paths to names in the file, ignore= leaves tensors out",),
        )
    values = [
        _converted(path, own, tensors[name]) if name in tensors else own
        for path, name, own in zip(paths, names, found, strict=True)
    ]
    return structure.unflatten(values)


def save(
    module: Any,
    path: str | os.PathLike[str],
    *,
    rename: Rename = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the parameters of a module, or the leaves of any tree of arrays, to a safetensors file.

    Raises LaminaError for a parameter without a value, for two under one name, and when the file cannot be written.
    """
    renamed = _renaming(rename)
    found, structure = flatten(module)
    tensors: dict[str, Array] = {}
    for each, leaf in zip(structure.paths(), found, strict=True):
        name = renamed(each)
        if not isinstance(leaf, np.ndarray | np.generic | int | float):
            raise LaminaError(f"'{each}': expected an array, found {type(leaf).__name__}", where=os.fspath(path))
        if name in tensors:
            raise LaminaError(f"two parameters have the name '{name}'", where=os.fspath(path))
        tensors[name] = np.asarray(leaf)
    try:
        safetensors.write(path, tensors, metadata)
    except OSError as error:
        raise LaminaError(f"cannot be written: {error.strerror}", where=os.fspath(path)) from None


def _tensors(source: Source) -> tuple[Mapping[str, Array], str | None]:
    if isinstance(source, Mapping):
        return source, None
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        files = _indexed(path) if path.suffix == ".json" else [path]
    else:
        files = [Path(each) for each in source]
    tensors: dict[str, Array] = {}
    for file in files:
        tensors.update(safetensors.read(file).tensors)
    return tensors, ", ".join(map(str, files))


def _indexed(path: Path) -> list[Path]:
    """The files that an index (`{"weight_map": {name: file}}`) names."""
    try:
        index: Any = json.loads(path.read_text())
        return [path.parent / name for name in sorted(set(cast("dict[str, str]", index["weight_map"]).values()))]
    except OSError as error:
        raise LaminaError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LaminaError("is no index of safetensors files", where=str(path)) from None


def _renaming(rename: Rename) -> Callable[[str], str]:
    if rename is None:
        return lambda path: path
    if callable(rename):
        return rename
    patterns = [(re.compile(pattern), replacement) for pattern, replacement in rename.items()]

    def apply(path: str) -> str:
        for pattern, replacement in patterns:
            path = pattern.sub(replacement, path)
        return path

    return apply


def _shape_problems(
    paths: Sequence[str], names: Sequence[str], own: Sequence[Any], tensors: Mapping[str, Array]
) -> list[str]:
    wrong = [
        f"{_both(path, name)}: expected {list(_array(leaf).shape)}, found {list(tensors[name].shape)}"
        for path, name, leaf in zip(paths, names, own, strict=True)
        if name in tensors and tuple(tensors[name].shape) != tuple(_array(leaf).shape)
    ]
    return list(_listed("of another shape", wrong))


def _both(path: str, name: str) -> str:
    return f"'{path}'" if path == name else f"'{path}' (as '{name}')"


def _listed(what: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"{what} ({len(items)}):"
    for item in items[:SHOWN]:
        yield f"  {item}"
    if len(items) > SHOWN:
        yield f"  and {len(items) - SHOWN} more"


def _array(leaf: Any) -> Any:
    """A leaf with a shape and a dtype: Python's numbers, which `save` writes too, become arrays."""
    return np.asarray(leaf) if isinstance(leaf, int | float) else leaf


def _converted(path: str, own: Any, tensor: Array) -> Any:
    """A tensor in the dtype of a leaf; a Python number where the leaf is one."""
    dtype = _array(own).dtype
    if tensor.dtype != dtype:
        if is_float(element_type_of(tensor.dtype)) != is_float(element_type_of(dtype)):
            raise LaminaError(f"'{path}': expected {dtype}, found {tensor.dtype}")
        tensor = tensor.astype(dtype)
    return tensor.item() if isinstance(own, int | float) else tensor
