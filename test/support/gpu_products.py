"""Products compiled with a schedule of one GPU target and run, or assembled, for another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import DictionaryAttr, ModuleOp

import lamina
from lamina import pipelines
from lamina.api import module_text
from lamina.context import LaminaContext
from lamina.dialects.hardware.gpu_target import TARGET, GpuDescription, parse_gpu_target
from lamina.interface import signature
from lamina.lowering.to_gpu_text.package import write_package
from lamina.passes.hardware.gpu.assign_gpu_schedules import AssignGpuSchedulesPass
from lamina.passes.hardware.gpu.product_schedule import PRODUCT, ProductSchedule

ROOMY = {"shared_memory": 256 * 1024, "maximum_threads": 1024}
"""What an OpenCL CPU has more of than our `spirv` counts on: room for schedules of other targets."""

Edit = Callable[[ProductSchedule], ProductSchedule]


def traced(function: Callable[..., Any], *specs: Any) -> tuple[ModuleOp, LaminaContext]:
    """A graph-level module of a Python function, and its context."""
    model = lamina.trace(function, *specs)
    return model.module.clone(), model.context


def schedules(module: ModuleOp) -> list[ProductSchedule]:
    """The schedules of the products of a module."""
    return [ProductSchedule.of(op) for op in _products(module)]


def _products(module: ModuleOp) -> list[Any]:
    found = [(op, op.attributes.get("lamina.schedule")) for op in module.walk()]
    return [op for op, one in found if isinstance(one, DictionaryAttr) and one.data["kind"].data == PRODUCT]


@dataclass(frozen=True)
class Scheduled:
    """A module whose kernels are outlined, the schedules of its products, and what a package says besides."""

    module: ModuleOp
    used: list[ProductSchedule]
    description: GpuDescription
    inputs: Any
    outputs: Any


def outlined(
    module: ModuleOp,
    context: LaminaContext,
    schedule_target: str,
    target: str = "",
    edit: Edit | None = None,
    tf32: bool = False,
    figures: Mapping[str, int] | None = None,
    rewrite: Callable[[ModuleOp], None] | None = None,
    prepare: Callable[[ModuleOp], None] | None = None,
) -> Scheduled:
    """Outline kernels with the schedules that `schedule_target` gets, edited, for another target.

    `prepare` changes the module before schedules are written, `rewrite` where all are.
    """
    module.attributes[TARGET] = parse_gpu_target(schedule_target).attribute()
    pipelines.run_passes(module, context, pipelines.gpu_pass_names(to="graph"))
    inputs, outputs = signature(module)
    names = pipelines.gpu_pass_names(after="graph", to="hardware")
    after = names.index("assign-gpu-schedules")
    pipelines.run_passes(module, context, names[:after])
    if prepare is not None:
        prepare(module)
    AssignGpuSchedulesPass(tf32=tf32).apply(context, module)
    for op in _products(module):
        if edit is not None:
            op.attributes["lamina.schedule"] = DictionaryAttr(dict(edit(ProductSchedule.of(op)).attribute()))
    if rewrite is not None:
        rewrite(module)
    used = schedules(module)
    description = _described(target or schedule_target, figures)
    module.attributes[TARGET] = description.attribute()
    pipelines.run_passes(module, context, names[after + 1 :])
    pipelines.verify(module, "outlining kernels")
    return Scheduled(module, used, description, inputs, outputs)


def compile_scheduled(
    module: ModuleOp, context: LaminaContext, folder: Path, schedule_target: str, target: str = "", **options: Any
) -> tuple[list[ProductSchedule], Mapping[str, Any]]:
    """Compile with the schedules that `schedule_target` gets for another target (`outlined`, with its options);
    schedules and manifest."""
    made = outlined(module, context, schedule_target, target, **options)
    text = module_text(module)
    return made.used, write_package(folder, module, context, made.description, made.inputs, made.outputs, text)


def _described(target: str, figures: Mapping[str, int] | None) -> GpuDescription:
    changed: Mapping[str, Any] = {**(ROOMY if target == "spirv" else {}), **(figures or {})}
    return replace(parse_gpu_target(target), **changed)
