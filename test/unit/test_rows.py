"""Rows, columns and long results, natively: what is jammed, cut, streamed or scaled by a power of two is as accurate as
ONNX Runtime, at odd sizes, with NaN and infinities, on one and two threads, with and without AVX-512."""

import numpy as np
import onnx
import onnx.parser
import pytest

import lamina
from lamina import api, pipelines
from lamina.lowering.to_llvm_text import print_llvm
from support.oracles import double_outputs, onnxruntime_outputs

SMALL_CACHE = {"l3": 4096}
"""Results of a few kilobytes are streamed."""

AVX2 = {"vector_bits": 256, "features": "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,-avx512f,-avx512vl"}
NUMBERS = "int64[1] last = {-1}, int64[1] first = {0}"


def model_of(inputs, output, body):
    text = f'<ir_version: 10, opset_import: ["" : 21]> g ({inputs}) => ({output}) <{NUMBERS}> {{ {body} }}'
    return onnx.parser.parse_model(text)


def compare(model, feeds, *, target=None, threads=1, exact=False, offset=0):
    """Our result beside ONNX Runtime's; ours is written `offset` elements behind the start of a line."""
    executable = lamina.compile(model, threads=threads, target=target)  # the second time from the cache
    (theirs,) = onnxruntime_outputs(model, feeds)
    theirs = np.asarray(theirs)
    raw = np.full(theirs.size + 64, 77, theirs.dtype)
    start = (-raw.ctypes.data % 64) // raw.itemsize + offset
    place = raw[start : start + theirs.size].reshape(theirs.shape)
    (ours,) = executable.call([feeds[value.name] for value in model.graph.input], out=[place])
    if exact:
        np.testing.assert_array_equal(ours, theirs)
    else:
        (true,) = double_outputs(model, feeds)
        bound = 2 * np.abs(theirs - true).max(initial=0) + 1e-6 * np.abs(true).max(initial=0)
        assert np.abs(ours - true).max(initial=0) <= bound
    rest = np.concatenate([raw[:start], raw[start + theirs.size :]])
    np.testing.assert_array_equal(rest, 77)
    return ours


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


STREAMED = {
    "add": ("float[r, c] x, float[r, c] z", "float[r, c] y", "y = Add(x, z)", True),
    "exp": ("float[r, c] x", "float[r, c] y", "y = Exp(x)", False),
    "softmax": ("float[r, c] x", "float[r, c] y", "y = Softmax <axis = -1> (x)", False),
    "layer norm": ("float[r, c] x, float[c] s, float[c] b", "float[r, c] y", "y = LayerNormalization(x, s, b)", False),
    "concat first": ("float[r, c] x, float[r, c] z", "float[r2, c] y", "y = Concat <axis = 0> (x, z, x)", True),
    "concat": ("float[r, c] x, float[r, c] z", "float[r, d] y", "y = Concat <axis = 1> (x, z)", True),
    "transpose": ("float[r, c] x", "float[c, r] y", "y = Transpose <perm = [1, 0]> (x)", True),
    "double": ("double[r, c] x, double[r, c] z", "double[r, c] y", "y = Mul(x, z)", True),
    "bytes": ("int8[r, c] x, int8[r, c] z", "int8[r, c] y", "y = BitwiseXor(x, z)", True),
}


def sized(model, sizes):
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model


def feeds_of(model):
    feeds = {}
    for number, value in enumerate(model.graph.input):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        drawn = np.random.default_rng(number).standard_normal(shape) * 3
        feeds[value.name] = drawn.astype(dtype)
    return feeds


@pytest.mark.parametrize("case", STREAMED)
@pytest.mark.parametrize(("rows", "columns", "offset"), [(5, 1037, 0), (3, 2048, 4), (16, 300, 3), (2, 40000, 1)])
@pytest.mark.parametrize("target", [SMALL_CACHE, SMALL_CACHE | AVX2], ids=["host", "avx2"])
def test_long_results_past_the_caches(case, rows, columns, offset, target):
    inputs, output, body, exact = STREAMED[case]
    model = sized(model_of(inputs, output, body), {"r": rows, "c": columns})
    feeds = feeds_of(model)
    for threads in (1, 2):
        compare(model, feeds, target=target, threads=threads, exact=exact, offset=offset)


