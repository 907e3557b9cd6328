"""Training steps beside JAX (jit) and PyTorch (eager, compiled): forward, backward and update.

    python benchmarks/training.py [--jax PYTHON] [--torch PYTHON] [--only CASES] [--threads 1,2] [--json FILE]

Each contender runs in a process of its own, with its own Python (`--jax`, `--torch`: an interpreter that has the
package; left out, that contender is). They start one after the other and then take turns: in every round each process
does a short run of steps while the others wait. Times are medians of the rounds; `ratio` is ours / the best of the
others in the same round, its median (least … largest). One thread means one core (affinity) for everybody, from
the start. `peak`: the most memory that the process ever held (VmHWM, MiB), of which so much after its imports.
`compile`: the first step in seconds with nothing in any cache (but in the folder that TORCHINDUCTOR_CACHE_DIR
names, if it is set). All start from the same weights, and the losses after the first steps must agree. A contender that
cannot run has `none` in its columns, and the reason stands below the table.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RATE = 0.01
CHECKED_STEPS = 5
PAUSE_SECONDS = 0.15
"""Between runs: threads of the last contender may still spin."""
WIDTH, HEADS, ROWS, LENGTH = 256, 8, 8, 64
Weights = Mapping[str, Any]


# What is trained: weights and data in NumPy, and the loss once per library.


def mlp_data() -> tuple[dict[str, Any], list[Any]]:
    draw = np.random.default_rng(0)
    weights = {"w1": _dense(draw, 784, 256), "b1": _zeros(256), "w2": _dense(draw, 256, 10), "b2": _zeros(10)}
    return weights, [_normal(draw, 128, 784), draw.integers(0, 10, 128)]


def cnn_data() -> tuple[dict[str, Any], list[Any]]:
    draw = np.random.default_rng(1)
    weights = {
        "c1": _normal(draw, 32, 1, 3, 3) / np.float32(3),
        "d1": _zeros(32),
        "c2": _normal(draw, 64, 32, 3, 3) / np.float32(17),
        "d2": _zeros(64),
        "w1": _dense(draw, 9216, 128),
        "b1": _zeros(128),
        "w2": _dense(draw, 128, 10),
        "b2": _zeros(10),
    }
    return weights, [_normal(draw, 32, 1, 28, 28), draw.integers(0, 10, 32)]


def block_data() -> tuple[dict[str, Any], list[Any]]:
    draw = np.random.default_rng(2)
    weights: dict[str, Any] = {}
    for name in ("q", "k", "v", "o"):
        weights |= {f"w{name}": _dense(draw, WIDTH, WIDTH), f"b{name}": _zeros(WIDTH)}
    weights |= {"w1": _dense(draw, WIDTH, 4 * WIDTH), "b1": _zeros(4 * WIDTH)}
    weights |= {"w2": _dense(draw, 4 * WIDTH, WIDTH), "b2": _zeros(WIDTH)}
    for name in ("1", "2"):
        weights |= {f"s{name}": np.ones(WIDTH, np.float32), f"t{name}": _zeros(WIDTH)}
    return weights, [_normal(draw, ROWS, LENGTH, WIDTH), _normal(draw, ROWS, LENGTH, WIDTH)]


def _normal(draw: np.random.Generator, *shape: int) -> Any:
    return draw.standard_normal(shape).astype(np.float32)


def _dense(draw: np.random.Generator, inputs: int, outputs: int) -> Any:
    return _normal(draw, inputs, outputs) / np.float32(math.sqrt(inputs))


def _zeros(count: int) -> Any:
    return np.zeros(count, np.float32)


DATA: Mapping[str, Callable[[], tuple[dict[str, Any], list[Any]]]] = {
    "mlp": mlp_data,
    "cnn": cnn_data,
    "block": block_data,
}
ADAM = frozenset({"block"})


# Ours


def lamina_step(case: str, threads: int) -> Callable[[], Any]:
    import lamina
    from lamina import losses, ops, optimizers

    def mlp(p: Weights, x: Any, y: Any) -> Any:
        return losses.softmax_cross_entropy(ops.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"], y)

    def cnn(p: Weights, x: Any, y: Any) -> Any:
        x = ops.relu(ops.conv(x, p["c1"], p["d1"]))
        x = ops.max_pool(ops.relu(ops.conv(x, p["c2"], p["d2"])), 2)
        return mlp(p, x.reshape(x.shape[0], -1), y)

    def block(p: Weights, x: Any, y: Any) -> Any:
        n = ops.layer_norm(x, p["s1"], p["t1"])
        q, k, v = (ops.split_heads(n @ p[f"w{name}"] + p[f"b{name}"], HEADS) for name in "qkv")
        x = x + ops.merge_heads(ops.attention(q, k, v)) @ p["wo"] + p["bo"]
        n = ops.layer_norm(x, p["s2"], p["t2"])
        x = x + ops.gelu(n @ p["w1"] + p["b1"], approximate="tanh") @ p["w2"] + p["b2"]
        return losses.mean_squared_error(x, y)

    loss = {"mlp": mlp, "cnn": cnn, "block": block}[case]
    optimizer = optimizers.adam(RATE) if case in ADAM else optimizers.sgd(RATE)

    def step(p: Weights, state: Any, *data: Any) -> Any:
        value, gradients = lamina.value_and_grad(loss)(p, *data)
        return *optimizer.update(p, gradients, state), value

    compiled = lamina.jit(step, donate_argnums=(0, 1), threads=threads)
    weights, data = DATA[case]()
    training: Any = (weights, optimizer.initialize(weights))

    def run() -> Any:
        nonlocal training
        *training, value = compiled(*training, *data)
        return value

    return run


def jax_step(case: str, threads: int) -> Callable[[], Any]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    def mlp(p: Weights, x: Any, y: Any) -> Any:
        scores = jax.nn.log_softmax(jax.nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
        return -(jax.nn.one_hot(y, 10) * scores).sum(-1).mean()

    def convolution(x: Any, w: Any, b: Any) -> Any:
        return lax.conv_general_dilated(x, w, (1, 1), "VALID") + b[:, None, None]

    def cnn(p: Weights, x: Any, y: Any) -> Any:
        x = jax.nn.relu(convolution(x, p["c1"], p["d1"]))
        x = jax.nn.relu(convolution(x, p["c2"], p["d2"]))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        return mlp(p, x.reshape(x.shape[0], -1), y)

    def norm(x: Any, scale: Any, shift: Any) -> Any:
        return jax.nn.standardize(x, axis=-1, epsilon=1e-5) * scale + shift

    def block(p: Weights, x: Any, y: Any) -> Any:
        n = norm(x, p["s1"], p["t1"])
        q, k, v = (
            (n @ p[f"w{name}"] + p[f"b{name}"]).reshape(ROWS, LENGTH, HEADS, -1).swapaxes(1, 2) for name in "qkv"
        )
        mixed = jax.nn.softmax(q @ k.swapaxes(2, 3) / math.sqrt(WIDTH / HEADS)) @ v
        x = x + mixed.swapaxes(1, 2).reshape(ROWS, LENGTH, WIDTH) @ p["wo"] + p["bo"]
        n = norm(x, p["s2"], p["t2"])
        x = x + jax.nn.gelu(n @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return ((x - y) ** 2).mean()

    loss = {"mlp": mlp, "cnn": cnn, "block": block}[case]

    def sgd(p: Weights, state: Any, *data: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(p, *data)
        return jax.tree.map(lambda a, g: a - RATE * g, p, gradients), state, value

    def adam(p: Weights, state: Any, *data: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(p, *data)
        count, mean, square = state
        count = count + 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradients)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradients)
        first, second = 1 - 0.9**count, 1 - 0.999**count
        p = jax.tree.map(lambda a, m, v: a - RATE * (m / first) / (jnp.sqrt(v / second) + 1e-8), p, mean, square)
        return p, (count, mean, square), value

    weights, data = DATA[case]()
    weights = jax.tree.map(jnp.asarray, weights)
    arrays = [jnp.asarray(each) for each in data]
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state: Any = (jnp.float32(0), zeros, jax.tree.map(jnp.zeros_like, weights)) if case in ADAM else ()
    compiled = jax.jit(adam if case in ADAM else sgd, donate_argnums=(0, 1))
    training: Any = (weights, state)

    def run() -> Any:
        nonlocal training
        *training, value = compiled(*training, *arrays)
        return jax.block_until_ready(value)

    return run


def torch_step(case: str, threads: int, is_compiled: bool = False) -> Callable[[], Any]:
    import torch
    from torch.nn import functional as f

    torch.set_num_threads(threads)

    def mlp(p: Weights, x: Any, y: Any) -> Any:
        return f.cross_entropy(f.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"], y)

    def cnn(p: Weights, x: Any, y: Any) -> Any:
        x = f.relu(f.conv2d(x, p["c1"], p["d1"]))
        x = f.max_pool2d(f.relu(f.conv2d(x, p["c2"], p["d2"])), 2)
        return mlp(p, x.flatten(1), y)

    def block(p: Weights, x: Any, y: Any) -> Any:
        n = f.layer_norm(x, (WIDTH,), p["s1"], p["t1"])
        q, k, v = ((n @ p[f"w{name}"] + p[f"b{name}"]).view(ROWS, LENGTH, HEADS, -1).transpose(1, 2) for name in "qkv")
        mixed = f.scaled_dot_product_attention(q, k, v)
        x = x + mixed.transpose(1, 2).reshape(ROWS, LENGTH, WIDTH) @ p["wo"] + p["bo"]
        n = f.layer_norm(x, (WIDTH,), p["s2"], p["t2"])
        x = x + f.gelu(n @ p["w1"] + p["b1"], approximate="tanh") @ p["w2"] + p["b2"]
        return f.mse_loss(x, y)

    loss: Any = {"mlp": mlp, "cnn": cnn, "block": block}[case]
    if is_compiled:
        loss = torch.compile(loss)
    weights, data = DATA[case]()
    parameters = {name: torch.from_numpy(value).requires_grad_() for name, value in weights.items()}
    tensors = [torch.from_numpy(each) for each in data]
    kind = torch.optim.Adam if case in ADAM else torch.optim.SGD
    optimizer = kind(list(parameters.values()), lr=RATE, fused=True)

    def run() -> Any:
        optimizer.zero_grad()
        value = loss(parameters, *tensors)
        value.backward()
        optimizer.step()
        return value.item()

    return run


CONTENDERS: Mapping[str, Callable[[str, int], Callable[[], Any]]] = {
    "lamina": lamina_step,
    "jax": jax_step,
    "torch": torch_step,
    "torch compiled": lambda case, threads: torch_step(case, threads, True),
}
IMPORTS = {"lamina": "lamina.transforms", "jax": "jax.numpy", "torch": "torch", "torch compiled": "torch"}


# A contender's process: it does a run for each line that it reads.


def serve(contender: str, case: str, threads: int) -> None:
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))
    __import__(IMPORTS[contender])
    imports = _peak()
    start = time.perf_counter()
    try:
        run = CONTENDERS[contender](case, threads)
        losses = [float(run())]
    except Exception as error:  # whatever a contender lacks, a compiler for instance, is its column's business
        _answer({"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"})
        return
    compile_seconds = time.perf_counter() - start
    losses += [float(run()) for _ in range(CHECKED_STEPS - 1)]
    _answer({"compile": compile_seconds, "losses": losses})
    for line in sys.stdin:
        seconds = float(line)
        count, start = 0, time.perf_counter()
        while count < 3 or time.perf_counter() - start < seconds:
            run()
            count += 1
        _answer({"step": (time.perf_counter() - start) / count, "peak": _peak(), "imports": imports})


def _peak() -> float:
    """MiB that this process held at most. Not ru_maxrss, which begins with that of the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _answer(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


# The contest


def measure(pythons: Mapping[str, str], case: str, threads: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Per contender: seconds of a step in each round, peak memory, seconds of the first step, losses; or why not."""
    processes: dict[str, subprocess.Popen[str]] = {}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        environment = {"TORCHINDUCTOR_CACHE_DIR": f"{cache}/torch", **os.environ, "LAMINA_CACHE_DIR": cache}
        environment |= {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        try:
            for name, python in pythons.items():
                processes[name] = process = subprocess.Popen(
                    [python, __file__, "--serve", name, "--only", case, "--threads", str(threads)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
                results[name] = {**_read(name, process), "steps": []}
            for _ in range(rounds):
                for name, process in processes.items():
                    if "error" in results[name]:
                        continue
                    assert process.stdin is not None
                    process.stdin.write(f"{seconds}\n")
                    process.stdin.flush()
                    found = _read(name, process)
                    results[name]["steps"].append(found["step"])
                    results[name] |= {"peak": found["peak"], "imports": found["imports"]}
                    time.sleep(PAUSE_SECONDS)
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
    return results


def _read(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    return json.loads(line) if line else {"error": f"the process of {name} ended"}


def row_of(case: str, threads: int, found: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured, with the ratios of the rounds and the largest difference of the losses."""
    ours = found["lamina"]
    if "error" in ours:
        raise SystemExit(f"error: {case}: {ours['error']}")
    others = [each for name, each in found.items() if name != "lamina" and "error" not in each]
    best = [min(times) for times in zip(*(each["steps"] for each in others), strict=True)]
    ratios = [mine / least for mine, least in zip(ours["steps"], best, strict=bool(best))]
    difference = max(
        (float(np.max(np.abs(np.subtract(ours["losses"], each["losses"])))) for each in others), default=math.nan
    )
    return {"case": case, "threads": threads, "ratios": ratios, "difference": difference, **found}


def cells_of(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The cells of a row of the table."""

    def column(show: Callable[[Any], str]) -> list[str]:
        return ["none" if "error" in row[name] else show(row[name]) for name in names]

    ratios = row["ratios"]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f})" if ratios else "none"
    return [
        row["case"],
        str(row["threads"]),
        *column(lambda one: f"{1e3 * statistics.median(one['steps']):.3f}"),
        spread,
        *column(lambda one: f"{one['peak']:.0f} ({one['imports']:.0f})"),
        *column(lambda one: f"{one['compile']:.1f}"),
        f"{row['difference']:.1e}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jax", help="a Python with JAX")
    parser.add_argument("--torch", help="a Python with PyTorch")
    parser.add_argument("--without", default="", help="contenders to leave out, such as 'torch compiled'")
    parser.add_argument("--only", help="cases: mlp, cnn, block", default=",".join(DATA))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.15, help="of one run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.only, int(options.threads))
        return
    given = {"lamina": sys.executable, "jax": options.jax, "torch": options.torch, "torch compiled": options.torch}
    left_out = options.without.split(",")
    pythons = {name: python for name, python in given.items() if python and name not in left_out}
    names = list(pythons)
    header = ["case", "threads", *(f"{name} ms" for name in names), "ratio", *(f"{name} peak" for name in names)]
    header += [*(f"{name} compile s" for name in names), "losses differ by"]
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    rows: list[dict[str, Any]] = []
    for case in options.only.split(","):
        for threads in map(int, options.threads.split(",")):
            row = row_of(case, threads, measure(pythons, case, threads, options.rounds, options.seconds))
            rows.append(row)
            print("| " + " | ".join(cells_of(row, names)) + " |", flush=True)
    print()
    for reason in sorted({f"{name}: {row[name]['error']}" for row in rows for name in names if "error" in row[name]}):
        print(reason)
    medians = [statistics.median(row["ratios"]) for row in rows if row["ratios"]]
    if medians:
        print(f"geometric mean of the ratios: {statistics.geometric_mean(medians):.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
