"""Arrays on a device, taken from other libraries and given to them through DLPack, without copies."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lamina.artefact import TensorInfo
from lamina.diagnostics import LaminaError
from lamina.targets.gpu.driver import Driver
from lamina.targets.gpu.memory import Block
from lamina.targets.gpu.steps import dtype_named

HOST_DEVICES = frozenset({1, 3, 11})
"""DLPack's device types whose memory NumPy can read: CPU, and the pinned host memory of CUDA and ROCm."""
DEVICE_NAMES = {
    1: "cpu",
    2: "cuda",
    3: "cuda_host",
    4: "opencl",
    7: "vulkan",
    8: "metal",
    10: "rocm",
    13: "cuda_managed",
}
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
BFLOAT16 = 4
CAPSULE, USED_CAPSULE = b"dltensor", b"used_dltensor"


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    """DLManagedTensor, as capsules named `dltensor` hold it."""


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]  # pyright: ignore[reportPrivateUsage]

_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_python.PyCapsule_IsValid.restype = ctypes.c_int
_python.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]
_python.PyCapsule_SetName.restype = ctypes.c_int
_python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]


@dataclass(frozen=True)
class Borrowed:
    """Device memory of another library: C-contiguous, of a known dtype; `owner` keeps it alive."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object


class _Capsule:
    """A DLPack capsule that was taken: its memory is ours until this object goes."""

    def __init__(self, managed: _Managed, capsule: object):
        self.managed = managed
        self.capsule = capsule

    def __del__(self) -> None:
        if self.managed.deleter:
            self.managed.deleter(ctypes.byref(self.managed))


def device_of(value: object) -> tuple[int, int] | None:
    """DLPack's device type and number of an array, None for what does not speak DLPack."""
    ask = getattr(value, "__dlpack_device__", None)
    if ask is None or not hasattr(value, "__dlpack__"):
        return None
    kind, number = ask()
    return int(kind), int(number)


def is_on_device(value: object) -> bool:
    """Whether a value is an array in memory that NumPy cannot read."""
    found = device_of(value)
    return found is not None and found[0] not in HOST_DEVICES


def device_text(device: tuple[int, int]) -> str:
    """`cuda:0`."""
    return f"{DEVICE_NAMES.get(device[0], f'device type {device[0]}')}:{device[1]}"


def borrow(info: TensorInfo, value: Any, driver: Driver, stream: int) -> Borrowed:
    """An input that lies on a device, used where it is, ready for work on `stream`.

    Raises LaminaError, naming the input, where it lies on another device, or is of another dtype, or has strides.
    """
    if isinstance(value, DeviceArray) and value.driver is driver:
        value.ready_for(stream)
        taken = Borrowed(value.address, value.shape, value.dtype, value)
    else:
        found = device_of(value)
        if found != driver.device:
            raise LaminaError(
                f"input '{info.name}': lies on {device_text(found or (0, 0))},"
                f" the program runs on {device_text(driver.device)}",
                hints=("move it there, or give it as a NumPy array",),
            )
        taken = _taken(info, value, driver, stream)
    if taken.dtype != info.dtype:
        raise LaminaError(
            f"input '{info.name}': expected {info.type_text}, found dtype {taken.dtype} on the device",
            hints=("convert it on the device",),
        )
    return taken


def _taken(info: TensorInfo, value: Any, driver: Driver, stream: int) -> Borrowed:
    try:
        capsule = value.__dlpack__(stream=_foreign_stream(stream, driver))
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise LaminaError(f"input '{info.name}': this {type(value).__name__} gives no memory: {error}") from None
    if not _python.PyCapsule_IsValid(capsule, CAPSULE):
        raise LaminaError(f"input '{info.name}': this {type(value).__name__} gives no DLPack capsule")
    managed = _Managed.from_address(_python.PyCapsule_GetPointer(capsule, CAPSULE))
    tensor = managed.tensor
    _python.PyCapsule_SetName(capsule, USED_CAPSULE)
    owner = _Capsule(managed, capsule)
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    if tensor.strides and not _is_contiguous(shape, [tensor.strides[axis] for axis in range(tensor.ndim)]):
        raise LaminaError(
            f"input '{info.name}': expected a C-contiguous array, found one with strides",
            hints=("make it contiguous on the device, with .contiguous() or the like",),
        )
    return Borrowed((tensor.data or 0) + tensor.byte_offset, shape, _dtype(info, tensor), owner)