PIPELINED = {
    "softmax": STREAMED["softmax"][:3],
    "log softmax": ("float[r, c] x", "float[r, c] y", "y = LogSoftmax <axis = -1> (x)"),
    "layer norm": STREAMED["layer norm"][:3],
}


@pytest.mark.parametrize("case", PIPELINED)
@pytest.mark.parametrize(("rows", "columns", "offset"), [(64, 512, 0), (131, 1037, 5), (70, 4096, 1), (67, 515, 15)])
@pytest.mark.parametrize("target", [SMALL_CACHE, SMALL_CACHE | AVX2], ids=["host", "avx2"])
def test_rows_in_several_passes_at_once(case, rows, columns, offset, target):
    model = sized(model_of(*PIPELINED[case]), {"r": rows, "c": columns})
    feeds = feeds_of(model)
    results = [compare(model, feeds, target=target, threads=threads, offset=offset) for threads in (1, 2)]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("offset", [0, 5])
@pytest.mark.parametrize("target", [SMALL_CACHE, SMALL_CACHE | AVX2], ids=["host", "avx2"])
def test_groups_too_long_for_a_scratch_buffer(offset, target):
    body = "y = GroupNormalization <num_groups = 2> (x, g, a)"
    model = model_of("float[2, 8, 91, 91] x, float[8] g, float[8] a", "float[n, c, h, w] y", body)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert "!nontemporal" in _llvm_text(model, target)
    for threads in (1, 2):
        compare(model, feeds_of(model), target=target, threads=threads, offset=offset)


def test_pipelined_rows_do_not_depend_on_where_results_begin():
    model = sized(model_of(*PIPELINED["softmax"]), {"r": 64, "c": 600})
    feeds = feeds_of(model)
    first, second = (compare(model, feeds, target=SMALL_CACHE, offset=offset) for offset in (0, 7))
    np.testing.assert_array_equal(first, second)


LINES = {
    "sum": ("y = ReduceSum <keepdims = 0> (x, last)", np.sum),
    "maximum": ("y = ReduceMax <keepdims = 0> (x, last)", np.max),
    "add": ("y = Add(x, x)", None),
    "exp": ("y = Exp(x)", None),
    "softmax": ("y = Softmax <axis = -1> (x)", None),
}


@pytest.mark.parametrize("case", LINES)
@pytest.mark.parametrize(("rows", "columns"), [(3, 64), (5, 67), (2, 129), (4, 512), (3, 1037), (2, 8192)])
def test_results_do_not_depend_on_where_arrays_begin(case, rows, columns):
    """Loops go from line to line of what they write or read; every element and the order of every sum stay."""
    body, reduced = LINES[case]
    output = "float[r] y" if reduced else "float[r, c] y"
    model = sized(model_of("float[r, c] x", output, body), {"r": rows, "c": columns})
    feeds = feeds_of(model)
    executable = lamina.compile(model, threads=1)
    wanted = compare(model, feeds)
    for before in (0, 1, 4, 15):
        raw = np.full(rows * columns + 32, np.nan, np.float32)
        start = (-raw.ctypes.data % 64) // 4 + before
        x = raw[start : start + rows * columns].reshape(rows, columns)
        x[...] = feeds["x"]
        (ours,) = executable(x)
        np.testing.assert_array_equal(ours, wanted)
        np.testing.assert_array_equal(compare(model, {"x": x}, offset=(before * 7) % 16), wanted)


