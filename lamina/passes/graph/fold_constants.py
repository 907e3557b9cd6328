"""`fold-constants`: compute at compile time what depends on constants only, within bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DenseResourceAttr, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import is_side_effect_free
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.context import resources_of
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import Array, GraphOp
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.packing import UnpackOp
from lamina.dialects.graph.types import dtype_of
from lamina.passes.base import LaminaPass
from lamina.passes.graph.evaluation import evaluate_op
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.resources import ResourceStore

MAX_COMPUTED_BYTES = 1 << 20
"""The largest result that folding computes; data movement has no such limit."""

MAX_GROWTH = 8
"""The largest ratio of a folded result's bytes to its operands' bytes."""

ALWAYS_FOLDED_BYTES = 512
"""A result this small is folded whatever its operands are (a `graph.iota` has none)."""

DATA_MOVEMENT = frozenset(
    f"graph.{name}"
    for name in (
        "bitcast",
        "broadcast",
        "cast",
        "concatenate",
        "dynamic_reshape",
        "dynamic_slice",
        "gather",
        "pad",
        "reshape",
        "reverse",
        "slice",
        "transpose",
    )
)
"""Ops that compute nothing: their results cost what moving the bytes costs."""


@dataclass(frozen=True)
class FoldConstantsPass(LaminaPass):
    """Replace ops of constants, and small integer tensors whose elements are known sizes, by constants.

    ```mlir
    %w = graph.constant dense_resource<c0> : tensor<384x128xf32>      →      %t = graph.constant dense_resource<c1> : …
    %t = graph.transpose %w, [1, 0] : …
    ```

    A result of more than 1 MiB is computed only when the op moves data, and a result of more than 8 times the bytes
    of its operands is left alone (a broadcast is cheaper to do than to load). New constants go into the context's
    resource store; constants that the store lacks are left alone.
    """

    name = "fold-constants"
    ensures: ClassVar[frozenset[str]] = frozenset({"constants-folded"})
    counters: ClassVar[Mapping[str, str]] = {"folded": "ops replaced by constants"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in graph_functions(op):
            self.count("folded", fold_constants(function, resources))


def fold_constants(function: func.FuncOp, resources: ResourceStore) -> int:
    """Fold in one function, nested regions included, and return how many ops; dead ops are removed."""
    folded = 0
    analysis = ShapeAnalysis(function)
    for op in list(function.walk()):
        if not isinstance(op, GraphOp) or isinstance(op, ConstantOp | UnpackOp) or op.regions or not op.results:
            continue
        if not is_side_effect_free(op):
            continue
        arrays = _known_elements(op, analysis) or _computed(op, analysis, resources)
        if arrays is not None:
            _replace(op, arrays, resources)
            folded += 1
    region_dce(function.body)
    return folded


def _known_elements(op: GraphOp, analysis: ShapeAnalysis) -> Sequence[Array] | None:
    """The results as arrays when all of them are small integer tensors of known sizes, or what compares such."""
    arrays: list[Array] = []
    for result in op.results:
        known = analysis.of(result)
        if known.elements is None:
            return None
        elements = [element for element in known.elements if isinstance(element, int)]
        if len(elements) != len(known.elements):
            return None
        arrays.append(np.array(elements, dtype_of(known.element_type)).reshape([int(str(d)) for d in known.shape]))
    return arrays


def _computed(op: GraphOp, analysis: ShapeAnalysis, resources: ResourceStore) -> Sequence[Array] | None:
    constants = [operand.owner for operand in op.operands]
    if not all(isinstance(owner, ConstantOp) and _available(owner, resources) for owner in constants):
        return None
    if not _worth_folding(op, analysis):
        return None
    operands = [owner.array(resources) for owner in constants if isinstance(owner, ConstantOp)]
    try:
        return evaluate_op(op, operands)
    except LaminaError:
        # What fails here fails in a run too, if it is ever reached.
        return None


def _available(constant: ConstantOp, resources: ResourceStore) -> bool:
    value = constant.value
    return not isinstance(value, DenseResourceAttr) or value.resource_handle.data in resources


def _worth_folding(op: GraphOp, analysis: ShapeAnalysis) -> bool:
    after = _bytes(op.results, analysis)
    before = _bytes(op.operands, analysis)
    if after is None or before is None:
        return False
    if after <= ALWAYS_FOLDED_BYTES:
        return True
    return after <= MAX_GROWTH * before and (after <= MAX_COMPUTED_BYTES or op.name in DATA_MOVEMENT)


def _bytes(values: Sequence[SSAValue], analysis: ShapeAnalysis) -> int | None:
    """The bytes of some tensors; None where a size is not known."""
    total = 0
    for value in values:
        known = analysis.of(value)
        sizes = [dim for dim in known.shape if isinstance(dim, int)]
        if len(sizes) != len(known.shape):
            return None
        total += math.prod(sizes) * dtype_of(known.element_type).itemsize
    return total


def _replace(op: Operation, arrays: Sequence[Array], resources: ResourceStore) -> None:
    for result, array in zip(op.results, arrays, strict=True):
        constant = ConstantOp.from_array(array, resources, op.location)
        constant.result.name_hint = result.name_hint
        Rewriter.insert_op(constant, InsertPoint.before(op))
        if constant.result.type != result.type:
            result = Rewriter.replace_value_with_new_type(result, constant.result.type)
        result.replace_all_uses_with(constant.result)
    Rewriter.erase_op(op)