def _foreign_stream(stream: int, driver: Driver) -> int | None:
    """A stream as DLPack spells it: CUDA's default stream is 1."""
    return (stream or 1) if driver.device[0] == 2 else None


def _is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return 0 in shape
        expected *= size
    return True


def _dtype(info: TensorInfo, tensor: _Tensor) -> np.dtype[Any]:
    if tensor.code == BFLOAT16 and tensor.bits == 16:
        return dtype_named("bfloat16")
    letter = next((letter for letter, code in CODES.items() if code == tensor.code), None)
    if letter is None or tensor.lanes != 1 or tensor.bits % 8:
        raise LaminaError(f"input '{info.name}': expected {info.dtype}, found a dtype that NumPy has not")
    return np.dtype(np.bool_) if letter == "b" else np.dtype(f"{letter}{tensor.bits // 8}")


_exported: dict[int, object] = {}
_numbers = itertools.count(1)


def _forget(managed: Any) -> None:
    _exported.pop(managed.contents.context, None)


_forget_exported = _Deleter(_forget)


class DeviceArray:
    """A result on the device. `torch.from_dlpack(array)` and the like take it without a copy; `numpy()` copies it.

    It is ready in the order of the stream of the call that gave it; consumers that name their stream wait for that.
    """

    def __init__(self, driver: Driver, block: Block, shape: tuple[int, ...], dtype: np.dtype[Any], stream: int):
        self.driver = driver
        self.shape = shape
        self.dtype = dtype
        self.stream = stream
        self._block = block

    @property
    def address(self) -> int:
        """Where it starts on the device."""
        return self._block.address

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return prod(self.shape) * self.dtype.itemsize

    def ready_for(self, stream: int) -> None:
        """Let work that is put on a stream from now on wait for the elements."""
        if stream != self.stream:
            self.driver.follow(stream, self.stream)
            self._block.users.add(stream)

    def numpy(self) -> npt.NDArray[Any]:
        """A copy on the host; waits for it."""
        array = np.empty(self.shape, self.dtype)
        if array.nbytes:
            self.driver.download(array, self.address, self.stream)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("an array on a device has to be copied")
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.driver.device

    def __dlpack__(
        self, *, stream: int | None = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> object:
        if copy or (dl_device is not None and tuple(dl_device) != self.driver.device):
            raise BufferError("only the memory itself is given, where it is")
        if stream != -1:
            self.ready_for({None: 0, 1: 0}.get(stream, cast(int, stream)))
        shape = (ctypes.c_int64 * max(1, len(self.shape)))(*self.shape)
        number = next(_numbers)
        code = BFLOAT16 if self.dtype.name == "bfloat16" else CODES[self.dtype.kind]
        tensor = _Tensor(
            self.address, *self.driver.device, len(self.shape), code, 8 * self.dtype.itemsize, 1, shape, None, 0
        )
        managed = _Managed(tensor, number, _forget_exported)
        # A capsule that nobody takes would hold the memory for good: its own end looks after that.
        _exported[number] = (self, shape, managed)
        return _python.PyCapsule_New(ctypes.addressof(managed), CAPSULE, _drop_unused)

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype}{list(self.shape)} on {device_text(self.driver.device)})"


def _drop(capsule: int) -> None:
    if _capsule_is(capsule, CAPSULE):
        managed = _Managed.from_address(_capsule_pointer(capsule, CAPSULE))
        _exported.pop(managed.context, None)


# A capsule that ends has no reference any more: it is looked at by its address.
_capsule_is = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", _python))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _python)
)
_drop_function = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_drop)
_drop_unused = ctypes.cast(_drop_function, ctypes.c_void_p)
