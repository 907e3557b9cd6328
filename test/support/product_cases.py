"""Products and convolutions for tests of GPU kernels: arrays, the function of them, what is expected and how exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import lamina
from lamina import ops
from lamina.passes.hardware.gpu.product_schedule import ProductSchedule
from support.gpu_products import compile_scheduled, traced
from support.opencl import run_packages

DTYPES: Mapping[str, Any] = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f64": np.float64}
ROUNDING = {"f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8, "f64": 2.0**-53}
TF32 = 2.0**-11


@dataclass
class Case:
    """Arrays by name, the function of them, and what is expected of it in f64.

    `magnitude`: the sum of the absolute terms; `rounded`: of the values that are rounded to the type on the way, which
    are the product and its sum with the bias.
    """

    function: Callable[..., Any]
    feeds: Mapping[str, np.ndarray]
    expected: np.ndarray
    magnitude: np.ndarray
    rounded: np.ndarray
    dtype: str
    depth: int

    @property
    def specs(self) -> list[Any]:
        return [lamina.spec(array.shape, self.dtype, name=name) for name, array in self.feeds.items()]

    def check(self, found: np.ndarray, tf32: bool = False) -> None:
        value = found.view(DTYPES[self.dtype]).reshape(self.expected.shape).astype(np.float64)
        accumulated = (self.depth + 4) * ROUNDING["f64" if self.dtype == "f64" else "f32"] + (3 * TF32 if tf32 else 0)
        bound = self.magnitude * accumulated + self.rounded * 1.01 * ROUNDING[self.dtype] + 1e-30
        # Subnormal results of 16-bit types have fewer bits.
        slack = 1e-7 if self.dtype == "f16" else 0
        assert (np.abs(value - self.expected) <= bound + slack).all(), "wrong numbers"


def random_array(shape: Sequence[int], dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(DTYPES[dtype])


def wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64)


def product(m: int, k: int, n: int, dtype: str, batch: Sequence[int] = (), turn: tuple[bool, bool] = (False, False)):
    """relu(a @ b + c); `turn`: factors come transposed."""
    a = random_array((*batch, k, m) if turn[0] else (*batch, m, k), dtype, m)
    b = random_array((*batch, n, k) if turn[1] else (*batch, k, n), dtype, n + 1)
    c = random_array((n,), dtype, k + 2)

    def swapped(x: Any) -> Any:
        axes = [*range(len(batch)), len(batch) + 1, len(batch)]
        return x.transpose(*axes)

    def function(a: Any, b: Any, c: Any) -> Any:
        left, right = (swapped(x) if turned else x for x, turned in zip((a, b), turn, strict=True))
        return ops.relu(ops.matmul(left, right) + c)

    left, right = (np.swapaxes(wide(x), -1, -2) if turned else wide(x) for x, turned in zip((a, b), turn, strict=True))
    total = left @ right
    magnitude = np.abs(left) @ np.abs(right) + np.abs(wide(c))
    rounded = np.abs(total) + np.abs(total + wide(c))
    return Case(function, {"a": a, "b": b, "c": c}, np.maximum(total + wide(c), 0), magnitude, rounded, dtype, k)


def unfolded(x: np.ndarray, window: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding: int):
    """Every window of x (batch, features, height, width): (batch, height, width, features, taps)."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    spans = [(taps - 1) * step + 1 for taps, step in zip(window, dilation, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, spans, (2, 3))
    return views[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def convolution(
    shape: Sequence[int],
    kernel: Sequence[int],
    dtype: str = "f32",
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: int = 0,
    groups: int = 1,
):
    """A convolution with bias and relu; the expectation in NumPy, by windows."""
    x, w = random_array(shape, dtype, 1), random_array(kernel, dtype, 2)
    bias = random_array((kernel[0],), dtype, 3)

    def function(x: Any, w: Any, bias: Any) -> Any:
        return ops.relu(ops.conv(x, w, bias, stride=stride, dilation=dilation, padding=padding, groups=groups))

    def sums(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
        parts = []
        for own, rows in zip(np.split(x, groups, 1), np.split(w, groups, 0), strict=True):
            windows = unfolded(own, kernel[2:], stride, dilation, padding)
            parts.append(np.einsum("nchwij,ocij->nohw", windows, rows))
        return np.concatenate(parts, 1) + bias[:, None, None]

    total = sums(wide(x), wide(w), wide(bias))
    magnitude = sums(np.abs(wide(x)), np.abs(wide(w)), np.abs(wide(bias)))
    rounded = np.abs(total - wide(bias)[:, None, None]) + np.abs(total)
    depth = int(np.prod(kernel[1:]))
    return Case(function, {"x": x, "w": w, "bias": bias}, np.maximum(total, 0), magnitude, rounded, dtype, depth)


def edited(**changes: Any) -> Callable[[ProductSchedule], ProductSchedule]:
    return lambda schedule: replace(schedule, **changes)


def run_cases(cases: Sequence[tuple[Case, Mapping[str, Any]]], folder: Path) -> list[list[ProductSchedule]]:
    """Compile cases with what `compile_scheduled` takes, run all in one process, and check them; their schedules."""
    jobs, used = [], []
    for number, (case, options) in enumerate(cases):
        options = {"schedule_target": "spirv", "target": "spirv", **options}
        module, context = traced(case.function, *case.specs)
        used.append(compile_scheduled(module, context, folder / str(number), **options)[0])
        jobs.append((folder / str(number), dict(case.feeds)))
    for (case, options), results in zip(cases, run_packages(jobs, folder), strict=True):
        (found,) = results.values()
        case.check(found, tf32=bool(options.get("tf32")))
    return used


def warpgroups(
    block: tuple[int, int], warp: tuple[int, int], stages: int = 2, split: int = 1, each: int = 2
) -> Callable[[ProductSchedule], ProductSchedule]:
    """A schedule by warpgroups for blocks of any size, `each` bytes an element."""
    return lambda given: replace(
        given,
        block=(*block, 128 // each),
        warp=warp,
        fragment=(64, warp[1], 32 // each),
        instruction="wgmma",
        vector=(16 // each, 16 // each),
        row_padding=0,
        swizzle=False,
        stages=stages,
        asynchronous=True,
        split=split,
    )


def turned(m: int, k: int, n: int, dtype: str, batch: tuple[int, ...] = ()) -> Case:
    """a @ transpose(b), both with the depth contiguous."""
    a, b = random_array((*batch, m, k), dtype, 1), random_array((*batch, n, k), dtype, 2)
    axes = list(range(len(batch)))
    dimensions = {
        "lhs_batching_dimensions": axes,
        "rhs_batching_dimensions": axes,
        "lhs_contracting_dimensions": [len(batch) + 1],
        "rhs_contracting_dimensions": [len(batch) + 1],
    }
    left, right = wide(a), np.swapaxes(wide(b), -1, -2)
    total = left @ right
    magnitude = np.abs(left) @ np.abs(right)
    return Case(
        lambda a, b: ops.dot_general(a, b, **dimensions), {"a": a, "b": b}, total, magnitude, np.abs(total), dtype, k
    )


WARPGROUP_CASES: list[tuple[Case, dict[str, Any]]] = [
    (product(64, 64, 64, "f16"), {"edit": warpgroups((64, 64), (64, 64))}),
    (product(130, 200, 136, "bf16"), {"edit": warpgroups((128, 128), (64, 128), stages=3)}),
    (product(70, 136, 264, "f16"), {"edit": warpgroups((64, 256), (64, 256), stages=4)}),
    (product(100, 72, 72, "bf16", batch=(2, 3)), {"edit": warpgroups((64, 128), (64, 64))}),
    (product(65, 264, 80, "bf16"), {"edit": warpgroups((64, 64), (64, 64), split=3)}),
    (turned(130, 72, 72, "bf16", batch=(2,)), {"edit": warpgroups((128, 64), (128, 64), stages=3)}),
    (turned(70, 40, 90, "f32"), {"edit": warpgroups((64, 64), (64, 32), stages=3, each=4), "tf32": True}),
]
