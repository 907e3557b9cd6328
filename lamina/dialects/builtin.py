"""xDSL's builtin dialect, with `dense_resource` keys that mean the same wherever they stand."""

from __future__ import annotations

from xdsl.dialect_interfaces.op_asm import OpAsmDialectInterface
from xdsl.dialects.builtin import Builtin
from xdsl.ir import Dialect


class ContentKeys(OpAsmDialectInterface):
    """Resource keys are content hashes, so equal keys are the same constant and are never renamed.

    xDSL's own interface lives as long as the process and renames a key that it has seen in another module.
    """

    def declare_resource(self, key: str) -> str:
        self._blob_storage.setdefault(key, "")
        return key


def builtin_dialect() -> Dialect:
    """The builtin dialect for one context."""
    return Dialect("builtin", list(Builtin.operations), list(Builtin.attributes), [ContentKeys()])
