"""The ONNX front end: interface, reading, constants, names, refusals."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import NameLoc

import lamina
from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import GraphOp
from lamina.frontends.onnx import Unsupported, check_model, format_unsupported, import_model, importer
from lamina.targets.reference.evaluate import evaluate
from onnx_testing import (
    imported,
    interface,
    main_of,
    normal,
    ops_of,
    parse,
    run,
)

# The interface


def test_arguments_and_results_carry_names_and_sizes():
    model = parse("""main (float[batch, 4, "past + sequence"] x, int64[?, 2] ids, float s)
        => (float[a, b, c] y, int64[q] z)
        <float[4, 1] bias = {1, 2, 3, 4}> { t = Add(x, bias) y = Mul(t, s) z = Flatten<axis = 0>(ids) }""")
    module, _ = imported(model)
    main = main_of(module)
    assert interface(main.arg_attrs) == [
        ("x", ["batch", "4", "past+sequence"]),
        ("ids", ["ids_0", "2"]),
        ("s", []),
    ]
    assert interface(main.res_attrs) == [("y", ["batch", "4", "past+sequence"]), ("z", ["1", "2*ids_0"])]
    assert [str(type_) for type_ in main.function_type.inputs] == [
        "tensor<?x4x?xf32>",
        "tensor<?x2xi64>",
        "tensor<f32>",
    ]


def test_inputs_with_an_initializer_are_constants():
    model = parse("main (float[2] x, float[2] w) => (float[2] y) <float[2] w = {3, 4}> { y = Mul(x, w) }")
    (result,) = run(model, np.float32([1, 2]))
    assert result.tolist() == [3, 8]


def test_names_of_sizes_that_are_no_identifiers():
    model = parse('main (float["2batch-size", "None", "?", "N/2"] x) => (float[a, b, c, d] y) { y = Relu(x) }')
    assert interface(main_of(imported(model)[0]).arg_attrs) == [("x", ["_2batch_size", "x_1", "x_2", "N_2"])]


def test_dims_fix_symbolic_sizes():
    model = parse("main (float[batch, seq] x, float[batch, 1] y) => (float[batch, seq] z) { z = Add(x, y) }")
    main = main_of(imported(model, dims={"batch": 3})[0])
    assert [str(type_) for type_ in main.function_type.inputs] == ["tensor<3x?xf32>", "tensor<3x1xf32>"]
    with pytest.raises(LaminaError, match="no input has a size called 'bach'") as caught:
        import_model(model, LaminaContext(), dims={"bach": 3})
    assert caught.value.hints == ("the model's symbolic sizes: batch, seq",)
    with pytest.raises(LaminaError, match="cannot be -1"):
        import_model(model, LaminaContext(), dims={"batch": -1})


def test_fixed_sizes_are_whole_numbers(tmp_path: Path):
    model = parse("main (float[N] x) => (float[N] y) { y = Relu(x) }")
    main = main_of(imported(model, dims={"N": np.int64(3)})[0])
    assert [str(type_) for type_ in main.function_type.inputs] == ["tensor<3xf32>"]
    onnx.save(model, tmp_path / "m.onnx")
    for dims in ({"N": 2.0}, {"N": "2"}, {"N": None}, {1: 2}):
        for use in (
            lambda dims: import_model(model, LaminaContext(), dims=dims),
            lambda dims: check_model(model, dims=dims),
            lambda dims: lamina.compile(tmp_path / "m.onnx", dims=dims),
        ):
            with pytest.raises(LaminaError, match="dims: "):
                use(dims)


def test_every_op_has_its_nodes_name():
    model = parse("""main (float[2, 3] x) => (float[2, 3] y) {
        ["/block/act"] a = Mish(x)
        y = Softsign(a)
    }""")
    module, _ = imported(model)
    names = {"/block/act": 0, "Softsign_1": 0}
    for op in module.walk():
        if isinstance(op, GraphOp):
            assert isinstance(op.location, NameLoc)
            names[op.location.desc.data] += 1
    assert all(names.values())


def test_nodes_of_functions_are_named_by_their_call():
    model = parse(
        "main (float[2] x) => (float[2] y) { [call] y = own.twice(x) }",
        functions='<domain: "own", opset_import: ["" : 20]> twice (a) => (b) { [inner] b = Add(a, a) }',
        domains=', "own" : 1',
    )
    module, _ = imported(model)
    assert [op.location.desc.data for op in module.walk() if op.name == "graph.add"] == ["call/inner"]


def test_modules_read_back_from_their_text():
    from lamina.api import make_context, module_text
    from lamina.parser import parse_text

    module, _ = imported(parse("main (float[N, 2] x) => (float[N, 2] y) { y = Softmax(x) }"))
    text = module_text(module)
    assert module_text(parse_text(make_context(), text, "text")) == text


# Reading


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


SMALL = "main (float[2] x) => (float[2] y) { y = Relu(x) }"


@pytest.mark.parametrize("suffix", [".onnx", ".onnxtxt", ".textproto", ".json", ".pb"])
def test_formats(tmp_path: Path, suffix: str):
    path = tmp_path / f"model{suffix}"
    onnx.save(parse(SMALL), path)
    assert ops_of(imported(path)[0]) == ["relu"]
    assert ops_of(imported(str(path))[0]) == ["relu"]


def test_bytes_and_protos():
    model = parse(SMALL)
    assert ops_of(imported(model)[0]) == ["relu"]
    assert ops_of(imported(model.SerializeToString())[0]) == ["relu"]
    assert ops_of(imported(onnx.printer.to_text(model).encode())[0]) == ["relu"]


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("m.onnx", b"", "the file is empty"),
        ("m.onnx", None, "is a directory"),
        ("m.onnx", b"\x00\xff" * 50, "not an ONNX model, or one cut short"),
        ("m.onnx", b"\x08\x07", "it has no graph"),
        ("m.onnxtxt", b"hello", "not an ONNX model as text"),
        ("m.onnxtxt", b"<ir_version: 8> m (" + b"seq(" * 300000, "nested more than"),
        ("m.json", b"[" * 100000, "nested more than"),
        ("m.json", b"\xff\xfe", "not an ONNX model as text"),
        ("m.textproto", b"graph { node {", "not an ONNX model as text"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, contents: bytes | None, message: str):
    path = tmp_path / name
    if contents is None:
        path.mkdir()
    else:
        path.write_bytes(contents)
    with pytest.raises(LaminaError, match=message) as caught:
        import_model(path, LaminaContext())
    assert caught.value.where == str(path)
    assert sorted(os.listdir(tmp_path)) == [name]


def test_missing_file():
    with pytest.raises(LaminaError, match="no such file"):
        import_model("/no/such/model.onnx", LaminaContext())


def test_truncated_at_every_length():
    data = parse(
        "main (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { t = Add(x, w) y = Relu(t) }"
    ).SerializeToString()
    for length in range(len(data)):
        with pytest.raises(LaminaError):
            import_model(data[:length], LaminaContext())


MUTATED = [
    parse("main (float[N, 4] x) => (float[N, 4] y) <float[4] w = {1, 2, 3, 4}> { t = Add(x, w) y = Softmax(t) }", 9),
    parse(
        "main (float[2, 3] x) => (float[3, 2] y) { s = Shape(x) a = Slice<starts=[0],ends=[1]>(s) y = Transpose(x) }", 9
    ),
    parse("""main (float[4] x, bool c) => (float[4] y, float[3, 4] z) {
        y = If (c) <
            then_branch = t () => (float[4] a) { a = Neg(x) },
            else_branch = e () => (float[4] b) { b = Abs(x) }>
        n = Constant<value_int = 3>()
        yes = Constant<value = bool {1}>()
        last, z = Loop (n, yes, x) <
            body = step (int64 i, bool go, float[4] v) => (bool still, float[4] w, float[4] out) {
            still = Identity(go) w = Mul(v, x) out = Identity(w) }>
    }"""),
    parse(
        "main (float[1, 2, 8, 8] x, float[2, 2, 3, 3] w) => (float[a, b, c, d] y) { y = Conv<pads=[1, 1, 1, 1]>(x, w) }"
    ),
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([model.SerializeToString() for model in MUTATED]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=6)), max_size=2),
)
def test_mutated_bytes_are_read_or_refused(
    data: bytes, changes: list[tuple[int, int]], inserts: list[tuple[int, bytes]]
):
    mutated = bytearray(data)
    for position, value in changes:
        mutated[position % len(mutated)] = value
    for position, extra in inserts:
        mutated[position % len(mutated) : position % len(mutated)] = extra
    started = time.perf_counter()
    try:
        imported(bytes(mutated))
    except LaminaError as error:
        assert str(error)
    assert time.perf_counter() - started < 5


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"<ir_version")
def test_random_bytes_are_refused(data: bytes):
    with pytest.raises(LaminaError):
        import_model(data, LaminaContext())


# Constants


def weights_model(array: np.ndarray) -> onnx.ModelProto:
    data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "weights",
        [helper.make_tensor_value_info("x", data_type, array.shape)],
        [helper.make_tensor_value_info("y", data_type, array.shape)],
        [numpy_helper.from_array(array, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)


def only_resource(context: LaminaContext) -> np.ndarray:
    (key,) = context.resources
    return context.resources.get(key)


def base_of(array: np.ndarray) -> object:
    base: object = array
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap) and base.base is not None:
        base = base.base
    return base


def test_embedded_constants_are_not_copied_again():
    array = normal(1000, 1000)
    data = weights_model(array).SerializeToString()
    tracemalloc.start()
    _, context = imported(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = only_resource(context)
    np.testing.assert_array_equal(held, array)
    assert isinstance(base_of(held), bytes)
    assert not held.flags.writeable
    # The one copy that protobuf makes of the field, and little else.
    assert peak < 1.5 * array.nbytes


def external_model(tmp_path: Path, array: np.ndarray, location: str = "weights.bin", **entries: object) -> Path:
    model = weights_model(array)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return save(model, tmp_path / "model.onnx")


def test_external_constants_are_mapped(tmp_path: Path):
    array = normal(500, 3)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 4096 + array.tobytes() + b"\0" * 100)
    module, context = imported(external_model(tmp_path, array, offset=4096, length=array.nbytes))
    held = only_resource(context)
    assert isinstance(base_of(held), np.memmap)
    np.testing.assert_array_equal(held, array)
    (result,) = evaluate(module, [array], context.resources)
    np.testing.assert_array_equal(result, array + array)


def test_external_constants_at_odd_offsets(tmp_path: Path):
    array = normal(500, 3)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 3 + array.tobytes())
    _, context = imported(external_model(tmp_path, array, offset=3))
    held = only_resource(context)
    assert held.flags.aligned
    np.testing.assert_array_equal(held, array)


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("weights.bin", {"offset": 10**9}, "end outside"),
        ("weights.bin", {"offset": -4}, "end outside"),
        ("weights.bin", {"length": 4}, "holds 4 bytes"),
        ("weights.bin", {"offset": "x"}, "cannot be read"),
        ("missing.bin", {}, "are missing"),
        ("../outside.bin", {}, "lie outside the model's folder"),
        ("sub/../../outside.bin", {}, "lie outside the model's folder"),
        ("/etc/hostname", {}, "lie outside the model's folder"),
        ("link.bin", {}, "lie outside the model's folder"),
        ("linked/outside.bin", {}, "lie outside the model's folder"),
        ("pipe", {}, "are missing"),
        (".", {}, "are missing"),
        ("", {}, "have no location"),
        ("a\0b", {}, "have no location"),
    ],
)
def test_refused_external_data(tmp_path: Path, location: str, entries: dict[str, object], message: str):
    array = normal(100)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(array.tobytes())
    (tmp_path / "outside.bin").write_bytes(array.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    with pytest.raises(LaminaError, match=message):
        import_model(external_model(folder, array, location, **entries), LaminaContext())


def test_external_data_needs_a_folder(tmp_path: Path):
    model = onnx.load(external_model(tmp_path, normal(100)), load_external_data=False)
    with pytest.raises(LaminaError, match="not read from a file"):
        import_model(model, LaminaContext())


def test_checking_does_not_read_weights(tmp_path: Path):
    assert check_model(external_model(tmp_path, normal(100), "missing.bin")) == ()


@pytest.mark.parametrize(
    "dtype", ["f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "bool", "bfloat16"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_element_types_of_constants(dtype: str, raw: bool):
    import ml_dtypes

    numpy_dtype = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    array = (np.arange(-3, 4) if numpy_dtype.kind not in "ub" else np.arange(7)).astype(numpy_dtype)
    data_type = helper.np_dtype_to_tensor_dtype(numpy_dtype)
    tensor = (
        numpy_helper.from_array(array, "value")
        if raw
        else helper.make_tensor("value", data_type, array.shape, array.astype(np.float64).tolist())
    )
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", data_type, [7])])
    (result,) = run(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    assert result.dtype == numpy_dtype
    np.testing.assert_array_equal(result, array)


# Invalid models


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("m (float[2] x) => (float[2] y) { y = Relu(z) z = Abs(y) }", "has a cycle: 'Relu' needs 'Abs' needs 'Relu'"),
        ("m (float[2] x) => (float[2] y) { y = Relu(y) }", "has a cycle: 'Relu' needs 'Relu'"),
        ("m (float[2] x) => (float[2] y) { y = Relu(x) y = Abs(x) }", "'y' is defined twice"),
        ("m (float[2] x, float[2] x) => (float[2] y) { y = Relu(x) }", "two inputs are called 'x'"),
        ("m (float[2] x) => (float[2] y) { x = Relu(x) y = Relu(x) }", "'x' is defined twice"),
        ("m (float[2] x) => (float[2] y) { y = Relu(w) }", "reads 'w', which nothing defines"),
        ("m (float[2] x) => (float[2] z) { y = Relu(x) }", "nothing defines the output 'z'"),
        ("m (float[-2] x) => (float[2] y) { y = Relu(x) }", "as text|negative"),
        ("m (float[1000000000000] x) => (float[2] y) { y = Relu(x) }", "too large to allocate"),
        ("m (float[65536, 65536, 65536, 65536, 2] x) => (float[2] y) { y = Relu(x) }", "too large to allocate"),
        ("m (float x) => (float[2] y) { s = Constant<value_ints=[1099511627776]>() y = Expand(x, s) }", "too large"),
        ("m (float[2] x) => (float[2] y) { y = Relu(x, x) }", "takes 1 inputs, found 2"),
        ("m (float[2] x) => (float[2] y) { y = Add(x) }", "takes 2 inputs, found 1"),
        ("m (float[2] x) => (float[2] y) { y, z = Relu(x) }", "takes 1 outputs, found 2"),
        ("m (float[2] x) => (float[2] y) { y = Relu<alpha = 1.0>(x) }", "has no attribute 'alpha'"),
        ("m (float[2] x) => (float[2] y) { y = Concat(x) }", "needs the attribute 'axis'"),
        ("m (float[2] x) => (float[2] y) { y = Concat<axis = 1.5>(x) }", "is not of type INT"),
        ("m (float[2] x, int64[2] z) => (float[2] y) { y = Add(x, z) }", "input 1 has the type tensor.int64."),
        ("m (bool[2] x) => (float[2] y) { y = Exp(x) }", "input 0 has the type tensor.bool."),
        ("m (float[2] x, float[3] z) => (float[2] y) { y = Add(x, z) }", "broadcast"),
        ("m (float[2, 3] x) => (float[2] y) { y = Transpose<perm = [0, 2]>(x) }", "axis 2 is out of range"),
        ("m (float[2, 3] x) => (float[2] y) { y = Softmax<axis = 5>(x) }", "axis"),
        ("m (float[2, 3] x) => (float[2] y) { y = MatMul(x, x) }", "found"),
        ("m (float[2, 3] x) => (float[2] y) { y = own.F(x) }", "does not import"),
    ],
)
def test_invalid_models(body: str, message: str):
    started = time.perf_counter()
    with pytest.raises(LaminaError, match=message):
        import_model(parse(body), LaminaContext()) if "-2" not in body else import_model(
            f'<ir_version: 8, opset_import: ["" : 20]>{body}'.encode(), LaminaContext()
        )
    assert time.perf_counter() - started < 1


def test_errors_name_the_node():
    with pytest.raises(LaminaError) as caught:
        import_model(parse("m (float[2] x) => (float[2] y) { [here] y = Concat(x) }"), LaminaContext())
    assert caught.value.where == "m: here"


@pytest.mark.parametrize(
    ("size", "accepted"), [(0, True), (1, True), (2**31, True), (10**12, False), (-1, False), (-(2**62), False)]
)
def test_sizes_of_inputs(size: int, accepted: bool):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size])],
        [onnx.ValueInfoProto(name="y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    if accepted:
        assert str(main_of(imported(model)[0]).function_type.inputs.data[0]) == f"tensor<{size}xf32>"
        return
    with pytest.raises(LaminaError, match=r"too large|negative"):
        import_model(model, LaminaContext())


@pytest.mark.parametrize("dims", [[3], [2, 3], [10**12], [-2], []])
def test_initializers_of_wrong_size(dims: list[int]):
    model = weights_model(normal(2))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    with pytest.raises(LaminaError, match=r"holds 8 bytes|too large|negative"):
        import_model(model, LaminaContext())


@pytest.mark.parametrize(
    ("opset", "message"), [(6, "older than 7"), (1, "older than 7"), (0, "older than 7"), (1000, "newer than")]
)
def test_operator_sets_out_of_range(opset: int, message: str):
    model = parse(SMALL)
    model.opset_import[0].version = opset
    with pytest.raises(LaminaError, match=message):
        import_model(model, LaminaContext())


def test_functions_that_call_each_other_without_end():
    model = parse(
        "m (float[2] x) => (float[2] y) { y = own.f(x) }",
        functions='<domain: "own", opset_import: ["own" : 1]> f (a) => (b) { b = own.g(a) }\n'
        '<domain: "own", opset_import: ["own" : 1]> g (a) => (b) { b = own.f(a) }',
        domains=', "own" : 1',
    )
    with pytest.raises(LaminaError, match="calls itself"):
        import_model(model, LaminaContext())


def test_functions_that_grow_exponentially(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importer, "MAX_NODES", 5000)
    functions = '<domain: "own", opset_import: ["" : 20]> f0 (a) => (b) { b = Identity(a) }\n'
    for depth in range(1, 40):
        functions += (
            f'<domain: "own", opset_import: ["own" : 1]> f{depth} (a) => (b) '
            f"{{ t = own.f{depth - 1}(a) b = own.f{depth - 1}(t) }}\n"
        )
    model = parse("m (float[2] x) => (float[2] y) { y = own.f39(x) }", functions=functions, domains=', "own" : 1')
    with pytest.raises(LaminaError, match="nodes once its functions are inlined"):
        import_model(model, LaminaContext())


def test_nodes_may_come_in_any_order():
    model = parse("m (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) y = Exp(b) }")
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert ops_of(imported(model)[0]) == ["relu", "negate", "exp"]


def test_deep_graphs_are_sorted_without_recursion():
    count = 3000
    nodes = [helper.make_node("Neg", [f"v{index}"], [f"v{index + 1}"]) for index in reversed(range(count))]
    graph = helper.make_graph(
        nodes,
        "deep",
        [helper.make_tensor_value_info("v0", TensorProto.FLOAT, [1])],
        [onnx.ValueInfoProto(name=f"v{count}")],
    )
    module, _ = imported(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8))
    assert len(ops_of(module)) == count


# What is not supported


UNSUPPORTED = """m (float[2] x, string[2] s) => (float[2] y, float[2] z) {
    ["/first"] a = Unique(x)
    ["/second"] b = Unique(a)
    ["/loss"] c = RandomNormalLike(x)
    ["/own"] y = com.acme.Z(b)
    ["/upper"] t = StringNormalizer(s)
    ["/fine"] z = Relu(c)
    ["/determinant"] d = Det(x)
}"""


def test_everything_unsupported_is_reported_at_once():
    model = parse(UNSUPPORTED, domains=', "com.acme" : 1')
    assert check_model(model) == (
        Unsupported("Input", "", ("s",), "the element type string is not built yet"),
        Unsupported("Unique", "", ("/first", "/second"), "the size of the result depends on the data"),
        Unsupported("RandomNormalLike", "", ("/loss",), "random numbers are not built yet"),
        Unsupported("Z", "com.acme", ("/own",), "unknown domain 'com.acme'"),
        Unsupported("StringNormalizer", "", ("/upper",), "strings are not built yet"),
        Unsupported("Det", "", ("/determinant",), "not built yet"),
    )
    with pytest.raises(LaminaError) as caught:
        import_model(model, LaminaContext())
    assert caught.value.message == format_unsupported(check_model(model))


def test_the_report_reads_well():
    findings = (
        Unsupported("Unique", "", ("/encoder/unique", "/decoder/unique_1"), "the size depends on the data", ("try x",)),
        Unsupported("Z", "com.acme", ("/head/z",), "unknown domain 'com.acme'"),
        Unsupported("If", "", tuple(f"n{index}" for index in range(12)), "why"),
    )
    assert format_unsupported(findings) == (
        "3 operators cannot be compiled\n"
        "  Unique      ×2   /encoder/unique, /decoder/unique_1: the size depends on the data\n"
        "                   → try x\n"
        "  com.acme.Z  ×1   /head/z: unknown domain 'com.acme'\n"
        "  If          ×12  n0, n1, n2, n3, n4, n5 and 6 more: why"
    )


def test_unsupported_nodes_inside_bodies_and_functions():
    model = parse(
        """m (float[4] x, bool c) => (float[4] y) {
            [branch] y = If (c) <
                then_branch = t () => (float[4] a) { [inner] a = Unique(x) },
                else_branch = e () => (float[4] b) { [other] b = own.f(x) }>
        }""",
        functions='<domain: "own", opset_import: ["" : 20]> f (a) => (b) { [deep] b = Det(a) }',
        domains=', "own" : 1',
    )
    assert [(finding.op_type, finding.node_names) for finding in check_model(model)] == [
        ("Unique", ("branch/inner",)),
        ("Det", ("branch/other/deep",)),
    ]


def test_importing_does_not_change_the_model():
    model = parse(UNSUPPORTED, domains=', "com.acme" : 1')
    before = model.SerializeToString()
    check_model(model)
    assert model.SerializeToString() == before
