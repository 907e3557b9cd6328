"""The sizes that a user gives to symbolic dims."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from lamina.diagnostics import LaminaError


def fixed_sizes(dims: Mapping[str, Any] | None) -> dict[str, int]:
    """`dims` with Python's ints, NumPy's being taken too; raises LaminaError for other keys and values."""
    sizes: dict[str, int] = {}
    for name, size in (dims or {}).items():
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise LaminaError(f"dims: expected the names of sizes, found {name!r}", hints=('such as {"batch": 4}',))
        try:
            sizes[name] = operator.index(size)
        except TypeError:
            raise LaminaError(
                f"dims: the size '{name}' is a whole number, found {size!r}", hints=('such as {"batch": 4}',)
            ) from None
    return sizes
