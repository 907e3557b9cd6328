"""Extending an upstream dialect of xDSL: replace ops of the same name, add the missing ones."""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.dialect_interfaces.constant_materialization import ConstantMaterializationInterface
from xdsl.ir import Dialect, Operation


def with_ops(dialect: Dialect, ops: Iterable[type[Operation]]) -> Dialect:
    """`dialect` with `ops` added; an op whose name the dialect has already replaces that one."""
    by_name = {op.name: op for op in dialect.operations} | {op.name: op for op in ops}
    materialization = dialect.get_interface(ConstantMaterializationInterface)
    return Dialect(
        dialect.name,
        list(by_name.values()),
        list(dialect.attributes),
        [] if materialization is None else [materialization],
    )
