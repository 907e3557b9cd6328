"""`recognize-group-norms`: a norm of features taken apart into groups becomes one op on the features as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.context import resources_of
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.canonicalization.support import splat
from lamina.dialects.graph.composite import LayerNormOp
from lamina.dialects.graph.data_movement import DynamicReshapeOp, ReshapeOp
from lamina.dialects.graph.elementwise import AddOp, MultiplyOp
from lamina.dialects.graph.group_norm import GroupNormOp
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.matching import sole_user
from lamina.passes.graph.rewriting import take_over
from lamina.passes.graph.shape_analysis import ShapeAnalysis, shape_of_type
from lamina.resources import ResourceStore


@dataclass(frozen=True)
class RecognizeGroupNormsPass(LaminaPass):
    """Replace reshape, norm of rows, reshape, scale and bias by the group norm that they are.

    ```mlir
    %r = graph.reshape %x, [2, 4, -1] : tensor<2x8x6x6xf32> …      →      %y = graph.group_norm %x, %s, %b,
    %n = graph.layer_norm %r, %one, %zero, axis = 2 …                          dimension = 1, groups = 4
    %u = graph.reshape %n, [2, 8, 6, 6]
    %v = graph.multiply %u, %scale : …, tensor<8x1x1xf32>
    %y = graph.add %v, %bias : …, tensor<8x1x1xf32>
    ```

    The norm of the rows may be an instance norm (a group norm with as many groups as features) as well, and the scale,
    or the scale and the bias, may be missing. As one op it has no order of axes of its own: `assign-layouts` moves the
    features where its neighbors have them.
    """

    name = "recognize-group-norms"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"group-norms-recognized"})
    counters: ClassVar[Mapping[str, str]] = {"recognized": "group norms that took the place of norms of rows"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in graph_functions(op):
            self.count("recognized", recognize_group_norms(function, resources))


def recognize_group_norms(function: func.FuncOp, resources: ResourceStore) -> int:
    """Recognize the group norms of one function; dead ops are removed. Gives how many were found."""
    found = 0
    candidates = [op for op in function.walk() if isinstance(op, ReshapeOp | DynamicReshapeOp)]
    if not any(isinstance(op.operand.owner, LayerNormOp | GroupNormOp | AddOp) for op in candidates):
        return 0
    analysis = ShapeAnalysis(function)
    for op in candidates:
        match = _match(op, analysis)
        if match is not None and _replace(match, analysis, resources):
            found += 1
    if found:
        region_dce(function.body)
    return found


@dataclass(frozen=True)
class _Match:
    """A group norm that gives the value of `last`; scale and bias as they are written, None for 1 and 0."""

    last: Operation
    x: SSAValue
    groups: int
    epsilon: float
    scale: SSAValue | None = None
    bias: SSAValue | None = None


def _match(back: ReshapeOp | DynamicReshapeOp, analysis: ShapeAnalysis) -> _Match | None:
    norm = _without_zero(back.operand).owner
    if not isinstance(norm, LayerNormOp | GroupNormOp) or not _is_plain(norm):
        return None
    apart = norm.operand.owner
    if not isinstance(apart, ReshapeOp | DynamicReshapeOp):
        return None
    x = apart.operand
    shape, rows = analysis.shape(x), analysis.shape(norm.operand)
    if len(rows) != 3 or len(shape) < 3 or analysis.shape(back.results[0]) != shape:
        return None
    groups, features = rows[1], shape[1]
    if not isinstance(groups, int) or not isinstance(features, int) or groups < 1 or features % groups:
        return None
    whole_rows = norm.axis.value.data == 2 if isinstance(norm, LayerNormOp) else _is_instance_norm(norm, groups)
    if not whole_rows or rows[0] != shape[0]:
        return None
    match = _Match(back, x, groups, norm.epsilon.value.data)
    scale, last = _per_feature(back, MultiplyOp, features, len(shape))
    bias, last = _per_feature(last, AddOp, features, len(shape))
    return _Match(last, x, groups, match.epsilon, scale, bias)


def _without_zero(value: SSAValue) -> SSAValue:
    """A value to which a splat 0 is added: what instance norms without a bias come to."""
    owner = value.owner
    if isinstance(owner, AddOp) and owner.lhs.type == owner.result.type and splat(owner.rhs) == 0:
        return owner.lhs
    return value


def _is_plain(norm: LayerNormOp | GroupNormOp) -> bool:
    """Whether scale and bias are 1 and 0 (a result of -0.0 becomes 0.0 then, or the other way round)."""
    return splat(norm.scale) == 1 and splat(norm.bias) == 0


def _is_instance_norm(norm: GroupNormOp, groups: int) -> bool:
    return norm.dimension.value.data == 1 and norm.groups.value.data == groups


def _per_feature(
    last: Operation, kind: type[AddOp | MultiplyOp], features: int, rank: int
) -> tuple[SSAValue | None, Operation]:
    """The other operand of the only user of `last`, where it is of `kind` and has one number for each feature."""
    user = sole_user(last.results[0])
    if not isinstance(user, kind) or user.parent is not last.parent or user.results[0].type != last.results[0].type:
        return None, last
    other = user.rhs if user.lhs is last.results[0] else user.lhs
    shape = shape_of_type(other.type)
    aligned = (*(1,) * (rank - len(shape)), *shape)
    if len(shape) > rank or aligned != (1, features, *(1,) * (rank - 2)):
        return None, last
    return other, user


def _replace(match: _Match, analysis: ShapeAnalysis, resources: ResourceStore) -> bool:
    last, before = match.last, match.last.prev_op
    builder = GraphBuilder(InsertPoint.before(last), resources, last.location)
    known = analysis.of(match.x)
    builder.declare(match.x, known)
    features = cast(int, known.shape[1])

    def parameter(value: SSAValue | None, otherwise: float) -> SSAValue:
        if value is None:
            number = builder.constant(otherwise, known.element_type)
            return builder.broadcast(number, (features,))
        return builder.reshape(value, (features,))

    result = builder.group_norm(
        match.x, parameter(match.scale, 1.0), parameter(match.bias, -0.0), 1, match.groups, match.epsilon
    )
    return take_over(last, result, before)
