"""`--inputs`: arrays from .npy and .npz files, by position or by name."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lamina.diagnostics import LaminaError

Array = npt.NDArray[Any]
DAMAGE = (
    *(ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
    *(SyntaxError, tokenize.TokenError, MemoryError, OverflowError, TypeError, KeyError),
)
"""What NumPy raises for files that are none of its own, or damaged: archives, headers, sizes that do not exist."""
INPUTS_HELP = (
    "one array per input, in the model's order; NAME=FILE.npy, or FILE.npz with the inputs' names, in any order"
)


def read_inputs(texts: Sequence[str], names: Sequence[str]) -> list[Array]:
    """One array per name: `FILE.npz` and `NAME=FILE.npy` say which, each other `FILE.npy` is the next that is left.

    Nothing in a file is executed. Raises LaminaError for unreadable files, unknown names, too few and too many arrays.
    """
    named: dict[str, Array] = {}
    unnamed: list[str] = []
    for text in texts:
        name, separator, path = text.partition("=")
        if text.endswith(".npz"):
            found = read_npz(Path(text))
        elif separator and name in names:
            found = {name: read_npy(Path(path))}
        else:
            unnamed.append(text)
            continue
        for given, array in found.items():
            if given not in names or given in named:
                problem = f"'{given}' is given twice" if given in named else f"the model has no input '{given}'"
                raise LaminaError(problem, where=text, hints=(f"its inputs are {', '.join(names) or 'none'}",))
            named[given] = array
    left = [name for name in names if name not in named]
    if len(unnamed) > len(left):
        raise LaminaError(
            f"more arrays than inputs: the model has {len(names)}",
            where=unnamed[len(left)],
            hints=(f"its inputs are {', '.join(names) or 'none'}",),
        )
    named |= {name: read_npy(Path(path)) for name, path in zip(left, unnamed, strict=False)}
    missing = [name for name in names if name not in named]
    if missing:
        raise LaminaError(f"no array for the input '{missing[0]}'", where="--inputs", hints=(INPUTS_HELP,))
    return [named[name] for name in names]


def read_npy(path: Path) -> Array:
    """One array; raises LaminaError when the file is no .npy file."""
    loaded = _loaded(path, ".npy")
    if hasattr(loaded, "files"):
        raise LaminaError("holds several arrays, expected one", where=os.fspath(path), hints=("call the file .npz",))
    return loaded


def read_npz(path: Path) -> Mapping[str, Array]:
    """The arrays of a .npz file by name; raises LaminaError when it is none."""
    loaded = _loaded(path, ".npz")
    if not hasattr(loaded, "files"):
        raise LaminaError("holds one array without a name", where=os.fspath(path), hints=("call the file .npy",))
    with loaded:
        # `files` has names without .npy; of an archive with both `x` and `x.npy`, the latter is the array.
        members = set(loaded.zip.namelist())
        return {
            name: _member(loaded, f"{name}.npy" if f"{name}.npy" in members else name, path) for name in loaded.files
        }


def _loaded(path: Path, kind: str) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        raise LaminaError(f"cannot be read: {error.strerror or error}", where=os.fspath(path)) from None
    except DAMAGE:
        raise LaminaError(
            f"cannot be read as {kind}: it is cut short, of another kind, or holds Python objects",
            where=os.fspath(path),
            hints=("numpy.save writes .npy, numpy.savez .npz",),
        ) from None


def _member(archive: Any, name: str, path: Path) -> Array:
    try:
        array = archive[name]
    except (OSError, *DAMAGE):
        raise LaminaError(
            f"the array '{name}' cannot be read: damaged, encrypted, or Python objects", where=str(path)
        ) from None
    if not isinstance(array, np.ndarray):
        raise LaminaError(f"'{name}' is no array", where=str(path), hints=("numpy.savez writes .npz",))
    return cast("Array", array)
