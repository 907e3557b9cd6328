"""The large weights of an ONNX file, found on the wire and left where they are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina
from lamina.frontends.onnx import loader
from lamina.frontends.onnx.tensors import tensor_array
from lamina.onnx_weights import LARGE_BYTES, split_weights


def model_of(*arrays: np.ndarray) -> onnx.ModelProto:
    names = [f"w{index}" for index in range(len(arrays))]
    graph = helper.make_graph(
        [helper.make_node("Sum", ["x", *names], ["y"])],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)],
    )
    return helper.make_model(graph, doc_string="location")


def large(seed: int, count: int = LARGE_BYTES) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count, dtype=np.float32)


def test_what_is_small_is_the_model_without_its_weights():
    arrays = [large(0), np.arange(3, dtype=np.float32), large(1), np.zeros(0, np.float32)]
    model = model_of(*arrays)
    data = model.SerializeToString()
    small, weights = split_weights(memoryview(data))
    assert len(small) < LARGE_BYTES and set(weights) == {0, 2}
    for index, (begin, end) in weights.items():
        assert data[begin:end] == arrays[index].tobytes()
        model.graph.initializer[index].raw_data = b""
    assert onnx.ModelProto.FromString(small) == model


def test_a_model_without_weights_stays_as_it_is():
    data = model_of().SerializeToString()
    assert split_weights(memoryview(data)) == (data, {})


def test_parts_of_one_graph_are_counted_on():
    first, second = model_of(large(0)), onnx.ModelProto()
    second.graph.initializer.append(numpy_helper.from_array(large(1), "v"))
    data = first.SerializeToString() + second.SerializeToString()
    small, weights = split_weights(memoryview(data))
    assert [data[slice(*weights[index])] for index in (0, 1)] == [large(0).tobytes(), large(1).tobytes()]
    assert [one.name for one in onnx.ModelProto.FromString(small).graph.initializer] == ["w0", "v"]


def test_data_of_one_initializer_in_two_fields_are_refused():
    tensor = numpy_helper.from_array(large(0), "w").SerializeToString()
    again = onnx.TensorProto(raw_data=large(1).tobytes()).SerializeToString()
    graph = onnx.GraphProto(initializer=[onnx.TensorProto.FromString(tensor)])
    body = graph.SerializeToString().replace(tensor, tensor + again)
    both = tensor + again
    body = b"\x2a" + varint(len(both)) + both
    with pytest.raises(ValueError, match="twice"):
        split_weights(memoryview(b"\x3a" + varint(len(body)) + body))


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


@pytest.mark.parametrize(
    "data",
    [b"\x3a", b"\x3a\x05\x00", b"\x3b\x00", b"\x00\x00", b"\xff" * 11, b"\x39\x00", b"\x3a\x02\x2a\x05"],
    ids=["no length", "cut short", "group", "number 0", "endless", "short fixed", "inner end outside"],
)
def test_what_is_malformed_is_refused(data):
    with pytest.raises(ValueError, match=r"field|number"):
        split_weights(memoryview(data))


def test_every_cut_of_a_model_is_refused_or_a_model():
    data = model_of(large(0)).SerializeToString()
    for length in range(0, len(data), 97):
        try:
            small, _ = split_weights(memoryview(data)[:length])
        except ValueError:
            continue
        onnx.ModelProto.FromString(small)


@pytest.mark.parametrize("name", ["model.onnx", "odd.onnx"])
def test_a_large_file_gives_the_same_arrays(tmp_path, name):
    arrays = [large(0, loader.LARGE_FILE_BYTES // 4), large(1, 5000), np.arange(4, dtype=np.float32)]
    model = model_of(*arrays)
    model.doc_string = "x" * (name == "odd.onnx")  # another offset of the weights
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    loaded = loader.load(path)
    assert set(loaded.weights) == {0, 1} and loaded.proto.ByteSize() < 2 * LARGE_BYTES
    path.write_bytes(b"")  # what was read stays
    for index, (tensor, array) in enumerate(zip(loaded.proto.graph.initializer, arrays, strict=True)):
        found = tensor_array(tensor, None, loaded.weights.get(index))
        assert not found.flags.writeable
        np.testing.assert_array_equal(found, array)


def test_a_large_file_that_is_no_model_is_refused_as_a_small_one(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\xff" * (2 * loader.LARGE_FILE_BYTES))
    with pytest.raises(Exception, match="not an ONNX model"):
        loader.load(path)


def test_a_large_weight_of_the_wrong_length_is_refused(tmp_path):
    model = model_of(large(0, loader.LARGE_FILE_BYTES))
    model.graph.initializer[0].dims[0] += 1
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    loaded = loader.load(path)
    with pytest.raises(Exception, match="bytes, expected"):
        tensor_array(loaded.proto.graph.initializer[0], None, loaded.weights[0])


@pytest.mark.parametrize("letters", range(4))
def test_weights_at_every_alignment_are_computed_with(tmp_path, letters):
    generator = np.random.default_rng(letters)
    weight = generator.standard_normal((512, 1024), dtype=np.float32)
    bias = generator.standard_normal(4096, dtype=np.float32)[:1024]
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w" * (1 + letters), "b"], ["y"])],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 512])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 1024])],
        [numpy_helper.from_array(weight, "w" * (1 + letters)), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    x = generator.standard_normal((2, 512), dtype=np.float32)
    (found,) = lamina.compile(path, cache=False)(x)
    np.testing.assert_allclose(found, x.astype(np.float64) @ weight + bias, rtol=1e-4, atol=1e-4)
