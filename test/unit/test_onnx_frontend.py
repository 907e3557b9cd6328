"""The ONNX front end: interface, constants, names, shapes, refusals; ONNX Runtime is the oracle for numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, NameLoc, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation

from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.dims import evaluate as evaluate_dim
from lamina.dialects.graph.dims import parse_dim
from lamina.frontends.onnx import Unsupported, check_model, format_unsupported, import_model, importer
from lamina.targets.reference.evaluate import evaluate

RANDOM = np.random.default_rng(0)


def parse(body: str, opset: int = 20, functions: str = "", domains: str = "") -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}{domains}]>\n{body}\n{functions}')


def imported(model, **options) -> tuple[ModuleOp, LaminaContext]:
    context = LaminaContext()
    module = import_model(model, context, **options)
    module.verify()
    return module, context


def main_of(module: ModuleOp) -> FuncOp:
    (main,) = module.body.block.ops
    assert isinstance(main, FuncOp)
    return main


def ops_of(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("graph.") for op in module.walk() if isinstance(op, GraphOp)]


def interface(attributes: ArrayAttr[DictionaryAttr] | None) -> list[tuple[str, list[str] | None]]:
    assert attributes is not None
    rows: list[tuple[str, list[str] | None]] = []
    for row in attributes:
        name, dims = row.data["lamina.name"], row.data.get("lamina.dims")
        assert isinstance(name, StringAttr)
        rows.append((name.data, None if dims is None else [size.data for size in dims]))  # type: ignore[union-attr]
    return rows


def run(model, *inputs: np.ndarray, **options) -> tuple[np.ndarray, ...]:
    module, context = imported(model, **options)
    return evaluate(module, inputs, context.resources)


def runtime(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, map(np.asarray, inputs), strict=True)))


def check_against_runtime(model: onnx.ModelProto, *inputs: np.ndarray, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    expected = runtime(model, *inputs)
    results = run(model, *inputs)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(result, wanted, rtol=rtol, atol=atol)


def one_node(node: onnx.NodeProto, inputs: dict[str, np.ndarray], opset: int, constants=None) -> onnx.ModelProto:
    """A model of one node with one output `y`; `constants` become initializers."""
    constants = constants or {}
    graph = helper.make_graph(
        [node],
        "one_node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    graph.output[0].type.tensor_type.elem_type = next(iter(graph.input)).type.tensor_type.elem_type
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


# The interface


def test_arguments_and_results_carry_names_and_sizes():
    model = parse("""main (float[batch, 4, "past + sequence"] x, int64[?, 2] ids, float s) => (float[a, b, c] y, int64[q] z)
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
        y = If (c) <then_branch = t () => (float[4] a) { a = Neg(x) }, else_branch = e () => (float[4] b) { b = Abs(x) }>
        n = Constant<value_int = 3>()
        yes = Constant<value = bool {1}>()
        last, z = Loop (n, yes, x) <body = step (int64 i, bool go, float[4] v) => (bool still, float[4] w, float[4] out) {
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
        ("m (float[2] x) => (float[2] y) { y = Relu(z) z = Relu(y) }", "has a cycle"),
        ("m (float[2] x) => (float[2] y) { y = Relu(y) }", "has a cycle"),
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
    with pytest.raises(LaminaError, match="too large|negative"):
        import_model(model, LaminaContext())


@pytest.mark.parametrize("dims", [[3], [2, 3], [10**12], [-2], []])
def test_initializers_of_wrong_size(dims: list[int]):
    model = weights_model(normal(2))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    with pytest.raises(LaminaError, match="holds 8 bytes|too large|negative"):
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
    ["/quantized"] q = QuantizeLinear(x, x)
}"""


def test_everything_unsupported_is_reported_at_once():
    model = parse(UNSUPPORTED, domains=', "com.acme" : 1')
    assert check_model(model) == (
        Unsupported("Input", "", ("s",), "the element type string is not built yet"),
        Unsupported("Unique", "", ("/first", "/second"), "the size of the result depends on the data"),
        Unsupported("RandomNormalLike", "", ("/loss",), "random numbers are not built yet"),
        Unsupported("Z", "com.acme", ("/own",), "unknown domain 'com.acme'"),
        Unsupported("StringNormalizer", "", ("/upper",), "strings are not built yet"),
        Unsupported("QuantizeLinear", "", ("/quantized",), "quantized arithmetic is not built yet"),
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


# Numbers, against ONNX Runtime


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slices(data: st.DataObject):
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=len(shape)))
    assume(len({axis % len(shape) for axis in axes}) == len(axes))
    bound = st.one_of(st.integers(-7, 7), st.sampled_from([2**63 - 1, -(2**63) + 1]))
    steps = [data.draw(st.integers(-3, 3).filter(bool)) for _ in axes]
    # Below the first element ONNX clamps a reversed start to it and NumPy does not: outside what exporters write.
    starts = [
        data.draw(bound.filter(lambda start, n=shape[axis], s=step: s > 0 or start >= -n))
        for axis, step in zip(axes, steps, strict=True)
    ]
    # ONNX Runtime takes the largest integer for "to the end" in both directions; the standard does not.
    ends = [data.draw(bound.filter(lambda end, s=step: s > 0 or end < 2**62)) for step in steps]
    constants = {
        name: np.array(values, np.int64)
        for name, values in {"starts": starts, "ends": ends, "axes": axes, "steps": steps}.items()
    }
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    node = helper.make_node("Slice", ["x", *constants], ["y"])
    check_against_runtime(one_node(node, {"x": x}, 13, constants), x)
    # The same with bounds that are only known when the model runs.
    bounds = {name: constants.pop(name) for name in ("starts", "ends")}
    check_against_runtime(one_node(node, {"x": x, **bounds}, 13, constants), x, *bounds.values())


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_pooling(data: st.DataObject):
    rank = data.draw(st.integers(1, 2))
    draw = lambda low, high: [data.draw(st.integers(low, high)) for _ in range(rank)]  # noqa: E731
    kernel, strides, dilations = draw(1, 3), draw(1, 3), draw(1, 2)
    sizes = draw(5, 9)
    low, high = ([data.draw(st.integers(0, size // 2)) for size in kernel] for _ in range(2))
    kind = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    attributes: dict[str, object] = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
    padding = data.draw(st.sampled_from(["pads", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if padding == "pads":
        attributes |= {"pads": low + high, "ceil_mode": data.draw(st.integers(0, 1))}
    else:
        # ONNX Runtime takes neither dilations nor gaps between windows when it pads automatically.
        assume(all(stride <= size for stride, size in zip(strides, kernel, strict=True)))
        attributes |= {"auto_pad": padding, "dilations": [1] * rank}
    if kind == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
        # ONNX Runtime counts dilated padding differently from the standard's definition.
        attributes["dilations"] = [1] * rank
    x = normal(2, 3, *sizes)
    check_against_runtime(one_node(helper.make_node(kind, ["x"], ["y"], **attributes), {"x": x}, 19), x)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_convolutions(data: st.DataObject):
    rank = data.draw(st.integers(1, 3))
    transposed = data.draw(st.booleans())
    groups = data.draw(st.integers(1, 3))
    inputs, outputs = (groups * data.draw(st.integers(1, 2)) for _ in range(2))
    kernel = [data.draw(st.integers(1, 3)) for _ in range(rank)]
    attributes: dict[str, object] = {
        "group": groups,
        "strides": [data.draw(st.integers(1, 3)) for _ in range(rank)],
        "dilations": [data.draw(st.integers(1, 2)) for _ in range(rank)],
    }
    padding = data.draw(st.sampled_from(["pads", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]))
    if padding == "pads":
        attributes["pads"] = [data.draw(st.integers(0, 2)) for _ in range(2 * rank)]
    else:
        attributes["auto_pad"] = padding
    if padding.startswith("SAME"):
        # ONNX Runtime takes neither dilations nor gaps between windows when it pads automatically.
        attributes |= {"dilations": [1] * rank, "strides": [data.draw(st.integers(1, size)) for size in kernel]}
    x = normal(2, inputs, *(data.draw(st.integers(5, 7)) for _ in range(rank)))
    w = normal(*((inputs, outputs // groups) if transposed else (outputs, inputs // groups)), *kernel)
    if transposed and padding == "pads":
        attributes["output_padding"] = [
            data.draw(st.integers(0, step - 1))
            for step in attributes["strides"]  # type: ignore[union-attr]
        ]
    node = helper.make_node("ConvTranspose" if transposed else "Conv", ["x", "w", "b"], ["y"], **attributes)
    b = normal(outputs)
    model = one_node(node, {"x": x}, 11, {"w": w, "b": b})
    try:
        expected = runtime(model, x)
    except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException:
        assume(False)  # padding that leaves nothing
    assume(expected[0].size)
    (result,) = run(model, x)
    np.testing.assert_allclose(result, expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("opset", [7, 11, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_softmax_before_and_after_opset_13(op: str, opset: int, axis: int | None):
    x = normal(2, 3, 4)
    attributes = {} if axis is None else {"axis": axis}
    check_against_runtime(one_node(helper.make_node(op, ["x"], ["y"], **attributes), {"x": x}, opset), x)


MATMUL_SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (6, 1, 3, 4)),
    ((2, 3), (6, 5, 3, 4)),
    ((0, 2, 3), (0, 3, 4)),
    ((2, 0), (0, 4)),
]


@pytest.mark.parametrize(("left", "right"), MATMUL_SHAPES)
def test_matrix_products(left: tuple[int, ...], right: tuple[int, ...]):
    x, w = normal(*left), normal(*right)
    model = one_node(helper.make_node("MatMul", ["x", "w"], ["y"]), {"x": x, "w": w}, 13)
    (result,) = run(model, x, w)
    np.testing.assert_allclose(result, np.matmul(x, w), rtol=1e-5, atol=1e-6)
    for value in model.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_value > 1:
                dim.dim_param = f"{value.name}_{axis}"
    (result,) = run(model, x, w)
    np.testing.assert_allclose(result, np.matmul(x, w), rtol=1e-5, atol=1e-6)


def test_a_matrix_on_the_right_is_not_broadcast():
    model = parse("m (float[B, 2, 3] x, float[3, 4] w) => (float[B, 2, 4] y) { y = MatMul(x, w) }")
    assert ops_of(imported(model)[0]) == ["dot_general"]


def test_gemm_keeps_transposes():
    model = parse(
        "m (float[3, 2] a, float[4, 3] b, float[4] c) => (float[2, 4] y) { y = Gemm<transA=1,transB=1>(a, b, c) }"
    )
    assert ops_of(imported(model)[0]) == ["transpose", "transpose", "dot_general", "add"]


@pytest.mark.parametrize(
    "equation",
    [
        "ij,jk->ik",
        "ij,jk",
        "bij,bjk->bik",
        "...ij,...jk->...ik",
        "i,j->ij",
        "ij->ji",
        "ij->",
        "ij,ij->",
        "ijk,kl,l->ij",
        "bhqd,bhkd->bhqk",
    ],
)
def test_einsum(equation: str):
    terms = equation.split("->")[0].split(",")
    sizes = {letter: 2 + index for index, letter in enumerate("ijklbhqd")}
    arrays = {
        f"x{index}": normal(*((5, 3) if "..." in term else ()), *(sizes[letter] for letter in term.replace(".", "")))
        for index, term in enumerate(terms)
    }
    model = one_node(helper.make_node("Einsum", list(arrays), ["y"], equation=equation), arrays, 12)
    check_against_runtime(model, *arrays.values(), rtol=1e-4, atol=1e-4)


# Shapes that are computed


TORCH_ATTENTION = """m (float[batch, seq, 32] x) => (float[batch, 4, seq, 8] y, float[batch, seq, 32] z) {
    shape = Shape(x)
    zero = Constant<value_int = 0>()
    one = Constant<value_int = 1>()
    axes = Constant<value_ints = [0]>()
    batch_size = Gather(shape, zero)
    seq_size = Gather(shape, one)
    b = Unsqueeze(batch_size, axes)
    s = Unsqueeze(seq_size, axes)
    heads = Constant<value_ints = [4, 8]>()
    target = Concat<axis = 0>(b, s, heads)
    split = Reshape(x, target)
    y = Transpose<perm = [0, 2, 1, 3]>(split)
    back = Transpose<perm = [0, 2, 1, 3]>(y)
    rest = Constant<value_ints = [-1]>()
    target2 = Concat<axis = 0>(b, s, rest)
    z = Reshape(back, target2)
}"""


def test_shapes_as_pytorch_exports_them():
    model = parse(TORCH_ATTENTION, 13)
    module, _ = imported(model)
    assert interface(main_of(module).res_attrs) == [
        ("y", ["batch", "4", "seq", "8"]),
        ("z", ["batch", "seq", "32"]),
    ]
    for batch, seq in ((1, 1), (3, 5), (2, 7)):
        check_against_runtime(model, normal(batch, seq, 32))


def test_sizes_that_cast_and_round():
    model = parse(
        """m (float[N, 6] x) => (float[a, b] y) {
        shape = Shape(x)
        start = Constant<value_ints = [0]>()
        end = Constant<value_ints = [1]>()
        n = Slice(shape, start, end)
        half = Constant<value_ints = [2]>()
        h = Div(n, half)
        y = Slice(x, start, h, start)
    }""",
        13,
    )
    (_, dims), *_ = interface(main_of(imported(model)[0]).res_attrs)
    assert dims is not None
    assert [evaluate_dim(parse_dim(size), {"N": 5}) for size in dims] == [2, 6]
    check_against_runtime(model, normal(5, 6))


def test_constants_are_followed_through_casts():
    model = parse(
        """m (float[2, 3, 4] x) => (float[a, b] y) {
        shape = Shape(x)
        f = Cast<to = 1>(shape)
        two = Constant<value_floats = [1.0, 0.5, 1.5]>()
        scaled = Mul(f, two)
        floor = Floor(scaled)
        ints = Cast<to = 7>(floor)
        rows = Gather(ints, zero)
        target = Concat<axis = 0>(rows, rest)
        y = Reshape(x, target)
    }""".replace(
            "shape = Shape", "zero = Constant<value_ints = [0]>() rest = Constant<value_ints = [-1]>() shape = Shape"
        ),
        13,
    )
    assert "dynamic_reshape" not in ops_of(imported(model)[0])
    check_against_runtime(model, normal(2, 3, 4))


@pytest.mark.parametrize("zero_size", [False, True])
def test_reshape_to_a_shape_that_is_data(zero_size: bool):
    model = parse("m (float[a, b] x, int64[3] s) => (float[c, d, e] y) { y = Reshape(x, s) }", 13)
    x = normal(0 if zero_size else 4, 6)
    check_against_runtime(model, x, np.array([0, 2, 3]))
    if not zero_size:
        check_against_runtime(model, x, np.array([2, -1, 3]))


def test_long_chains_of_constants():
    nodes = [helper.make_node("Constant", [], ["v0"], value_floats=[-1.0])]
    nodes += [helper.make_node("Neg", [f"v{index}"], [f"v{index + 1}"]) for index in range(2000)]
    nodes += [helper.make_node("Cast", ["v2000"], ["shape"], to=TensorProto.INT64)]
    nodes += [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [onnx.ValueInfoProto(name="y")],
    )
    module, _ = imported(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8))
    assert str(main_of(module).function_type.outputs.data[0]) == "tensor<6xf32>"


# Control flow


def test_a_constant_condition_leaves_one_branch():
    model = parse("""m (float[4] x) => (float[4] y) {
        c = Constant<value = bool {0}>()
        y = If (c) <then_branch = t () => (float[4] a) { a = Unique(x) }, else_branch = e () => (float[4] b) { b = Abs(x) }>
    }""")
    assert ops_of(imported(model)[0]) == ["constant", "abs"]


def test_branches_of_different_sizes():
    model = parse("""m (float[4] x, float[N] z, bool c) => (float[M] y) {
        y = If (c) <
            then_branch = t () => (float[A] a) { a = Concat<axis = 0>(x, z) },
            else_branch = e () => (float[B] b) { b = Abs(x) }>
    }""")
    for condition in (True, False):
        check_against_runtime(model, normal(4), normal(3), np.array(condition))


def loop_model(body: str, inputs: str, outputs: str, call: str) -> onnx.ModelProto:
    return parse(f"m ({inputs}) => ({outputs}) {{ {call} <body = step {body}> }}", 16)


@pytest.mark.parametrize("trips", [0, 1, 4])
@pytest.mark.parametrize("go", [True, False])
def test_loop_with_condition_and_trip_count(trips: int, go: bool):
    model = loop_model(
        "(int64 i, bool c, float v) => (bool still, float w) { limit = Constant<value_float = 6.0>() "
        "w = Add(v, x) still = Less(w, limit) }",
        "float x, int64 n, bool go",
        "float y",
        "y = Loop(n, go, x)",
    )
    check_against_runtime(model, np.float32(2), np.int64(trips), np.array(go))


def test_loop_without_trip_count():
    model = loop_model(
        "(int64 i, bool c, float v) => (bool still, float w) { limit = Constant<value_float = 100.0>() "
        "w = Mul(v, x) still = Less(w, limit) }",
        "float x, bool go",
        "float y",
        'y = Loop("", go, x)',
    )
    check_against_runtime(model, np.float32(3), np.array(True))


def test_loop_whose_value_grows():
    model = loop_model(
        "(int64 i, bool c, float[A] v) => (bool still, float[B] w) { still = Identity(c) w = Concat<axis = 0>(v, x) }",
        "float[2] x, int64 n, bool go",
        "float[C] y",
        "y = Loop(n, go, x)",
    )
    for trips in (0, 3):
        check_against_runtime(model, normal(2), np.int64(trips), np.array(True))


def test_loop_with_scan_outputs():
    model = parse(
        """m (float[3] x) => (float[3] y, float[5, 3] all, int64[5] steps) {
        n = Constant<value_int = 5>()
        yes = Constant<value = bool {1}>()
        y, all, steps = Loop(n, yes, x) <body = step (int64 i, bool c, float[3] v)
            => (bool still, float[3] w, float[3] out, int64 number) {
                still = Identity(c) w = Add(v, x) out = Mul(w, w) number = Identity(i) }>
    }""",
        16,
    )
    check_against_runtime(model, normal(3))


def test_loop_inside_a_branch_and_captures_across_both():
    model = parse(
        """m (float[3] x, bool c, int64 n) => (float[3] y) {
        half = Constant<value_float = 0.5>()
        y = If (c) <
            then_branch = t () => (float[3] a) {
                yes = Constant<value = bool {1}>()
                scaled = Mul(x, half)
                a = Loop(n, yes, scaled) <body = step (int64 i, bool go, float[3] v) => (bool still, float[3] w) {
                    still = Identity(go) u = Mul(v, half) w = Add(u, scaled) }>
            },
            else_branch = e () => (float[3] b) { b = Neg(x) }>
    }""",
        16,
    )
    for condition in (True, False):
        check_against_runtime(model, normal(3), np.array(condition), np.int64(3))


def test_scan_in_both_directions():
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Mul", ["t", "e"], ["o"])],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("s", "e")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("t", "o")],
    )
    for direction in (0, 1):
        node = helper.make_node(
            "Scan", ["s0", "x"], ["last", "all"], body=body, num_scan_inputs=1, scan_input_axes=[1],
            scan_input_directions=[direction], scan_output_axes=[1], scan_output_directions=[1 - direction],
        )  # fmt: skip
        graph = helper.make_graph(
            [node],
            "g",
            [
                helper.make_tensor_value_info("s0", TensorProto.FLOAT, [2]),
                helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5]),
            ],
            [
                helper.make_tensor_value_info("last", TensorProto.FLOAT, [2]),
                helper.make_tensor_value_info("all", TensorProto.FLOAT, [2, 5]),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
        check_against_runtime(model, normal(2), normal(2, 5))


# Functions


def test_functions_with_attributes_and_optional_inputs():
    model = parse(
        "m (float[2, 3] x) => (float[2, 3] y, float[2, 3] z) { y = own.scale<factor = 3.0>(x) z = own.scale(y) }",
        functions='<domain: "own", opset_import: ["" : 20]> scale <factor : float = 2.0> (a) => (b) '
        "{ f = Constant<value_float : float = @factor>() b = Mul(a, f) }",
        domains=', "own" : 1',
    )
    x = normal(2, 3)
    first, second = run(model, x)
    np.testing.assert_allclose(first, 3 * x)
    np.testing.assert_allclose(second, 6 * x)


CONTRIBUTED = [
    ("Gelu", {"x": (3, 4)}, {}),
    ("FastGelu", {"x": (3, 4), "b": (4,)}, {}),
    ("BiasGelu", {"x": (3, 4), "b": (4,)}, {}),
    ("QuickGelu", {"x": (3, 4)}, {"alpha": 1.5}),
    ("SkipLayerNormalization", {"x": (2, 3, 4), "s": (2, 3, 4), "g": (4,), "b": (4,)}, {"epsilon": 1e-5}),
]


@pytest.mark.parametrize(("op", "shapes", "attributes"), CONTRIBUTED)
def test_contributed_operators(op: str, shapes: dict[str, tuple[int, ...]], attributes: dict[str, float]):
    arrays = {name: normal(*shape) for name, shape in shapes.items()}
    model = one_node(helper.make_node(op, list(arrays), ["y"], domain="com.microsoft", **attributes), arrays, 17)
    model.opset_import.add(domain="com.microsoft", version=1)
    check_against_runtime(model, *arrays.values(), rtol=1e-4, atol=1e-5)


SPECIAL = np.array([0.0, -0.0, 1.5, -2.5, 3.0, np.inf, -np.inf, np.nan], np.float32)


@pytest.mark.parametrize(
    "op",
    [
        "Elu",
        "Selu",
        "Celu",
        "LeakyRelu",
        "HardSigmoid",
        "Softplus",
        "Softsign",
        "ThresholdedRelu",
        "Sigmoid",
        "Relu",
        "Sign",
        "Round",
    ],
)
def test_activations_of_special_values(op: str):
    expected = runtime(model := one_node(helper.make_node(op, ["x"], ["y"]), {"x": SPECIAL}, 16), SPECIAL)[0]
    (result,) = run(model, SPECIAL)
    finite = np.isfinite(SPECIAL)
    np.testing.assert_allclose(result[finite], expected[finite], rtol=1e-5, atol=1e-6)
    # The limits at ±inf; ONNX Runtime's vectorized kernels differ among themselves on NaN.
    if op not in ("Softsign", "HardSigmoid", "Sign"):
        np.testing.assert_array_equal(result[5:7], expected[5:7])


def test_importing_needs_little_time():
    """In a fresh process, onnx's own import included."""
    path = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    code = f"""if True:
        import time
        started = time.perf_counter()
        from lamina.context import LaminaContext
        from lamina.frontends.onnx import import_model
        import_model({str(path)!r}, LaminaContext())
        print(time.perf_counter() - started)"""
    taken = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert float(taken.stdout) < 10


def test_ops_have_no_dangling_uses():
    """Bodies that were converted twice leave nothing behind."""
    model = parse(
        """m (float[2] x, int64 n, bool go) => (float[C] y) {
        y = Loop(n, go, x) <body = step (int64 i, bool c, float[A] v) => (bool still, float[B] w)
            { still = Identity(c) w = Concat<axis = 0>(v, x) }>
    }""",
        16,
    )
    module, _ = imported(model)
    attached: set[Operation] = set(module.walk())
    for op in attached:
        for operand in op.operands:
            assert {use.operation for use in operand.uses} <= attached
