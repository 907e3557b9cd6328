"""The safetensors format, the resource store with its memory of hashes, artefact files."""

import json
import os
import struct
import time

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lamina import resources, safetensors
from lamina.artefact import Artefact, Manifest, TensorInfo
from lamina.diagnostics import LaminaError
from lamina.files import replacing
from lamina.resources import ResourceStore, content_key

ELEMENT_TYPES = list(safetensors.DTYPES.values())


def decode(path):
    """The format read by its specification, independently of the reader under test."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert (8 + length) % 64 == 0
    metadata = header.pop("__metadata__", {})
    body = data[8 + length :]
    position = 0
    for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"]):
        assert entry["data_offsets"][0] == position, "the format allows no holes"
        position = entry["data_offsets"][1]
    assert position == len(body)
    return {name: (entry, body[slice(*entry["data_offsets"])]) for name, entry in header.items()}, metadata


def draw_array(seed, dtype, shape):
    bits = np.random.default_rng(seed).integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    return np.ascontiguousarray(bits % 2 if dtype.kind == "b" else bits).view(dtype).reshape(shape)


shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
drawn_arrays = st.builds(draw_array, st.integers(0, 2**32), st.sampled_from(ELEMENT_TYPES), shapes)


@settings(max_examples=60, deadline=None)
@given(tensors=st.dictionaries(st.text(min_size=1, max_size=5), drawn_arrays, max_size=5))
def test_round_trip(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("round") / "x.safetensors"
    tensors = {name: array for name, array in tensors.items() if name != "__metadata__"}
    safetensors.write(path, tensors, {"note": "ä"})
    specification, metadata = decode(path)
    assert metadata == {"note": "ä"}
    read = safetensors.read(path)
    assert read.metadata == metadata
    assert list(read.tensors) == list(tensors)
    for name, array in tensors.items():
        entry, data = specification[name]
        assert data == array.tobytes()
        assert tuple(entry["shape"]) == array.shape
        found = read.tensors[name]
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert not found.flags.writeable or not found.size
        assert found.ctypes.data % 64 == 0 or not found.size


def test_dtype_names_are_the_formats():
    expected = {
        "BOOL": bool,
        "U8": np.uint8,
        "I64": np.int64,
        "F16": np.float16,
        "BF16": ml_dtypes.bfloat16,
        "F32": np.float32,
        "F64": np.float64,
    }
    for name, dtype in expected.items():
        assert safetensors.DTYPES[name] == np.dtype(dtype)


def test_strided_and_scalar_arrays(tmp_path):
    path = tmp_path / "x"
    strided = np.arange(12).reshape(3, 4).T
    safetensors.write(path, {"strided": strided, "scalar": np.array(3.5)})
    read = safetensors.read(path).tensors
    np.testing.assert_array_equal(read["strided"], strided)
    assert read["scalar"].shape == ()
    assert read["scalar"] == 3.5


def test_a_dtype_without_a_name(tmp_path):
    with pytest.raises(LaminaError, match="'x' has dtype complex128"):
        safetensors.write(tmp_path / "x", {"x": np.zeros(2, complex)})
    assert not list(tmp_path.iterdir())


def write_header(path, header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "body", "message"),
    [
        (b"{", b"", "malformed"),
        (b"\xff\xfe", b"", "malformed"),
        (b"[" * 100_000, b"", "malformed"),
        ([1], b"", "expected a JSON object"),
        ({"x": 3}, b"", "malformed"),
        ({"__metadata__": 3}, b"", "malformed"),
        ({"x": {**ENTRY, "dtype": "F99"}}, bytes(8), "unknown dtype 'F99'"),
        ({"x": {**ENTRY, "shape": [3]}}, bytes(8), "8 bytes do not hold"),
        ({"x": {**ENTRY, "shape": [-2]}}, bytes(8), "whole numbers"),
        ({"x": {**ENTRY, "shape": [True, 2]}}, bytes(8), "whole numbers"),
        ({"x": {**ENTRY, "data_offsets": [8, 16]}}, bytes(16), "begins at 8, expected 0"),
        ({"x": ENTRY, "y": ENTRY}, bytes(8), "begins at 0, expected 8"),
        ({"x": ENTRY}, bytes(7), "truncated"),
        ({"x": {**ENTRY, "shape": [2**61, 2**61, 0], "data_offsets": [0, 2**62]}}, b"", "do not hold"),
    ],
)
def test_malformed_files(tmp_path, header, body, message):
    path = tmp_path / "bad"
    write_header(path, header, body)
    with pytest.raises(LaminaError, match=message) as caught:
        safetensors.read(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("data", [b"", b"1234567", struct.pack("<Q", 10**18) + b"{}", struct.pack("<Q", 3) + b"{}"])
def test_files_that_are_no_safetensors(tmp_path, data):
    path = tmp_path / "bad"
    path.write_bytes(data)
    with pytest.raises(LaminaError, match="not a safetensors file"):
        safetensors.read(path)
    with pytest.raises(LaminaError, match="cannot be read"):
        safetensors.read(tmp_path / "absent")


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 300), value=st.integers(0, 255), length=st.integers(0, 400))
def test_damage_is_an_error_or_another_file_never_a_crash(tmp_path_factory, position, value, length):
    path = tmp_path_factory.mktemp("damage") / "x"
    safetensors.write(path, {"a": np.arange(5.0), "b": np.ones((2, 3), np.int8)})
    data = bytearray(path.read_bytes())
    data[position % len(data)] = value
    path.write_bytes(data[:length])
    try:
        read = safetensors.read(path)
    except LaminaError:
        return
    for array in read.tensors.values():
        array.tobytes()


def test_replacing_leaves_the_old_file_when_the_writer_fails(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# The store


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, min_side=0)))
def test_content_keys(array):
    assert content_key(array) == content_key(array.copy())
    if array.size:
        assert content_key(array) != content_key(array.view(np.uint32))
        other = array.copy()
        other.reshape(-1).view(np.uint32)[0] ^= 1
        assert content_key(other) != content_key(array)


def test_save_and_load(tmp_path):
    store = ResourceStore()
    arrays_ = [np.arange(100.0), np.ones((3, 4), ml_dtypes.bfloat16), np.array([True, False])]
    keys = [store.put(array) for array in arrays_]
    path = tmp_path / "model.safetensors"
    store.save(path)
    loaded = ResourceStore()
    loaded.load(path)
    for key, array in zip(keys, arrays_, strict=True):
        assert loaded.get(key).dtype == array.dtype
        np.testing.assert_array_equal(loaded.get(key), array)
        assert content_key(loaded.get(key)) == key
    store.save(path, keys[:1])
    assert list(safetensors.read(path).tensors) == keys[:1]
    with pytest.raises(LaminaError, match="no constant named 'c1'"):
        store.save(path, ["c1"])


def test_put_does_not_copy():
    store = ResourceStore()
    array = np.arange(1000.0)
    assert np.shares_memory(store.get(store.put(array)), array)


@pytest.fixture
def data_file(tmp_path):
    path = tmp_path / "weights.bin"
    np.arange(1000, dtype=np.float32).tofile(path)
    os.utime(path, (time.time() - 100,) * 2)
    return path


@pytest.fixture
def hashed(monkeypatch, tmp_path):
    """What was really hashed, with a memory of this test's own."""
    monkeypatch.setenv("LAMINA_CACHE_DIR", str(tmp_path / "cache"))
    calls = []

    def counting(array):
        calls.append(array.shape)
        return content_key(array)

    monkeypatch.setattr(resources, "content_key", counting)
    return calls


