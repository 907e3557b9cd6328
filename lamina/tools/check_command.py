"""`lamina check`: what would and would not compile, and what becomes of it, without generating code."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp

from lamina import api, interface
from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.passes.base import Counts
from lamina.report import Memory, report
from lamina.tools import model_arguments
from lamina.tools.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lamina check`."""
    model_arguments.add_model_argument(parser)
    model_arguments.add_dim_argument(parser, "size of a symbolic dim for the memory figures; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Report on the model; exit code 1 when something in it cannot be compiled."""
    context = api.make_context(model_arguments.given_plugins(options))
    if options.model.endswith(".onnx"):
        from lamina.frontends.onnx import check_model, format_unsupported

        unsupported = check_model(options.model, dims=model_arguments.fixed_dims(options), plugins=context.plugins)
        if unsupported:
            if options.json:
                rows = [
                    {
                        "op": row.op_type,
                        "domain": row.domain,
                        "count": row.count,
                        "nodes": list(row.node_names),
                        "reason": row.reason,
                    }
                    for row in unsupported
                ]
                print(json.dumps({"model": options.model, "compiles": False, "unsupported": rows}))
                return 1
            raise LaminaError(format_unsupported(unsupported), where=options.model)
    module = api.load_module(options.model, context, dims=model_arguments.fixed_dims(options))
    inputs, outputs = interface.signature(module)
    weights = constant_bytes(module, context)
    sizes = model_arguments.symbolic_sizes(inputs, model_arguments.parse_dims(options.dim))
    with Progress() as progress:
        found = report(module, context, observer=lambda name: progress.update(f"pass {name}"))
    memory = memory_figures(found.memory, sizes)
    ops = dict(Counter(found.graph_ops).most_common())
    if options.json:
        row = {
            "model": options.model,
            "compiles": True,
            "inputs": [str(info) for info in inputs],
            "outputs": [str(info) for info in outputs],
            "ops": ops,
            "kernels": found.kernels.figures(sizes),
            "sizes": sizes,
            "memory": {"weight_bytes": weights, **memory},
            "passes": [
                {"pass": name, "counter": counter, "count": count} for (name, counter), count in found.counts.items()
            ],
        }
        print(json.dumps(row))
        return 0
    print(f"{options.model}: compiles")
    for title, infos in (("inputs", inputs), ("outputs", outputs)):
        print(f"  {title:8} {', '.join(str(info) for info in infos)}")
    counts = ", ".join(f"{name.removeprefix('graph.')} ×{count}" for name, count in ops.items())
    print(f"  {'ops':8} {sum(ops.values())}: {counts}")
    layout = layout_text(found.counts)
    if layout:
        print(f"  {'layout':8} {layout}")
    print(f"  {'kernels':8} {kernels_text(found.kernels.figures(sizes))}")
    print(f"  {'memory':8} {memory_text(weights, memory, sizes)}")
    return 0


def constant_bytes(module: ModuleOp, context: LaminaContext) -> int:
    """Bytes of the constants that a module names."""
    return sum(context.resources.get(key).nbytes for key in api.resource_keys(api.module_text(module)))


def kernels_text(figures: Mapping[str, int | None]) -> str:
    """One line about the kernels and what passes between them."""
    between = figures["bytes_between"]
    text = f"{figures['ops']} ops in {figures['calls']} calls of {figures['distinct']} kernels"
    return f"{text}; " + (
        "bytes between them depend on data" if between is None else f"{megabytes(between)} between them"
    )


def layout_text(counts: Counts) -> str:
    """One line about the transposes that are left and those that the compiler took out; empty where there were none.

    Bytes read and written; a size that is not known counts as 1.
    """
    before, after = (counts.get(("assign-layouts", name), 0) for name in ("bytes-before", "bytes-after"))
    return f"{megabytes(after)} of transposes, {megabytes(before - after)} removed" if before else ""


def memory_figures(memory: Memory, sizes: Mapping[str, int]) -> dict[str, int | None]:
    """Bytes of the arena, of the largest live set and of all buffers; None where they depend on data."""
    figures = {
        "arena_bytes": memory.arena_bytes,
        "largest_live_bytes": memory.largest_live_bytes,
        "buffer_bytes": memory.total_bytes,
    }
    try:
        return {name: figure(sizes) for name, figure in figures.items()}
    except KeyError:
        return dict.fromkeys(figures)


def memory_text(weights: int, memory: Mapping[str, int | None], sizes: Mapping[str, int]) -> str:
    """One line about weights and arena."""
    arena, live, buffers = memory.values()
    text = f"weights {megabytes(weights)}; "
    if arena is None or live is None or buffers is None:
        return f"{text}the arena's size depends on data"
    at = f" at {', '.join(f'{name} = {size}' for name, size in sizes.items())}" if sizes else ""
    ratio = arena / live if live else 1.0
    return (
        f"{text}arena {megabytes(arena)}{at}, {ratio:.2f} × the largest live set ({megabytes(live)}), "
        f"for buffers of {megabytes(buffers)}"
    )


def megabytes(count: int) -> str:
    """Bytes for people: as they are below 1000, else in kB or MB (of 1000 and 1000² bytes)."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"
