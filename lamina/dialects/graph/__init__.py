"""The graph dialect: whole-model ops on immutable tensors, one file per family."""

from __future__ import annotations

from xdsl.ir import Dialect

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.composite import COMPOSITE_OPS
from lamina.dialects.graph.constant import CONSTANT_OPS
from lamina.dialects.graph.contraction import CONTRACTION_OPS
from lamina.dialects.graph.control_flow import CONTROL_FLOW_OPS
from lamina.dialects.graph.convolution import CONVOLUTION_OPS
from lamina.dialects.graph.data_movement import DATA_MOVEMENT_OPS
from lamina.dialects.graph.elementwise import ELEMENTWISE_OPS
from lamina.dialects.graph.reduction import REDUCTION_OPS

GRAPH_OPS: tuple[type[GraphOp], ...] = (
    *CONSTANT_OPS,
    *ELEMENTWISE_OPS,
    *DATA_MOVEMENT_OPS,
    *REDUCTION_OPS,
    *CONTRACTION_OPS,
    *CONVOLUTION_OPS,
    *CONTROL_FLOW_OPS,
    *COMPOSITE_OPS,
)
"""Every op of the dialect, family by family."""

Graph = Dialect("graph", [*GRAPH_OPS])
