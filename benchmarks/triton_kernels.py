"""Triton kernels of our own, as contenders on a GPU: a product, softmax of rows, attention. Only where triton is there.

Each is the plain form, with block sizes for large problems; what `torch.compile` writes takes part beside it.
"""

from collections.abc import Callable, Mapping
from math import ceil, log2
from typing import Any

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = tl = None

BLOCK = (128, 128, 64)
"""Rows, columns and depth of a block of a product; f32 factors have half the depth."""
QUERIES, KEYS = 128, 64


def _kernels() -> Mapping[str, Any]:
    """The kernels, compiled at their first launch."""

    @triton.jit
    def product(
        a, b, c, m, n, k, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr, TF32: tl.constexpr
    ):  # fmt: skip
        across = tl.cdiv(n, COLUMNS)
        row = tl.program_id(0) // across * ROWS + tl.arange(0, ROWS)
        column = tl.program_id(0) % across * COLUMNS + tl.arange(0, COLUMNS)
        deep = tl.arange(0, DEPTH)
        total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
        for first in range(0, k, DEPTH):
            left = tl.load(a + row[:, None] * k + (first + deep)[None, :])
            right = tl.load(b + (first + deep)[:, None] * n + column[None, :])
            total = tl.dot(left, right, total, input_precision="tf32" if TF32 else "ieee")
        tl.store(c + row[:, None] * n + column[None, :], total.to(c.dtype.element_ty))

    @triton.jit
    def softmax(x, y, columns, WIDTH: tl.constexpr):
        place = tl.arange(0, WIDTH)
        start = tl.program_id(0).to(tl.int64) * columns
        row = tl.load(x + start + place, mask=place < columns, other=-float("inf"))
        weights = tl.exp(row - tl.max(row, axis=0))
        tl.store(y + start + place, weights / tl.sum(weights, axis=0), mask=place < columns)

    @triton.jit
    def attention(
        q, k, v, o, length, scale, QUERIES: tl.constexpr, KEYS: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr
    ):  # fmt: skip
        base = tl.program_id(1).to(tl.int64) * length * WIDTH
        query = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
        feature = tl.arange(0, WIDTH)
        own = tl.load(q + base + query[:, None] * WIDTH + feature[None, :])
        largest = tl.full((QUERIES,), -float("inf"), dtype=tl.float32)
        weight = tl.zeros((QUERIES,), dtype=tl.float32)
        total = tl.zeros((QUERIES, WIDTH), dtype=tl.float32)
        end = length
        if CAUSAL:
            end = tl.minimum(length, (tl.program_id(0) + 1) * QUERIES)
        for first in range(0, end, KEYS):
            key = first + tl.arange(0, KEYS)
            keys = tl.load(k + base + key[None, :] * WIDTH + feature[:, None])
            scores = tl.dot(own, keys, input_precision="ieee") * scale
            if CAUSAL:
                scores = tl.where(query[:, None] >= key[None, :], scores, -float("inf"))
            top = tl.maximum(largest, tl.max(scores, axis=1))
            exponentials = tl.exp2(scores - top[:, None])
            shrink = tl.exp2(largest - top)
            weight = weight * shrink + tl.sum(exponentials, axis=1)
            values = tl.load(v + base + key[:, None] * WIDTH + feature[None, :])
            total = tl.dot(exponentials.to(values.dtype), values, total * shrink[:, None], input_precision="ieee")
            largest = top
        place = o + base + query[:, None] * WIDTH + feature[None, :]
        tl.store(place, (total / weight[:, None]).to(o.dtype.element_ty))

    return {"product": product, "softmax": softmax, "attention": attention}


Call = Callable[[], Any]


def contenders(
    torch: Any, kind: str, inputs: list[Any], *, tf32: bool = False, causal: bool = False
) -> dict[str, Call]:
    """A call by the name `triton` for a kind of work on torch tensors; none where Triton or the kind is not there.

    Sizes have to be multiples of the blocks, as those of the benchmark are.
    """
    if triton is None or kind not in MAKERS:
        return {}
    return {"triton": MAKERS[kind](torch, _kernels()[kind], inputs, tf32, causal)}


def _product(torch: Any, kernel: Any, inputs: list[Any], tf32: bool, causal: bool) -> Call:
    a, b = inputs
    (m, k), n = a.shape, b.shape[1]
    rows, columns, depth = BLOCK
    depth = depth * 2 // a.element_size()

    def call() -> Any:
        c = torch.empty((m, n), device=a.device, dtype=a.dtype)
        blocks = ceil(m / rows) * ceil(n / columns)
        kernel[(blocks,)](a, b, c, m, n, k, rows, columns, depth, tf32, num_warps=8, num_stages=3)
        return c

    return call


def _softmax(torch: Any, kernel: Any, inputs: list[Any], tf32: bool, causal: bool) -> Call:
    (x,) = inputs
    width = 1 << ceil(log2(x.shape[-1]))

    def call() -> Any:
        y = torch.empty_like(x)
        kernel[(x.numel() // x.shape[-1],)](x, y, x.shape[-1], width, num_warps=16)
        return y

    return call


def _attention(torch: Any, kernel: Any, inputs: list[Any], tf32: bool, causal: bool) -> Call:
    q, k, v = inputs
    batch, heads, length, width = q.shape
    # Powers of 2 in place of e.
    scale = log2(2.718281828459045) / width**0.5
    queries, keys = (QUERIES, KEYS) if q.element_size() == 2 else (QUERIES // 2, KEYS // 2)

    def call() -> Any:
        o = torch.empty_like(q)
        grid = (ceil(length / queries), batch * heads)
        kernel[grid](q, k, v, o, length, scale, queries, keys, width, causal, num_warps=8, num_stages=2)
        return o

    return call


MAKERS: Mapping[str, Callable[..., Call]] = {"product": _product, "softmax": _softmax, "attention": _attention}
