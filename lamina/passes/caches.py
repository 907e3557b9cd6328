"""The caches of a target, as `lamina.target` tells their sizes."""

from __future__ import annotations

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp
from xdsl.ir import Operation

from lamina.passes.registers import TARGET


def cache_bytes(op: Operation, level: str) -> int | None:
    """The bytes of cache `l1`, `l2` or `l3` of the target of an op's module; None where that does not say."""
    module = op.get_toplevel_object()
    target = module.attributes.get(TARGET) if isinstance(module, ModuleOp) else None
    size = target.data.get(level) if isinstance(target, DictionaryAttr) else None
    return size.value.data if isinstance(size, IntegerAttr) and size.value.data > 0 else None