def test_special_values_stay_in_their_rows():
    model = sized(model_of(*PIPELINED["softmax"]), {"r": 64, "c": 640})
    feeds = feeds_of(model)
    feeds["x"][5, 600], feeds["x"][9, 3], feeds["x"][63, 639], feeds["x"][20] = np.nan, np.inf, -np.inf, -np.inf
    (ours,) = lamina.compile(model, threads=1, target=SMALL_CACHE, cache=False)(feeds["x"])
    assert np.isnan(ours[[5, 9, 20]]).all()
    clean = [row for row in range(64) if row not in (5, 9, 20)]
    (theirs,) = onnxruntime_outputs(model, feeds)
    np.testing.assert_allclose(ours[clean], np.asarray(theirs)[clean], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("offset", [0, 3])
def test_gathered_rows_past_the_caches(offset):
    model = sized(
        model_of("float[r, c] x, int64[n] i", "float[n, c] y", "y = Gather(x, i)"), {"r": 7, "c": 1037, "n": 9}
    )
    feeds = {"x": numbers(7, 1037), "i": np.array([3, -1, 0, 6, 6, -7, 2, 1, 5])}
    for threads in (1, 2):
        compare(model, feeds, target=SMALL_CACHE, threads=threads, exact=True, offset=offset)


@pytest.mark.parametrize("body", ["y = Softmax <axis = 0> (x)", "y = ReduceMean <keepdims = 1> (x, first)"])
@pytest.mark.parametrize(("rows", "columns"), [(33, 1024), (40, 2500)])
def test_reduced_columns_that_are_kept(body, rows, columns):
    model = sized(model_of("float[r, c] x", "float[s, c] y", body), {"r": rows, "c": columns})
    results = [compare(model, {"x": numbers(rows, columns)}, threads=threads) for threads in (1, 2)]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("body", ["y = Exp(x)", "t = ReduceSum <keepdims = 0> (x) y = Mul(t, x)"])
def test_scalars(body):
    compare(model_of("float x", "float y", body), {"x": np.array(0.3, np.float32)})


def test_streamed_stores_are_nontemporal_and_made_visible():
    model = sized(model_of(*STREAMED["add"][:3]), {"r": 4, "c": 4096})
    text = _llvm_text(model, SMALL_CACHE)
    assert "!nontemporal" in text
    assert "sfence" in text or "fence seq_cst" in text
    assert "!nontemporal" not in _llvm_text(model, None)


def test_a_last_cache_that_many_share_is_counted_on_up_to_a_bound():
    large, small = (sized(model_of(*STREAMED["add"][:3]), {"r": rows, "c": 4096}) for rows in (2048, 512))
    for megabytes in (32, 480):
        target = {"l3": megabytes * 2**20}
        assert "!nontemporal" in _llvm_text(large, target)
        assert "!nontemporal" not in _llvm_text(small, target)


@pytest.mark.parametrize(("case", "asks"), [("exp", True), ("add", False)])
def test_a_single_pass_with_much_to_do_asks_for_what_comes(case, asks):
    model = sized(model_of(*STREAMED[case][:3]), {"r": 2048, "c": 4096})
    assert ("llvm.prefetch" in _llvm_text(model, {"l3": 480 * 2**20})) == asks
    assert "llvm.prefetch" not in _llvm_text(model, {"l3": 32 * 2**20})


def _llvm_text(model, target):
    context = api.make_context()
    module = api.load_module(model, context)
    api.set_target(module, target)
    pipelines.run_phases(module, context, to="hardware")
    return "\n".join(one.text for one in print_llvm(module).modules)


@pytest.mark.parametrize("kind", ["ReduceSum", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (15, 7), (16, 33), (17, 1100), (41, 2051), (1500, 1030)])
def test_reductions_of_columns(kind, rows, columns):
    model = model_of(f"float[{rows}, {columns}] x", "float[c] y", f"y = {kind} <keepdims = 0> (x, first)")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    feeds = {"x": numbers(rows, columns)}
    results = [compare(model, feeds, threads=threads, exact=kind != "ReduceSum") for threads in (1, 2)]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("kind", ["ReduceSum", "ReduceMax"])
@pytest.mark.parametrize("shape", [(64, 64), (3, 5, 700), (16, 3, 17, 19), (1, 2, 300, 3), (100000,), (20, 1, 256)])
def test_reductions_of_everything(kind, shape):
    sizes = ", ".join(map(str, shape))
    model = model_of(f"float[{sizes}] x", "float y", f"y = {kind} <keepdims = 0> (x)")
    feeds = {"x": numbers(*shape)}
    executable = lamina.compile(model, cache=False)
    results = [np.asarray(executable.call(feeds, threads=threads)[0]) for threads in (1, 2)]
    np.testing.assert_array_equal(*results)
    exact = feeds["x"].astype(np.float64)
    exact = exact.sum() if kind == "ReduceSum" else exact.max()
    scale = np.abs(feeds["x"].astype(np.float64)).sum() if kind == "ReduceSum" else 1
    assert abs(results[0] - exact) <= 1e-6 * scale


@pytest.mark.parametrize(("axes", "shape"), [((2, 3), (1, 5, 7, 9)), ((1, 3), (3, 1, 4, 6)), ((0, 2, 3), (2, 3, 5, 5))])
def test_kept_axes_between_reduced_ones(axes, shape):
    sizes = ", ".join(map(str, shape))
    model = model_of(f"float[{sizes}] x", "float[a, b, c, d] y", "y = ReduceSum(x, axes)")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(axes), "axes"))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    compare(model, {"x": numbers(*shape)})


