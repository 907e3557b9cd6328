"""Updates of buffers that nobody needs as they were: only the window is written, and loops do not copy."""

import numpy as np
import pytest
from xdsl.dialects import func

import lamina
from lamina import api, ops, pipelines
from lamina.dialects.loop import memref, scf


def dus(rows, batch="12"):
    """@main(cache, new, at) -> cache with new at at, and what else is read of the cache afterwards."""
    return f"""
    func.func @main(%cache: tensor<{batch}x16x8xf32> {{lamina.name = "cache", lamina.dims = ["b", "16", "8"]}},
                    %new: tensor<{batch}x{rows}x8xf32> {{lamina.name = "new", lamina.dims = ["b", "r", "8"]}},
                    %at: tensor<3xi64> {{lamina.name = "at"}})
        -> (tensor<{batch}x16x8xf32> {{lamina.name = "next", lamina.alias = 0 : i64}}) {{
      %r = graph.dynamic_update_slice %cache, %new, %at
        : tensor<{batch}x16x8xf32>, tensor<{batch}x{rows}x8xf32>, tensor<3xi64> -> tensor<{batch}x16x8xf32>
      func.return %r : tensor<{batch}x16x8xf32>
    }}
    """


def module_at(text, phase, context=None):
    from lamina.parser import parse_text

    context = context or api.make_context()
    module = parse_text(context, text, "test.mlir")
    pipelines.run_phases(module, context, to=phase)
    return module


def executable(text):
    from lamina.parser import parse_text

    context = api.make_context()
    return lamina.compile(parse_text(context, text, "test.mlir"), context=context, cache=False)


def reference(cache, new, at):
    expected = cache.copy()
    starts = [
        min(max(int(start), 0), size - extent) for start, size, extent in zip(at, cache.shape, new.shape, strict=True)
    ]
    expected[tuple(slice(start, start + extent) for start, extent in zip(starts, new.shape, strict=True))] = new
    return expected


@pytest.mark.parametrize(("batch", "rows", "shape"), [("12", "1", (12, 1)), ("?", "?", (5, 3)), ("?", "16", (2, 16))])
@pytest.mark.parametrize("at", [(0, 3, 0), (0, 15, 0), (0, 100, -4), (-1, -7, 2), (1, 0, 0)])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_donated_cache_is_updated(batch, rows, shape, at, threads):
    generator = np.random.default_rng(3)
    cache = generator.standard_normal((shape[0], 16, 8), dtype=np.float32)
    new = generator.standard_normal((*shape, 8), dtype=np.float32)
    cache[0, 0, 0], new[0, 0, 0] = np.inf, np.nan
    expected = reference(cache, new, at)
    (result,) = executable(dus(rows, batch)).call([cache, new, np.array(at)], threads=threads)
    assert result is cache
    np.testing.assert_array_equal(result, expected)


def test_an_empty_update_changes_nothing():
    cache = np.random.default_rng(0).standard_normal((5, 16, 8), dtype=np.float32)
    before = cache.copy()
    executable(dus("?", "?"))(cache, np.empty((5, 0, 8), np.float32), np.array([0, 3, 0]))
    np.testing.assert_array_equal(cache, before)


def test_a_small_window_of_a_large_cache():
    update = executable(dus("1", "?"))
    cache = np.zeros((100, 16, 8), np.float32)
    guard = cache.copy()
    for position in range(16):
        new = np.full((100, 1, 8), position + 1, np.float32)
        update(cache, new, np.array([0, position, 0]))
        guard[:, position] = position + 1
    np.testing.assert_array_equal(cache, guard)


def calls(module):
    return [op.callee.string_value() for op in module.walk() if isinstance(op, func.CallOp)]


def names(module):
    return {op.sym_name.data for op in module.ops if isinstance(op, func.FuncOp)}


def test_only_the_kernel_that_is_called_is_left():
    donated = module_at(dus("1"), "loop")
    assert calls(donated) == ["dynamic_update_slice_in_place"]
    assert "dynamic_update_slice" not in names(donated)
    kept = module_at(dus("1").replace(", lamina.alias = 0 : i64", ""), "loop")
    assert calls(kept) == ["dynamic_update_slice"]
    assert "dynamic_update_slice_in_place" not in names(kept)


def test_a_cache_that_is_read_afterwards_is_kept_until_then():
    text = (
        dus("1")
        .replace(
            "func.return %r :",
            "%old = graph.exp %cache : tensor<12x16x8xf32>\n func.return %r, %old : tensor<12x16x8xf32>,",
        )
        .replace(
            "lamina.alias = 0 : i64})",
            'lamina.alias = 0 : i64}, tensor<12x16x8xf32> {lamina.name = "old"})',
        )
    )
    cache = np.random.default_rng(0).standard_normal((12, 16, 8), dtype=np.float32)
    before, new, at = cache.copy(), np.ones((12, 1, 8), np.float32), np.array([0, 5, 0])
    result, old = executable(text)(cache, new, at)
    np.testing.assert_array_equal(result, reference(before, new, at))
    np.testing.assert_allclose(old, np.exp(before), rtol=1e-6)


# Loops