def put_part(path, begin=10, end=300):
    store = ResourceStore()
    key = store.put(np.memmap(path, np.float32, "r")[begin:end])
    store.remember()
    return key


def test_hashes_of_memory_maps_are_remembered(data_file, hashed):
    key = put_part(data_file)
    assert key == content_key(np.arange(10, 300, dtype=np.float32))
    assert put_part(data_file) == key
    assert len(hashed) == 1
    assert put_part(data_file, 20, 310) != key
    assert len(hashed) == 2
    assert put_part(data_file) == key
    assert put_part(data_file, 20, 310) != key
    assert len(hashed) == 2


def test_an_offset_into_the_file_is_part_of_the_place(data_file, hashed):
    whole = np.memmap(data_file, np.float32, "r")
    shifted = np.memmap(data_file, np.float32, "r", offset=40)
    store = ResourceStore()
    assert store.put(whole[10:20]) == store.put(shifted[:10])
    assert len(hashed) == 1
    assert store.put(whole[:10]) != store.put(shifted[:10])


def test_a_changed_file_is_hashed_again(data_file, hashed):
    key = put_part(data_file)
    np.arange(1000, dtype=np.float32)[::-1].tofile(data_file)
    os.utime(data_file, (time.time() - 50,) * 2)
    assert put_part(data_file) == content_key(np.arange(999, -1, -1, dtype=np.float32)[10:300]) != key
    assert len(hashed) == 2


def test_a_file_written_just_now_is_not_remembered(data_file, hashed):
    os.utime(data_file)
    put_part(data_file)
    put_part(data_file)
    assert len(hashed) == 2


