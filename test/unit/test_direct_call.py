"""The short way into compiled code takes over from the second call on, and never takes what the long one refuses."""

import sys
import threading

import numpy as np
import pytest

from lamina.diagnostics import LaminaError
from lamina.targets.cpu import direct_call
from lamina.targets.cpu.executable import Executable
from support import abi_models


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


@pytest.fixture
def codes():
    """What the short way answered, call by call."""
    return []


def warm(artefact, codes, *arrays):
    executable = Executable(artefact)
    executable(*arrays)
    native = executable._call_arrays

    def spy(*addresses):
        codes.append(native(*addresses))
        return codes[-1]

    executable._call_arrays = spy
    return executable


def test_this_interpreter_and_this_numpy_have_the_layout():
    assert (direct_call.LAYOUT is not None) == (sys.implementation.name == "cpython")


def test_address_of_any_array():
    whole = np.arange(24, dtype=np.int16).reshape(4, 6)
    for array in (whole, whole[1:, ::2], whole.view(np.recarray), np.empty((0, 3)), np.array(1.0)):
        assert direct_call.address_of(array) == array.__array_interface__["data"][0]


def test_the_second_call_is_short_and_outputs_are_fresh_and_aligned(codes):
    x, y = ones(3, 4), ones(3, 4)
    executable = warm(abi_models.scale_add(), codes, x, y)
    seen = [executable(x * k, y)[0] for k in range(5)]
    assert codes == [0] * 5
    for k, z in enumerate(seen):
        np.testing.assert_array_equal(z, x * k + 2 * y)
        assert z.ctypes.data % 64 == 0


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (ones(5, 4), (5, 4)),
        (ones(4, 3).T, (3, 4)),
        (np.ones((3, 8), np.float32)[:, ::2], (3, 4)),
        (np.ones((3, 4), np.float32).view(np.matrix), (3, 4)),
        (np.frombuffer(b"\0" + ones(3, 4).tobytes(), np.uint8)[1:].view(np.float32).reshape(3, 4), (3, 4)),
        ([[1.0] * 4] * 3, (3, 4)),
    ],
)
def test_what_is_not_as_the_last_time_goes_the_long_way(codes, x, expected):
    executable = warm(abi_models.scale_add(), codes, ones(3, 4), ones(3, 4))
    (z,) = executable(x, ones(*expected))
    assert codes == [direct_call.REFUSED]
    np.testing.assert_array_equal(z, np.full(expected, 3))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (ones(3, 4, dtype=np.float64), "dtype float64"),
        (ones(3, 4).astype(">f4"), "dtype >f4"),
        (ones(12), "found shape"),
        (ones(3, 5), "columns"),
        (None, "expected"),
    ],
)
def test_the_second_call_refuses_what_the_first_does(codes, x, message):
    for executable in (Executable(abi_models.scale_add()), warm(abi_models.scale_add(), codes, ones(3, 4), ones(3, 4))):
        with pytest.raises(LaminaError, match=message):
            executable(x, ones(3, 4))
    assert codes == [direct_call.REFUSED]


def test_given_outputs(codes):
    x, y, out = ones(3, 4), ones(3, 4), np.empty((3, 4), np.float32)
    executable = warm(abi_models.scale_add(), codes, x, y)
    assert executable(x, y, out=[out])[0] is out
    np.testing.assert_array_equal(out, 3)
    assert codes == [0]
    out.flags.writeable = False
    for wrong, message in ((out, "read-only"), (x, "share memory"), (np.empty((4, 3), np.float32), "expected float32")):
        with pytest.raises(LaminaError, match=message):
            executable(x, y, out=[wrong])
    assert codes == [0, *[direct_call.REFUSED] * 3]


def test_donated_arguments(codes):
    def arguments():
        return [np.full(info.shape, 2, info.dtype) for info in executable.inputs]

    executable = Executable(abi_models.increment())
    given = arguments()
    executable = warm(abi_models.increment(), codes, *given)
    once, twice = arguments(), arguments()
    fresh = Executable(abi_models.increment())
    fresh(*once)
    results = executable(*twice)
    assert codes == [0]
    for index, info in enumerate(executable.outputs):
        if info.alias is not None:
            assert results[index] is twice[info.alias]
    for one, other in zip(once, twice, strict=True):
        np.testing.assert_array_equal(one, other)
    for info in executable.outputs:
        if info.alias is not None:
            locked = arguments()
            locked[info.alias].flags.writeable = False
            with pytest.raises(LaminaError, match="read-only"):
                executable(*locked)


def test_threads_and_shapes_take_turns(codes):
    executable = Executable(abi_models.scale_add())
    wrong = []

    def work(rows):
        x = np.full((rows, 3), rows, np.float32)
        wrong.extend(
            rows for step in range(300) if not np.array_equal(executable.call([x, x], threads=1 + step % 2)[0], 3 * x)
        )

    workers = [threading.Thread(target=work, args=(rows,)) for rows in (1, 2, 3, 50)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_calls_leave_no_references():
    x, y = ones(3, 4), ones(3, 4)
    executable = Executable(abi_models.scale_add())
    for _ in range(10):
        (z,) = executable(x, y)
    before = sys.getrefcount(x), sys.getrefcount(y), sys.getrefcount(z)
    for _ in range(100):
        executable(x, y, out=[z])
    assert (sys.getrefcount(x), sys.getrefcount(y), sys.getrefcount(z)) == before
