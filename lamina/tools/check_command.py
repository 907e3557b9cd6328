"""`lamina check`: what would and would not compile, without compiling."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from lamina import api
from lamina.diagnostics import LaminaError
from lamina.tools import model_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lamina check`."""
    model_arguments.add_model_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Report on the model; exit code 1 when something in it cannot be compiled."""
    context = api.make_context(model_arguments.given_plugins(options))
    if options.model.endswith(".onnx"):
        from lamina.frontends.onnx import check_model, format_unsupported

        unsupported = check_model(options.model, plugins=context.plugins)
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
    module = api.load_module(options.model, context)
    ops = Counter(op.name for op in module.walk() if op.name.startswith("graph."))
    inputs, outputs = api.signature(module)
    if options.json:
        print(
            json.dumps(
                {
                    "model": options.model,
                    "compiles": True,
                    "inputs": [str(info) for info in inputs],
                    "outputs": [str(info) for info in outputs],
                    "ops": dict(ops),
                }
            )
        )
        return 0
    print(f"{options.model}: compiles")
    for title, infos in (("inputs", inputs), ("outputs", outputs)):
        print(f"  {title:8} {', '.join(str(info) for info in infos)}")
    counts = ", ".join(f"{name.removeprefix('graph.')} ×{count}" for name, count in ops.most_common())
    print(f"  ops      {sum(ops.values())}: {counts}")
    return 0
