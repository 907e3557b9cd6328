"""Calling executables: what is refused and how, what is copied, donation, `out`, errors, concurrent calls."""

import gc
import threading

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.artefact import Artefact, TensorInfo
from lamina.diagnostics import LaminaError
from lamina.targets import signature
from lamina.targets.cpu.executable import Executable
from support import abi_models


@pytest.fixture(scope="module")
def scale_add():
    return Executable(abi_models.scale_add(), compile_count=1)


@pytest.fixture(scope="module")
def increment():
    return Executable(abi_models.increment())


@pytest.fixture(scope="module")
def copy_f32():
    return Executable(abi_models.copy(np.float32))


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def test_interface(scale_add):
    assert [info.name for info in scale_add.inputs] == ["x", "y"]
    assert scale_add.outputs[0].shape == ("batch", "columns")
    assert scale_add.outputs[0].dtype == np.float32
    assert str(scale_add.inputs[0]) == "x: float32[batch, columns]"
    assert scale_add.compile_count == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 12), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_any_shape_and_thread_count_gives_what_numpy_gives(rows, columns, threads, seed):
    executable = any_shape_executable()
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((2, rows, columns)).astype(np.float32)
    if x.size:
        x.flat[0], y.flat[-1] = np.nan, np.inf
    (z,) = executable.call([x, y], threads=threads)
    np.testing.assert_array_equal(z, x + np.float32(2) * y)
    assert z.shape == (rows, columns)
    assert executable.compile_count == 1


_any_shape: list[Executable] = []


def any_shape_executable():
    if not _any_shape:
        _any_shape.append(Executable(abi_models.scale_add(), compile_count=1))
    return _any_shape[0]


def test_outputs_are_fresh_and_aligned_to_64_bytes(scale_add):
    results = [scale_add(ones(3, 5), ones(3, 5))[0] for _ in range(5)]
    assert all(result.ctypes.data % 64 == 0 for result in results)
    assert len({result.ctypes.data for result in results}) == 5
    assert all(result.flags.writeable and result.flags.c_contiguous for result in results)


@pytest.mark.parametrize(
    ("arrays", "named", "message"),
    [
        ((ones(2, 3),), {}, r"expected 2 inputs, found 1: 'y' missing"),
        ((ones(2, 3),) * 3, {}, r"expected 2 inputs, found 3"),
        ((), {"x": ones(2, 3), "z": ones(2, 3)}, r"no input is called 'z'"),
        ((ones(2, 3),), {"x": ones(2, 3)}, r"'x' is given twice"),
        (
            (ones(2, 3), ones(2, 3, dtype=np.float64)),
            {},
            r"'y': expected float32\[batch, columns\], found dtype float64",
        ),
        ((ones(2, 3), ones(2, 3, dtype=">f4")), {}, r"found dtype >f4"),
        ((ones(2, 3), ones(6)), {}, r"'y': expected float32\[batch, columns\], found shape \[6\]"),
        (
            (ones(2, 3), ones(4, 3)),
            {},
            r"'batch' is 2 in input 'x' \(axis 0\) and 4 in input 'y' \(axis 0\)",
        ),
        ((ones(2, 3), "text"), {}, r"'y': expected float32\[batch, columns\], found str"),
        ((ones(2, 3), None), {}, r"found NoneType"),
        ((ones(2, 3), [[1.0], [1.0, 2.0]]), {}, r"no array"),
        ((ones(2, 3), np.float32(1)), {}, r"found shape \[\]"),
    ],
)
def test_refuses_before_anything_runs(scale_add, arrays, named, message):
    with pytest.raises(LaminaError, match=message):
        scale_add(*arrays, **named)


def test_names_in_any_order(scale_add):
    x, y = ones(2, 3), np.full((2, 3), 5, np.float32)
    np.testing.assert_array_equal(scale_add(y=y, x=x)[0], x + 2 * y)
    np.testing.assert_array_equal(scale_add(x, y=y)[0], x + 2 * y)
    np.testing.assert_array_equal(scale_add.call({"y": y, "x": x})[0], x + 2 * y)


def test_the_models_own_error_and_the_next_call(scale_add):
    with pytest.raises(LaminaError, match="thirteen columns"):
        scale_add(ones(2, 13), ones(2, 13))
    assert scale_add(ones(1, 1), ones(1, 1))[0] == 3