def test_a_cache_carried_by_a_scan_is_updated_in_place():
    def model(cache, rows):
        def step(carried, row):
            kept, at = carried
            kept = ops.dynamic_update_slice(kept, ops.reshape(row, (1, 8)), at)
            return (kept, at + np.array([3, 0])), ops.sum(kept)

        (last, _), sums = ops.scan(step, (cache, ops.constant(np.zeros(2, np.int64))), rows)
        return last, sums

    traced = lamina.trace(model, lamina.spec((32, 8), "f32", name="cache"), lamina.spec((6, 8), "f32", name="rows"))
    generator = np.random.default_rng(1)
    cache, rows = (generator.standard_normal((count, 8), dtype=np.float32) for count in (32, 6))
    expected, sums = cache.astype(np.float64), []
    for index, row in enumerate(rows):
        expected[3 * index] = row
        sums.append(expected.sum())
    before = cache.copy()
    last, found = lamina.compile(traced, cache=False)(cache, rows)
    np.testing.assert_array_equal(last, expected.astype(np.float32))
    np.testing.assert_allclose(found, sums, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(cache, before)
    module = traced.module.clone()
    pipelines.run_phases(module, traced.context, to="loop")
    assert "dynamic_update_slice_in_place" in calls(module)


WHILE = """
func.func @main(%x: tensor<SIZE> {lamina.name = "x", lamina.dims = ["n"]},
                %y: tensor<SIZE> {lamina.name = "y", lamina.dims = ["n"]})
    -> (tensor<SIZE> {lamina.name = "p"}, tensor<SIZE> {lamina.name = "q"}) {
  %zero = graph.constant dense<0> : tensor<i64>
  %one = graph.constant dense<1> : tensor<i64>
  %five = graph.constant dense<5> : tensor<i64>
  %i, %a, %b = graph.while (%i = %zero, %a = %x, %b = %y) : (tensor<i64>, tensor<SIZE>, tensor<SIZE>)
      -> (tensor<i64>, tensor<SIZE>, tensor<SIZE>) {
    %more = graph.compare LT, %i, %five : tensor<i64>, tensor<i64> -> tensor<i1>
    graph.yield %more : tensor<i1>
  } do (%j, %c, %d) {
    %next = graph.add %j, %one : tensor<i64>
    BODY
    graph.yield %next, %u, %v : tensor<i64>, tensor<SIZE>, tensor<SIZE>
  }
  func.return %a, %b : tensor<SIZE>, tensor<SIZE>
}
"""

BODIES = {
    "apart": ("%u = graph.sin %c : T\n %v = graph.cos %d : T", lambda c, d: (np.sin(c), np.cos(d))),
    "swapped": ("%u = graph.sin %d : T\n %v = graph.cos %c : T", lambda c, d: (np.sin(d), np.cos(c))),
    "both read": ("%u = graph.add %c, %d : T\n %v = graph.subtract %c, %d : T", lambda c, d: (c + d, c - d)),
    "one after the other": (
        "%u = graph.sin %c : T\n %v = graph.add %u, %d : T",
        lambda c, d: (np.sin(c), np.sin(c) + d),
    ),
    "the old one later": ("%u = graph.sin %d : T\n %v = graph.add %u, %c : T", lambda c, d: (np.sin(d), np.sin(d) + c)),
    "backwards": (
        "%u = graph.reverse %c, [0] : T -> T\n %v = graph.add %d, %u : T",
        lambda c, d: (c[::-1], d + c[::-1]),
    ),
    "a sum of all": (
        "%s = graph.cumulative add %c, 0 : T -> T\n %t = graph.tanh %s : T\n"
        " %u = graph.add %t, %c : T\n %v = graph.add %d, %s : T",
        lambda c, d: (np.tanh(np.cumsum(c)) + c, d + np.cumsum(c)),
    ),
}


def while_text(body, size):
    return (
        WHILE.replace("BODY", body)
        .replace(": T", ": tensor<SIZE>")
        .replace("-> T", "-> tensor<SIZE>")
        .replace("SIZE", f"{size}xf32")
    )


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("size", [7, "?"])
def test_what_a_loop_carries(body, size):
    text, step = BODIES[body]
    generator = np.random.default_rng(4)
    x, y = generator.standard_normal((2, 7), dtype=np.float32)
    expected = x.astype(np.float64), y.astype(np.float64)
    for _ in range(5):
        expected = step(*expected)
    for found, wanted in zip(executable(while_text(text, size))(x, y), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def copies_in_loops(module):
    loops = [op for op in module.walk() if isinstance(op, scf.WhileOp)]
    copies = [op for loop in loops for op in loop.walk() if isinstance(op, memref.CopyOp)]
    return sum(op.source.type.get_num_dims() > 0 for op in copies)  # the counter is a scalar


def test_values_that_nobody_reads_again_are_not_copied():
    from lamina.passes.loop.bufferize import BufferizePass

    counts = {}
    for name, (text, _) in BODIES.items():
        context = api.make_context()
        module = module_at(while_text(text, 7), "tensor", context)
        BufferizePass().apply(context, module)
        counts[name] = copies_in_loops(module)
    assert counts["apart"] == 0
    assert counts["swapped"] > 0
