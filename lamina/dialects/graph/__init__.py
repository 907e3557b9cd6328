"""The graph dialect: whole-model ops on immutable tensors, one file per family."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.ir import Dialect

from lamina.dialects.graph.attention import ATTENTION_OPS
from lamina.dialects.graph.barrier import BARRIER_OPS
from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.composite import COMPOSITE_OPS
from lamina.dialects.graph.constant import CONSTANT_OPS
from lamina.dialects.graph.contraction import CONTRACTION_OPS
from lamina.dialects.graph.control_flow import CONTROL_FLOW_OPS
from lamina.dialects.graph.convolution import CONVOLUTION_OPS
from lamina.dialects.graph.data_movement import DATA_MOVEMENT_OPS
from lamina.dialects.graph.elementwise import ELEMENTWISE_OPS
from lamina.dialects.graph.group_norm import GROUP_NORM_OPS
from lamina.dialects.graph.packing import PACKING_OPS
from lamina.dialects.graph.reduction import REDUCTION_OPS
from lamina.dialects.graph.resize import RESIZE_OPS
from lamina.dialects.graph.scan import SCAN_OPS
from lamina.dialects.graph.sort import SORT_OPS

FAMILIES: Mapping[str, tuple[type[GraphOp], ...]] = {
    "constant": CONSTANT_OPS,
    "elementwise": ELEMENTWISE_OPS,
    "data_movement": DATA_MOVEMENT_OPS,
    "packing": PACKING_OPS,
    "reduction": REDUCTION_OPS,
    "sort": SORT_OPS,
    "contraction": CONTRACTION_OPS,
    "convolution": CONVOLUTION_OPS,
    "control_flow": (*CONTROL_FLOW_OPS, *SCAN_OPS, *BARRIER_OPS),
    "composite": (*COMPOSITE_OPS, *GROUP_NORM_OPS, *RESIZE_OPS),
    "attention": ATTENTION_OPS,
}
"""The ops by family; a family has one file name everywhere."""

GRAPH_OPS: tuple[type[GraphOp], ...] = tuple(op for family in FAMILIES.values() for op in family)
"""Every op of the dialect, family by family."""

Graph = Dialect("graph", [*GRAPH_OPS])