def test_strided_read_only_and_unaligned_inputs_are_copied(copy_f32):
    base = np.arange(24, dtype=np.float32)
    unaligned = np.frombuffer(b"x" + base.tobytes(), np.uint8)[1:].view(np.float32)
    assert not unaligned.flags.aligned
    frozen = base.copy()
    frozen.flags.writeable = False
    for value in (base[::2], base[::-1], unaligned, frozen, np.broadcast_to(base[:1], 7)):
        np.testing.assert_array_equal(copy_f32(value)[0], value)


def test_contiguous_inputs_are_not_copied(scale_add, monkeypatch):
    monkeypatch.setattr(signature, "_contiguous", lambda array: pytest.fail("copied"))
    scale_add(ones(2, 3), np.asfortranarray(ones(1, 3)).repeat(2, 0))
    with pytest.raises(pytest.fail.Exception):
        scale_add(ones(3, 2).T, ones(2, 3))


class Dlpack:
    """A tensor of another library."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_dlpack_objects_are_not_copied(copy_f32, increment):
    values = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(copy_f32(Dlpack(values))[0], values)
    counter = np.zeros(4, np.int64)
    (updated,) = increment(Dlpack(counter), 3)
    np.testing.assert_array_equal(counter, 3)
    assert np.shares_memory(updated, counter)


def test_dlpack_of_another_device_is_an_error(copy_f32):
    class OnDevice(Dlpack):
        def __dlpack__(self, **options):
            raise BufferError("this tensor is on a GPU")

    with pytest.raises(LaminaError, match="GPU"):
        copy_f32(OnDevice(np.zeros(1, np.float32)))


@pytest.mark.parametrize("dtype", [*"bBhHiIlLefd?", ml_dtypes.bfloat16])
def test_every_dtype_travels(dtype):
    executable = Executable(abi_models.copy(dtype))
    values = np.array([0, 1, 1, 0, 1]).astype(dtype)
    (result,) = executable(values)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result, values)
    assert executable(np.empty(0, dtype))[0].shape == (0,)


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        (np.float32, [[1, 2], [1.5], [1e300]], [["a"], [1j], [True]]),
        (np.int8, [[127, -128], []], [[128], [-129], [1.0], [True], [2**70]]),
        (np.uint64, [[2**64 - 1]], [[-1]]),
        (np.bool_, [[True, False]], [[1], [0.0]]),
        (ml_dtypes.bfloat16, [[1, 2], [0.5]], [["a"], [True]]),
    ],
)
def test_python_values_only_where_they_fit(dtype, good, bad):
    executable = Executable(abi_models.copy(dtype))
    for value in good:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(executable(value)[0], np.asarray(value).astype(dtype))
    for value in bad:
        with pytest.raises(LaminaError):
            executable(value)


def test_donation_updates_the_callers_array(increment):
    counter = np.array([1, 2, 3, 4])
    (updated,) = increment(counter, 10)
    assert updated is counter
    np.testing.assert_array_equal(counter, [11, 12, 13, 14])
    increment.call([counter, 1], out=[None])
    increment.call([counter, 1], out=[counter])
    np.testing.assert_array_equal(counter, [13, 14, 15, 16])


def test_donation_never_copies_silently(increment):
    frozen = np.zeros(4, np.int64)
    frozen.flags.writeable = False
    for value, message in (
        (np.zeros(8, np.int64)[::2], "one with strides"),
        (frozen, "read-only"),
        ([0, 0, 0, 0], "Python value"),
        (np.zeros(4, np.int32), "found dtype int32"),
    ):
        with pytest.raises(LaminaError, match=message):
            increment(value, 1)
    with pytest.raises(LaminaError, match=r"expected None in out"):
        increment.call([np.zeros(4, np.int64), 1], out=[np.zeros(4, np.int64)])


def test_donated_memory_is_no_other_argument(increment):
    counter = np.zeros(4, np.int64)
    with pytest.raises(LaminaError, match=r"input 'counter' and input 'step' share memory"):
        increment(counter, counter[2:3].reshape(()))


def test_out(scale_add):
    x, y, out = ones(3, 4), ones(3, 4), np.empty((3, 4), np.float32)
    (result,) = scale_add(x, y, out=[out])
    assert result is out
    np.testing.assert_array_equal(out, 3)
    for wrong, message in (
        ([np.empty((3, 4))], "found float64"),
        ([np.empty((4, 3), np.float32)], r"expected float32\[3, 4\], found float32\[4, 3\]"),
        ([np.empty((3, 8), np.float32)[:, ::2]], "strides"),
        ([out, out], "1 outputs"),
        (out, "expected a list"),
        ([x], "input 'x' and output 'z' share memory"),
        ([[1.0]], "NumPy array"),
    ):
        with pytest.raises(LaminaError, match=message):
            scale_add(x, y, out=wrong)


def test_expressions_over_symbols_are_checked():
    infos = [
        TensorInfo("a", ("n",), np.dtype("f4")),
        TensorInfo("b", ("2*n+1", "free/dim"), np.dtype("f4")),
        TensorInfo("c", ("2*unknown",), np.dtype("f4")),
    ]
    checker = signature.Signature(infos, [])
    checker.check_shapes([(3,), (7, 5), (4,)])
    with pytest.raises(LaminaError, match=r"'2\*n\+1' = 7 in input 'b' \(axis 0\), found 6"):
        checker.check_shapes([(3,), (6, 5), (4,)])


def test_threads_are_checked(scale_add):
    with pytest.raises(LaminaError, match="at least 1 thread"):
        scale_add.call([ones(1, 1), ones(1, 1)], threads=0)
    with pytest.raises(LaminaError, match="at least 1 thread"):
        Executable(abi_models.increment(), threads=-1)


def test_one_executable_from_four_threads(scale_add):
    """Arenas, contexts and the pool belong to calls: different shapes and values at once, right answers throughout."""
    errors = []
    start = threading.Barrier(4)

    def work(seed):
        generator = np.random.default_rng(seed)
        start.wait()
        try:
            for turn in range(150):
                shape = (int(generator.integers(1, 60)), 7)
                x, y = generator.standard_normal((2, *shape)).astype(np.float32)
                (z,) = scale_add.call([x, y], threads=1 + turn % 3)
                np.testing.assert_array_equal(z, x + np.float32(2) * y)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)


def resident_kilobytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


@pytest.mark.skipif(not __import__("sys").platform.startswith("linux"), reason="reads /proc")
def test_thousands_of_executables_leave_no_memory_behind():
    """Not a quarter of a kilobyte each."""
    artefact = abi_models.increment()
    counter = np.zeros(4, np.int64)

    def cycles(count):
        for _ in range(count):
            Executable(artefact)(counter, 1)
        gc.collect()
        return resident_kilobytes()

    warm = cycles(500)
    assert cycles(2500) - warm < 600
    np.testing.assert_array_equal(counter, 3000)


def test_many_shapes_do_not_pile_up(copy_f32, monkeypatch):
    monkeypatch.setattr("lamina.targets.cpu.executable.REMEMBERED_PLANS", 8)
    for size in range(40):
        assert copy_f32(np.zeros(size, np.float32))[0].size == size
    assert len(copy_f32._plans) <= 8


def test_save_and_load(tmp_path, scale_add):
    path = tmp_path / "model.lamina"
    scale_add.save(path)
    loaded = Executable.load(path, threads=2)
    assert loaded.compile_count == 0
    assert loaded.threads == 2
    assert loaded.inputs == scale_add.inputs
    assert loaded.outputs == scale_add.outputs
    np.testing.assert_array_equal(loaded(ones(2, 2), ones(2, 2))[0], 3)
    with pytest.raises(LaminaError, match="cannot be written"):
        scale_add.save(tmp_path / "missing" / "model.lamina")


def test_refuses_an_artefact_for_another_machine(tmp_path):
    artefact = abi_models.increment()
    for fields, message in (
        ({"features": "+avx512f,+teleportation"}, "this machine lacks teleportation"),
        ({"triple": "riscv64-unknown-linux-gnu"}, "riscv64"),
    ):
        manifest = type(artefact.manifest)(
            **{**vars(artefact.manifest), "target": {**artefact.manifest.target, **fields}}
        )
        path = tmp_path / "model.lamina"
        Artefact(manifest, artefact.objects, artefact.constants).save(path)
        with pytest.raises(LaminaError, match=message):
            Executable.load(path)
