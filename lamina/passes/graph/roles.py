"""What kind of work each graph op is, as kernel formation sees it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, StringAttr
from xdsl.ir import Operation

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.elementwise_base import ElementwiseOp
from lamina.dialects.graph.extern import ExternOp
from lamina.passes.graph.shape_analysis import sizes_of


class Role(Enum):
    """Kinds of ops; all but HOST end up in kernels."""

    HOST = auto()
    """Stays in the calling function: views, constants, sizes, control flow."""
    ELEMENTWISE = auto()
    """One element of the result from one element of each operand."""
    MOVEMENT = auto()
    """Each element of the result is an element of an operand (or an index): nothing is computed."""
    REDUCTION = auto()
    """Combines elements along axes or windows."""
    ROW = auto()
    """A composite that reduces and normalizes along axes: its result has the shape of its first operand."""
    CONTRACTION = auto()
    """Sums of products."""
    ALONE = auto()
    """A kernel of its own: an update in place, or an op of a plugin that is not elementwise."""


_NAMES: Mapping[Role, str] = {
    Role.HOST: "constant reshape dynamic_reshape shape_of dimension if while scan yield optimization_barrier",
    Role.ELEMENTWISE: (
        "abs negate sign exp expm1 log log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh asinh acosh atanh tanh "
        "erf logistic floor ceil round_nearest_even not is_nan is_inf add subtract multiply divide remainder power "
        "maximum minimum atan2 and or xor shift_left shift_right compare select clamp cast bitcast relu gelu silu "
        "stop_gradient batch_norm"
    ),
    Role.MOVEMENT: (
        "transpose broadcast dynamic_broadcast slice dynamic_slice reverse pad dynamic_pad concatenate gather iota "
        "dynamic_iota pack unpack"
    ),
    Role.REDUCTION: "reduce arg_reduce cumulative reduce_window mean",
    Role.ROW: "softmax log_softmax layer_norm rms_norm",
    Role.CONTRACTION: "dot_general convolution",
    Role.ALONE: "attention dynamic_update_slice scatter arg_sort",
}

ROLES: Mapping[str, Role] = {f"graph.{name}": role for role, names in _NAMES.items() for name in names.split()}
"""The role of every op, by name."""


def role_of(op: Operation) -> Role:
    """The role of an op; of one outside the table, a plugin's, what its class says."""
    role = ROLES.get(op.name)
    if role is not None:
        return role
    if isinstance(op, ElementwiseOp):
        return Role.ELEMENTWISE
    return Role.ALONE if isinstance(op, GraphOp) and not isinstance(op, ExternOp) else Role.HOST


def integers_of(op: Operation, name: str) -> tuple[int, ...]:
    """A property that is a list of integers."""
    attribute = op.properties.get(name)
    if not isinstance(attribute, DenseArrayBase):
        return ()
    return tuple(int(value) for value in attribute.get_values())


def integer_of(op: Operation, name: str) -> int:
    """A property that is one integer."""
    attribute = op.properties[name]
    return attribute.value.data if isinstance(attribute, IntegerAttr) else 0


def has_flag(op: Operation, name: str) -> bool:
    """Whether a unit property is present."""
    return name in op.properties


def pads_leading_axes(op: Operation) -> bool:
    """Whether an op puts a constant around a tensor, along other axes than the last: rows are read as they are."""
    if op.name != "graph.pad" or op.properties["mode"] != StringAttr("constant") or any(integers_of(op, "interior")):
        return False
    return not any(amount and amount[-1] for amount in (integers_of(op, "low"), integers_of(op, "high")))


def operand_rank(op: Operation) -> int:
    """The rank of the first operand."""
    return len(sizes_of(op.operands[0].type))


def reduced_axes(op: Operation) -> tuple[int, ...] | None:
    """The axes that a reduction or row op runs along; None where its result is not one element for each row.

    Windows and running reductions have no such axes.
    """
    match op.name:
        case "graph.reduce" | "graph.mean":
            return tuple(sorted(integers_of(op, "dimensions")))
        case "graph.arg_reduce" | "graph.softmax" | "graph.log_softmax":
            return (integer_of(op, "dimension"),)
        case "graph.layer_norm" | "graph.rms_norm":
            return tuple(range(integer_of(op, "axis"), operand_rank(op)))
        case _:
            return None


def first_row_axis(op: Operation) -> int | None:
    """The first reduced axis when the reduced axes are the last ones, else None: all axes before it share rows."""
    axes = reduced_axes(op)
    rank = operand_rank(op)
    if not axes or axes != tuple(range(axes[0], rank)):
        return None
    return axes[0]