def test_writable_maps_and_plain_arrays_are_hashed(data_file, hashed):
    store = ResourceStore()
    for _ in range(2):
        store.put(np.memmap(data_file, np.float32, "r+")[:10])
        store.put(np.memmap(data_file, np.float32, "c")[:10])
        store.put(np.arange(10, dtype=np.float32))
    assert len(hashed) == 6


def test_damaged_memory_is_forgotten(data_file, hashed, tmp_path):
    key = put_part(data_file)
    (memory,) = (tmp_path / "cache" / "hashes").iterdir()
    for content in (b"{", b"[]", b'{"version": 3}', b'{"version": "x", "keys": 7}'):
        memory.write_bytes(content)
        assert put_part(data_file) == key
    assert len(hashed) == 5


def test_safetensors_of_others_are_remembered(tmp_path, hashed):
    path = tmp_path / "model.safetensors"
    safetensors.write(path, {"w": np.arange(50.0)})
    os.utime(path, (time.time() - 100,) * 2)
    for _ in range(2):
        store = ResourceStore()
        assert store.put(safetensors.read(path).tensors["w"]) == content_key(np.arange(50.0))
        store.remember()
    assert len(hashed) == 1


# Artefacts

F32 = np.dtype(np.float32)


def small_artefact():
    constants = {content_key(array): array for array in (np.arange(6.0), np.ones(3, ml_dtypes.bfloat16))}
    manifest = Manifest(
        (TensorInfo("x", ("batch", 4), F32), TensorInfo("é/0", (), np.dtype(ml_dtypes.bfloat16))),
        (TensorInfo("y", ("2*batch", 4), F32, alias=0),),
        tuple(constants),
        (("one", 5), ("two", 0), ("three", 3)),
        {"cpu": "znver5", "l1": 49152},
        {"llvm": "22"},
    )
    return Artefact(manifest, (b"12345", b"", b"abc"), constants)


def test_artefact_round_trip(tmp_path):
    artefact = small_artefact()
    path = tmp_path / "model.lamina"
    artefact.save(path)
    loaded = Artefact.load(path, check_constants=True)
    assert loaded.manifest == artefact.manifest
    assert loaded.objects == artefact.objects
    assert list(loaded.constants) == list(artefact.constants)
    for key, array in artefact.constants.items():
        np.testing.assert_array_equal(loaded.constants[key], array)
    specification, metadata = decode(path)
    assert specification["code"][1] == b"12345abc"
    assert json.loads(metadata["lamina"])["inputs"][0] == {
        "name": "x",
        "shape": ["batch", 4],
        "dtype": "float32",
        "alias": None,
    }


def test_constants_left_out_come_from_elsewhere(tmp_path):
    artefact = small_artefact()
    path = tmp_path / "model.lamina"
    first, *_ = artefact.constants
    artefact.save(path, leave_out={first})
    assert first not in safetensors.read(path).tensors
    with pytest.raises(LaminaError, match=f"the constant '{first}' is missing"):
        Artefact.load(path)
    loaded = Artefact.load(path, missing=artefact.constants.__getitem__)
    assert loaded.constants[first] is artefact.constants[first]


def test_any_flipped_byte_of_an_artefact_is_noticed(tmp_path):
    path = tmp_path / "model.lamina"
    small_artefact().save(path)
    whole = path.read_bytes()
    specification, _ = decode(path)
    padding = {
        len(whole) - sum(len(data) for _, data in specification.values()) + offset
        for name, (entry, _) in specification.items()
        if name.startswith(safetensors.PADDING)
        for offset in range(*entry["data_offsets"])
    }
    expected = small_artefact()
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            loaded = Artefact.load(path, check_constants=True)
        except LaminaError:
            continue
        # What goes unnoticed is what nobody reads: padding, spaces, names of padding.
        assert position in padding or loaded.manifest == expected.manifest
        assert loaded.objects == expected.objects
        for key, array in expected.constants.items():
            np.testing.assert_array_equal(loaded.constants[key], array)


def test_other_files_are_no_artefacts(tmp_path):
    path = tmp_path / "x.lamina"
    safetensors.write(path, {"x": np.zeros(1)})
    with pytest.raises(LaminaError, match="not one that lamina compiled"):
        Artefact.load(path)
    safetensors.write(path, {"code": np.zeros(1, np.uint8)}, {"lamina": "{}"})
    with pytest.raises(LaminaError, match="malformed manifest"):
        Artefact.load(path)
    safetensors.write(path, {"code": np.zeros(1, np.uint8)}, {"lamina": '{"checksum": "", "format": 99, "abi": 1}'})
    with pytest.raises(LaminaError, match="has format version 99"):
        Artefact.load(path)
