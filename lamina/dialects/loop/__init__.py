"""The upstream dialects of the loop level: xDSL's, with the ops that it lacks or that only take scalars replaced.

Import the ops from here and from nowhere else, since a replaced op is another class than xDSL's:
`from lamina.dialects.loop import arith, math, memref, scf, vector`.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Dialect


def _arith() -> Dialect:
    from lamina.dialects.loop.arith import Arith

    return Arith


def _memref() -> Dialect:
    from lamina.dialects.loop.memref import MemRef

    return MemRef


def _scf() -> Dialect:
    from lamina.dialects.loop.scf import Scf

    return Scf


def _vector() -> Dialect:
    from lamina.dialects.loop.vector import Vector

    return Vector


def loop_dialects() -> dict[str, Callable[[], Dialect]]:
    """Lazy factories by dialect name; a tool registers them instead of xDSL's."""
    return {"arith": _arith, "memref": _memref, "scf": _scf, "vector": _vector}