@pytest.mark.parametrize("place", [0, 17, 99])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("body", ["Softmax <axis = -1>", "LogSoftmax <axis = -1>", "Softmax <axis = 0>"])
def test_special_values_in_softmax(place, value, body):
    x = numbers(3, 100)
    x[1, place] = value
    model = model_of("float[3, 100] x", "float[3, 100] y", f"y = {body} (x)")
    executable = lamina.compile(model, threads=1, cache=False)
    axis = 0 if "0" in body else -1
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        shifted = wide - wide.max(axis, keepdims=True)
        total = np.exp(shifted).sum(axis, keepdims=True)
        exact = shifted - np.log(total) if "Log" in body else np.exp(shifted) / total
    np.testing.assert_allclose(executable(x=x)[0], exact, rtol=2e-5, atol=1e-7)


def test_a_row_of_minus_infinity_gives_nan_and_far_scores_give_subnormals():
    x = np.full((2, 64), -np.inf, np.float32)
    x[1] = np.linspace(0, -110, 64)
    model = model_of("float[2, 64] x", "float[2, 64] y", "y = Softmax <axis = -1> (x)")
    for target in (None, AVX2):
        (y,) = lamina.compile(model, threads=1, target=target, cache=False)(x=x)
        assert np.isnan(y[0]).all()
        shifted = np.exp(x[1].astype(np.float64))
        np.testing.assert_allclose(y[1], shifted / shifted.sum(), rtol=1e-5, atol=1.5e-45)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 64, 998])
def test_extremes_propagate_nan(value, place):
    x = numbers(1, 999)
    x[0, place] = value
    for kind, axis in (("ReduceMax", "last"), ("ReduceMin", "last"), ("ReduceMax", "first")):
        model = model_of("float[1, 999] x", "float[n] y", f"y = {kind} <keepdims = 0> (x, {axis})")
        model.graph.output[0].type.tensor_type.ClearField("shape")
        (y,) = lamina.compile(model, threads=1, cache=False)(x=x)
        expected = (x.max if kind == "ReduceMax" else x.min)(axis=-1 if axis == "last" else 0)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("rows", "depth"), [(1, 1), (3, 5), (17, 100), (130, 1025), (64, 0)])
def test_matrix_times_vector_without_a_transpose(rows, depth):
    model = model_of(f"float[{rows}, {depth}] x, float[{depth}] v", f"float[{rows}] y", "y = MatMul(x, v)")
    feeds = {"x": numbers(rows, depth), "v": numbers(depth)}
    (y,) = lamina.compile(model, threads=2, cache=False)(**feeds)
    exact = feeds["x"].astype(np.float64) @ feeds["v"].astype(np.float64)
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-5)


def test_symbolic_rows_and_columns():
    model = model_of("float[r, c] x", "float[c] y", "y = ReduceSum <keepdims = 0> (x, first)")
    executable = lamina.compile(model, threads=2, cache=False)
    for rows, columns in ((1, 1), (7, 3), (8, 1030), (33, 2100)):
        x = numbers(rows, columns)
        np.testing.assert_allclose(executable(x=x)[0], x.astype(np.float64).sum(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", [None, AVX2], ids=["host", "avx2"])
def test_exp_over_its_whole_range(target):
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 88.72284, 88.73, -103.97, -104.0]
    x = np.concatenate([np.linspace(-110, 95, 20001), special]).astype(np.float32)
    model = model_of(f"float[{x.size}] x", f"float[{x.size}] y", "y = Exp(x)")
    (y,) = lamina.compile(model, threads=1, target=target, cache=False)(x=x)
    with np.errstate(all="ignore"):
        exact = np.exp(x.astype(np.float64))
        rounded = exact.astype(np.float32)
        place = np.spacing(np.maximum(rounded, np.finfo(np.float32).tiny)).astype(np.float64)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    assert (np.abs(y[finite] - exact[finite]) / place[finite]).max() <= 1.3
