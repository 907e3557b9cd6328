"""`lamina bench`: compile, load and run times and memory of one model."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

from lamina import api
from lamina.tools import model_arguments
from lamina.tools.progress import Progress

WARM_UP_SECONDS = 0.2
MINIMUM_RUNS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lamina bench`."""
    model_arguments.add_model_argument(parser)
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long to measure (default: 2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    model_arguments.add_execution_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print. Times: compile from the file without the cache, load from the cache, one call."""
    plugins = model_arguments.given_plugins(options)
    donate = model_arguments.parse_donations(options.donate)
    dims = model_arguments.fixed_dims(options)
    with Progress() as progress:
        start = time.perf_counter()
        executable = api.executable_for(
            options.model,
            threads=options.threads,
            cache=False,
            plugins=plugins,
            donate=donate,
            dims=dims,
            observer=lambda report, _: progress.update(f"compiled to phase {report.phase}"),
        )
        compiled = time.perf_counter()
        load_seconds = None
        if not options.no_cache:
            api.executable_for(options.model, threads=options.threads, plugins=plugins, donate=donate, dims=dims)
            loading = time.perf_counter()
            executable = api.executable_for(
                options.model, threads=options.threads, plugins=plugins, donate=donate, dims=dims
            )
            load_seconds = time.perf_counter() - loading
        sizes = model_arguments.parse_dims(options.dim)
        inputs = model_arguments.random_inputs(executable.inputs, sizes, 0)
        times: list[float] = []
        progress.update("running")
        warm_up_end = time.perf_counter() + WARM_UP_SECONDS
        while time.perf_counter() < warm_up_end:
            executable(*inputs)
        end = time.perf_counter() + options.seconds
        while len(times) < MINIMUM_RUNS or time.perf_counter() < end:
            before = time.perf_counter()
            executable(*inputs)
            times.append(time.perf_counter() - before)
    figures = {
        "model": options.model,
        "threads": executable.threads,
        "compile_s": round(compiled - start, 4),
        "load_s": None if load_seconds is None else round(load_seconds, 4),
        "median_ms": round(1e3 * statistics.median(times), 4),
        "min_ms": round(1e3 * min(times), 4),
        "runs": len(times),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:12} {value}")
    return 0
