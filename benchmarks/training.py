"""Training steps beside JAX (jit) and PyTorch (eager): forward, backward and update.

    python benchmarks/training.py [--jax PYTHON] [--torch PYTHON] [--compiled] [--only CASES] [--threads 1,2]

Each contender runs in a process of its own, with its own Python (`--jax`, `--torch`: an interpreter that has the
package; left out, that contender is). They take turns: in every round each process does a short run of steps while the
others wait. A time is the minimum over all rounds of the mean of a run; `ratio` is ours / the best of the others. One
thread means one core (affinity) for everybody. `peak`: the most memory a process ever held (MiB), less what it held
after its imports; `compile`: the first step in seconds, for us without the cache. All start from the same weights, and
the losses after the first steps must agree.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

RATE = 0.01
CHECKED_STEPS = 5
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
    optimizer = kind(list(parameters.values()), lr=RATE)

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
    before = _peak()
    start = time.perf_counter()
    run = CONTENDERS[contender](case, threads)
    losses = [float(run())]
    compile_seconds = time.perf_counter() - start
    losses += [float(run()) for _ in range(CHECKED_STEPS - 1)]
    _answer({"compile": compile_seconds, "losses": losses})
    for line in sys.stdin:
        seconds = float(line)
        count, start = 0, time.perf_counter()
        while count < 3 or time.perf_counter() - start < seconds:
            run()
            count += 1
        _answer({"step": (time.perf_counter() - start) / count, "peak": _peak() - before})


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _answer(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)


# The contest


def measure(pythons: Mapping[str, str], case: str, threads: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Per contender: seconds of a step, peak memory, seconds of the first step, first losses."""
    cache = tempfile.TemporaryDirectory()
    environment = {**os.environ, "LAMINA_CACHE_DIR": cache.name, "JAX_PLATFORMS": "cpu"}
    environment |= {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    processes = {
        name: subprocess.Popen(
            [python, __file__, "--serve", name, "--only", case, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name, python in pythons.items()
    }
    results: dict[str, Any] = {}
    try:
        for name, process in processes.items():
            results[name] = {**_read(name, process), "step": math.inf}
        for _ in range(rounds):
            for name, process in processes.items():
                assert process.stdin is not None
                process.stdin.write(f"{seconds}\n")
                process.stdin.flush()
                found = _read(name, process)
                results[name] |= {"step": min(results[name]["step"], found["step"]), "peak": found["peak"]}
                time.sleep(0.05)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
        cache.cleanup()
    return results


def _read(name: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"error: the process of {name} ended")
    return json.loads(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jax", help="a Python with JAX")
    parser.add_argument("--torch", help="a Python with PyTorch")
    parser.add_argument("--compiled", action="store_true", help="torch.compile as well")
    parser.add_argument("--only", help="cases: mlp, cnn, block", default=",".join(DATA))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.15, help="of one run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.only, int(options.threads))
        return
    pythons = {"lamina": sys.executable}
    if options.jax:
        pythons["jax"] = options.jax
    if options.torch:
        pythons["torch"] = options.torch
    if options.torch and options.compiled:
        pythons["torch compiled"] = options.torch
    rows: list[dict[str, Any]] = []
    names = list(pythons)
    print("| case | threads | " + " | ".join(f"{n} ms" for n in names) + " | ratio | "
          + " | ".join(f"{n} peak MiB" for n in names) + " | " + " | ".join(f"{n} compile s" for n in names)
          + " | losses differ by |")  # fmt: skip
    print("|" + "---|" * (4 + 3 * len(names)))
    for case in options.only.split(","):
        for threads in map(int, options.threads.split(",")):
            found = measure(pythons, case, threads, options.rounds, options.seconds)
            ours = found["lamina"]
            others = [each["step"] for name, each in found.items() if name != "lamina"]
            ratio = ours["step"] / min(others) if others else math.nan
            difference = max(
                (float(np.max(np.abs(np.subtract(ours["losses"], each["losses"])))) for each in found.values()),
            )
            rows.append({"case": case, "threads": threads, "ratio": ratio, "difference": difference, **found})
            cells = [case, str(threads), *(f"{1e3 * found[n]['step']:.3f}" for n in names), f"{ratio:.2f}"]
            cells += [f"{found[n]['peak']:.0f}" for n in names] + [f"{found[n]['compile']:.1f}" for n in names]
            print("| " + " | ".join([*cells, f"{difference:.1e}"]) + " |", flush=True)
    ratios = [row["ratio"] for row in rows]
    print(f"\ngeometric mean of the ratios: {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
