"""The parts that belong together are all there: ops with hooks and lit tests, passes with lit files and contracts."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lamina import pipelines
from lamina.diagnostics import LaminaError
from lamina.dialects.graph import FAMILIES, GRAPH_OPS
from lamina.dialects.graph.base import Differentiability, GraphOp
from lamina.lowering.graph_to_linalg import data_movement, elementwise
from lamina.lowering.graph_to_linalg.stages import STAGE_RULES

LIT = Path(__file__).parents[1] / "lit"
CALLER_OPS = {
    "graph.constant",
    "graph.if",
    "graph.while",
    "graph.scan",
    "graph.yield",
    "graph.reshape",
    "graph.dynamic_reshape",
}
"""Lowered where they stand in `main`, not as a stage of a kernel."""
TRACKED_OPS = {"graph.shape_of", "graph.dimension"}
"""Become sizes."""
REMOVED_OPS = {"graph.optimization_barrier"}
"""Gone when kernels are formed."""
EXTERNAL_OPS = {"graph.extern"}
"""Become calls of functions outside."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_lit_files(family: str):
    for name in ("ops", "invalid", "canonicalize"):
        assert (LIT / "dialects" / "graph" / family / f"{name}.mlir").exists()


@pytest.mark.parametrize("op", GRAPH_OPS, ids=lambda op: op.name)
def test_every_op_is_complete(op: type[GraphOp]):
    assert len(inspect.getdoc(op) or "") > 20, f"{op.name} is not documented"
    assert isinstance(op.DIFFERENTIABILITY, Differentiability)
    for hook in ("infer", "reference"):
        assert getattr(op, hook) is not getattr(GraphOp, hook), f"{op.name} has no {hook}"
    lowered = {
        *elementwise.SCALAR_RULES,
        *data_movement.SCALAR_RULES,
        *STAGE_RULES,
        *CALLER_OPS,
        *TRACKED_OPS,
        *REMOVED_OPS,
        *EXTERNAL_OPS,
    }
    assert op.name in lowered or hasattr(op, "decompose"), f"{op.name} has no lowering and no decomposition"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_op_is_in_the_lit_tests_of_its_family(family: str):
    text = (LIT / "dialects" / "graph" / family / "ops.mlir").read_text()
    for op in FAMILIES[family]:
        assert re.search(rf"{re.escape(op.name)}\b", text), f"{op.name} is not in {family}/ops.mlir"


@pytest.mark.parametrize("name", pipelines.PASSES)
def test_every_pass_is_complete(name: str):
    pass_type = pipelines.PASSES[name]()
    assert pass_type.name == name
    assert re.search("→|after::|becomes", inspect.getdoc(pass_type) or ""), f"{name} has no before → after sketch"
    files = [path for path in LIT.rglob(f"{name}.mlir") if name in path.read_text()]
    assert files, f"{name} has no lit file of its name"


def test_every_pass_is_used_by_a_phase():
    used = {name for phase in pipelines.PHASES for name in phase.passes}
    assert set(pipelines.PASSES) <= used | pipelines.ON_REQUEST


def test_phases_give_what_their_passes_require():
    passes = [pipelines.PASSES.get(name) for name in pipelines.pass_names(to=pipelines.PHASE_NAMES[-1])]
    ours = [factory() for factory in passes if factory is not None]
    pipelines.check_order(ours, frozenset(), complete=True)
    with pytest.raises(LaminaError, match="no earlier pass ensures"):
        pipelines.check_order(ours[::-1], frozenset(), complete=True)


ALONE = """
import importlib, os, pkgutil
import numpy, xdsl.dialects.builtin, xdsl.dialects.func, xdsl.parser  # theirs are no question
import lamina
for module in pkgutil.walk_packages(lamina.__path__, "lamina."):
    if os.fork() == 0:
        try:
            importlib.import_module(module.name)
        except BaseException as error:
            print(f"{module.name}: {error!r}", flush=True)
        os._exit(0)
    os.wait()
"""


def test_every_module_is_imported_alone():
    """None needs that another one was imported first."""
    result = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
