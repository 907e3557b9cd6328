"""The upstream dialects of the tensor level: xDSL's, with the ops that it cannot read, print or verify replaced.

Import the ops from here (`from lamina.dialects.tensor import linalg, tensor`) and scalars from
`lamina.dialects.loop` (`arith`), since a replaced op is another class than xDSL's.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Dialect


def _linalg() -> Dialect:
    from lamina.dialects.tensor.linalg import Linalg

    return Linalg


def _tensor() -> Dialect:
    from lamina.dialects.tensor.tensor import Tensor

    return Tensor


def tensor_dialects() -> dict[str, Callable[[], Dialect]]:
    """Lazy factories by dialect name; a tool registers them instead of xDSL's."""
    return {"linalg": _linalg, "tensor": _tensor}
