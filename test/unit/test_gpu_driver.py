"""The launcher and the CUDA driver, on a stand-in for NVIDIA's bindings: memory, streams, recordings, errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import api, safetensors
from lamina.diagnostics import LaminaError
from lamina.targets.gpu import cuda
from lamina.targets.gpu.cuda import CudaDriver, stream_number
from lamina.targets.gpu.device_arrays import DeviceArray
from lamina.targets.gpu.executable import GpuExecutable
from lamina.tools.lamina_main import main
from support import models
from support.fake_cuda import FakeCuda, Result

WEIGHT = np.array([3.0], np.float32)


def floats(address: int, count: int) -> np.ndarray:
    import ctypes

    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))


def scale(blocks: int, threads: int, values: Any) -> None:
    """y = x · weight through the workspace, a block of it for each row: (x, weight, arena, rows)."""
    x, weight, arena, rows = values
    floats(arena, rows)[:] = floats(x, rows) * floats(weight, 1)[0]


def add(blocks: int, threads: int, values: Any) -> None:
    """(arena, state, y, rows): y = arena + state, state = y."""
    arena, state, y, rows = values
    floats(y, rows)[:] = floats(arena, rows) + floats(state, rows)
    floats(state, rows)[:] = floats(y, rows)


scale.arguments = add.arguments = 4

MANIFEST: dict[str, Any] = {
    "format": 1,
    "target": {"kind": "ptx", "architecture": "sm_80"},
    "inputs": [
        {"name": "x", "dtype": "float32", "shape": ["rows"]},
        {"name": "state", "dtype": "float32", "shape": ["rows"]},
    ],
    "outputs": [
        {"name": "y", "dtype": "float32", "shape": ["doubled // 2"]},
        {"name": "next", "dtype": "float32", "input": "state"},
    ],
    "constants": ["weight"],
    "workspace": "4*rows",
    "kernels": [
        {"name": "scale", "file": "scale.ptx", "threads": 128, "shared_memory": 64, "source": "model.onnx:mul"},
        {"name": "add", "file": "add.ptx", "threads": 128, "shared_memory": 0, "source": "model.onnx:add"},
    ],
    "planning": [{"kind": "size", "variable": "doubled", "value": "rows * 2"}],
    "steps": [
        {
            "kind": "launch", "kernel": "scale", "grid": "(rows + 127) // 128", "threads": 128,
            "arguments": [["input.x", 0], ["constant.weight", 0], ["arena", 0], "rows"],
        },
        {
            "kind": "launch", "kernel": "add", "grid": "(rows + 127) // 128", "threads": 128,
            "arguments": [["arena", 0], ["input.state", 0], ["output.y", 0], "rows"],
        },
    ],
}  # fmt: skip


def package(folder: Path, change: Callable[[dict[str, Any]], None] = lambda manifest: None) -> Path:
    manifest = json.loads(json.dumps(MANIFEST))
    change(manifest)
    for one in manifest["kernels"]:
        (folder / one["file"]).write_text(one.get("code", "// code"))
    safetensors.write(folder / "constants.safetensors", {"weight": WEIGHT})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def fake() -> FakeCuda:
    return FakeCuda({"scale": scale, "add": add})


class Tensor:
    """An array of another library on a device."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (2, 0)):
        self.array = array
        self.device = device
        self.streams: list[int | None] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: int | None = None) -> object:
        self.streams.append(stream)
        return self.array.__dlpack__()


def vector(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count, dtype=np.float32)


def test_numpy_in_and_out(tmp_path: Path, fake: FakeCuda) -> None:
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    uploads = len(fake.named("upload"))
    assert uploads == 1  # the constant
    for count in (1, 5, 300, 5):
        x, state = vector(count), vector(count, 1)
        expected = 3 * x + state
        y, following = executable(x, state)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        assert following is state and np.array_equal(state, y)
    assert len(fake.named("upload")) == 1 + 4 * 2
    empty, _ = executable(vector(0), vector(0))
    assert empty.shape == (0,)


def test_repeated_shapes_are_recorded_once_and_replayed(tmp_path: Path, fake: FakeCuda) -> None:
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    for _ in range(5):
        executable(vector(40), vector(40))
    assert len(fake.named("instantiate")) == 1 and len(fake.named("replay")) == 5
    assert not fake.named("launch")
    allocations = len(fake.named("allocate"))
    executable(vector(40), vector(40))
    assert len(fake.named("allocate")) == allocations  # workspace and buffers are used again
    executable(vector(7), vector(7))
    assert len(fake.named("instantiate")) == 2
    x, state = vector(100_000), vector(100_000, 1)
    expected = 3 * x + state
    (y, _) = executable(x, state)  # a larger workspace: the recordings with the last one's address go
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert len(fake.named("forget")) == 2


def test_addresses_that_always_change_are_not_recorded_for_ever(tmp_path: Path, fake: FakeCuda) -> None:
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    kept = [(Tensor(vector(9, seed)), Tensor(vector(9, seed + 50))) for seed in range(8)]
    for x, state in kept:
        expected = 3 * x.array + state.array
        y, following = executable(x, state)
        assert isinstance(y, DeviceArray) and following is state
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
        np.testing.assert_array_equal(state.array, y.numpy())
    assert len(fake.named("instantiate")) == 4
    assert len(fake.named("launch")) == 2 * 4
    assert len(fake.named("upload")) == 1


def test_device_arrays_are_taken_on_the_stream_of_the_call(tmp_path: Path, fake: FakeCuda) -> None:
    driver = CudaDriver(bindings=fake)
    executable = GpuExecutable(package(tmp_path), driver)
    x, state = Tensor(vector(3)), Tensor(vector(3, 1))
    y, _ = executable(x, state)
    assert x.streams == [driver.stream]
    executable(x, state, stream=77)
    assert x.streams[-1] == 77 and y.stream == driver.stream
    assert fake.log[-1][0] == "record" and fake.named("launch")[-1][4] == 77
    assert fake.named("wait")[0][1] == 77  # behind the call before it
    executable(x, state, stream=0)
    assert x.streams[-1] == 1  # DLPack's name of CUDA's default stream
    host, _ = executable(x, state, on_device=False)
    assert isinstance(host, np.ndarray)
    again, _ = executable(y, state)  # a result of ours as an input
    np.testing.assert_allclose(again.numpy(), state.array)


def test_memory_that_kernels_cannot_load_from_is_copied(tmp_path: Path, fake: FakeCuda) -> None:
    """They load 16 bytes at once: a part of another array may start in between."""
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    whole = np.zeros(64, np.float32)
    first = next(start for start in range(8) if whole[start:].ctypes.data % 16 == 4)
    odd = whole[first : first + 9]
    odd[:] = vector(9)
    y, _ = executable(Tensor(odd), state := Tensor(np.zeros(9, np.float32)))
    np.testing.assert_allclose(y.numpy(), 3 * odd, rtol=1e-6)
    assert len(fake.named("copy")) == 1
    with pytest.raises(LaminaError, match="input 'state' is updated in place: expected memory at a multiple of 16"):
        executable(state, Tensor(odd))


def test_results_are_given_to_others_without_a_copy(tmp_path: Path, fake: FakeCuda) -> None:
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    y, _ = executable(vector(6), vector(6), on_device=True)
    expected, address = y.numpy(), y.address
    assert y.__dlpack_device__() == (2, 0) and y.nbytes == 24
    other = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    downloads = len(fake.named("download"))
    z, _ = other(y, Tensor(np.zeros(6, np.float32)))  # through a DLPack capsule: another driver's array
    np.testing.assert_allclose(z.numpy(), 3 * expected, rtol=1e-6)
    assert len(fake.named("download")) == downloads + 1
    unused = y.__dlpack__(stream=5)
    assert fake.named("wait")[-1][1] == 5
    del unused, y
    fresh, _ = executable(vector(6), vector(6), on_device=True)
    assert fresh.address != address or not other.program._pending  # not given out again while the other holds it
    with pytest.raises(BufferError, match="where it is"):
        fresh.__dlpack__(dl_device=(1, 0))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (Tensor(vector(3), (2, 1)), "input 'x': lies on cuda:1, the program runs on cuda:0"),
        (Tensor(vector(3), (10, 0)), "input 'x': lies on rocm:0"),
        (Tensor(np.zeros(3)), r"input 'x': expected float32\[rows\], found dtype float64 on the device"),
        (Tensor(np.zeros((3, 2), np.float32)), r"input 'x': expected float32\[rows\], found shape \[3, 2\]"),
        (Tensor(np.zeros(4, np.float32)), r"'rows' is 4 in input 'x' \(axis 0\) and 3 in input 'state'"),
        (Tensor(np.zeros(6, np.float32)[::2]), "input 'x': expected a C-contiguous array, found one with strides"),
        (np.zeros(3), "input 'x': expected float32"),
    ],
)
def test_arrays_that_do_not_fit_are_named(x: object, message: str, tmp_path: Path, fake: FakeCuda) -> None:
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    with pytest.raises(LaminaError, match=message):
        executable(x, Tensor(vector(3)))
    executable(Tensor(vector(3)), Tensor(vector(3)))  # nothing is broken by that


def test_a_kernel_that_fails_is_named(tmp_path: Path, fake: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(blocks: int, threads: int, values: Any) -> None:
        fake.failed = Result.CUDA_ERROR_ILLEGAL_ADDRESS

    fail.arguments = 4
    fake.kernels["add"] = fail
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    with pytest.raises(LaminaError, match="one of the kernels 'scale', 'add' failed on Fake GPU") as caught:
        executable(vector(3), vector(3))
    assert "LAMINA_GPU_SYNCHRONIZE=1" in caught.value.hints[0]
    monkeypatch.setenv("LAMINA_GPU_SYNCHRONIZE", "1")
    fake.failed = Result.CUDA_SUCCESS
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    with pytest.raises(LaminaError, match=r"model.onnx:add: kernel 'add' failed .*ILLEGAL_ADDRESS") as caught:
        executable(vector(3), vector(3))
    assert caught.value.where == "model.onnx:add"
    assert not fake.named("instantiate")[1:]


def change(**fields: Any) -> Callable[[dict[str, Any]], None]:
    def apply(manifest: dict[str, Any]) -> None:
        manifest["kernels"][0].update(fields)

    return apply


def architecture(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["target"].update(architecture=name)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            change(shared_memory=99_000, dynamic_shared_memory=2000),
            r"model.onnx:mul: kernel 'scale' needs 101000 bytes of shared memory, Fake GPU has 100000",
        ),
        (
            change(threads=1024, name="wide"),
            r"model.onnx:mul: kernel 'wide' needs 128 registers for each of 1024 threads, Fake GPU has room for 512",
        ),
        (
            change(code="error"),
            r"model.onnx:mul: kernel 'scale' is refused by the driver .*: ptxas fatal: line 3: no such instruction",
        ),
        (architecture("sm_100"), "is compiled for sm_100, Fake GPU is sm_90"),
        (architecture("sm_80a"), "is compiled for sm_80a, Fake GPU is sm_90"),
        (lambda manifest: manifest["target"].update(kind="spirv"), "is compiled for spirv, Fake GPU takes ptx"),
        (lambda manifest: manifest.update(format=99), "was written by another version"),
    ],
)
def test_what_a_device_cannot_take_is_refused(edit: Any, message: str, tmp_path: Path, fake: FakeCuda) -> None:
    fake.registers["wide"] = 128
    with pytest.raises(LaminaError, match=message):
        GpuExecutable(package(tmp_path, edit), CudaDriver(bindings=fake))


def test_dynamic_shared_memory_is_asked_for(tmp_path: Path, fake: FakeCuda) -> None:
    executable = GpuExecutable(package(tmp_path, change(dynamic_shared_memory=70_000)), CudaDriver(bindings=fake))
    assert fake.named("dynamic") == [("dynamic", "scale", 70_000)]
    executable(vector(3), vector(3), stream=50)
    assert [one[-1] for one in fake.named("launch")] == [70_000, 0]


def test_memory_that_runs_out(tmp_path: Path) -> None:
    fake = FakeCuda({"scale": scale, "add": add}, memory=200_000)
    executable = GpuExecutable(package(tmp_path), CudaDriver(bindings=fake))
    for count in (5000, 6000, 7000, 8000):  # blocks of other sizes are given back when there is no room
        executable(vector(count), vector(count))
    with pytest.raises(LaminaError, match=r"Fake GPU has no memory for .* bytes more: CUDA_ERROR_OUT_OF_MEMORY"):
        executable(vector(80_000), vector(80_000))


def test_steps_that_ask_the_device_are_not_recorded(tmp_path: Path, fake: FakeCuda) -> None:
    """A number that the device computed decides how often a kernel runs; the host stores another one."""

    def edit(manifest: dict[str, Any]) -> None:
        scale_step, add_step = manifest["steps"]
        manifest["steps"] = [
            scale_step,
            {"kind": "assign", "variables": ["n", "m"], "values": [0, 5]},
            {
                "kind": "while",
                "before": [{"kind": "load", "variable": "seen", "source": ["input.state", 0], "dtype": "int32"}],
                "condition": "n < 3",
                "body": [add_step, {"kind": "assign", "variables": ["n", "m"], "values": ["n + 1", "n"]}],
            },
            {"kind": "assert", "condition": "m == 2", "message": "variables are assigned one after the other"},
            {"kind": "if", "condition": "seen == 0", "then": [], "otherwise": [
                {"kind": "store", "value": "n", "target": ["output.y", 0], "dtype": "int32"}]},
        ]  # fmt: skip

    executable = GpuExecutable(package(tmp_path, edit), CudaDriver(bindings=fake))
    x, state = vector(4), vector(4, 1)
    expected = 9 * x + state
    y, _ = executable(x, state)
    np.testing.assert_allclose(y[1:], expected[1:], rtol=1e-5)
    assert y.view(np.int32)[0] == 3
    assert not fake.named("instantiate") and len(fake.named("launch")) == 4


@pytest.mark.parametrize(("capability", "target"), [(70, "ptx:sm_70"), (87, "ptx:sm_86"), (103, "ptx:sm_100")])
def test_the_architecture_of_the_device(capability: int, target: str) -> None:
    assert CudaDriver(bindings=FakeCuda({}, capability=capability)).target == target


def test_devices_that_are_not_there() -> None:
    with pytest.raises(LaminaError, match="there is no device 3, the driver has 1"):
        CudaDriver(3, bindings=FakeCuda({}))
    with pytest.raises(LaminaError, match="Fake GPU is of architecture sm_52, kernels need sm_70 at least"):
        _ = CudaDriver(bindings=FakeCuda({}, capability=52)).target


def test_streams_of_other_libraries() -> None:
    class Torch:
        cuda_stream = 11

    class Cupy:
        ptr = 12

    class Core:
        def __cuda_stream__(self) -> tuple[int, int]:
            return 0, 13

    assert [stream_number(one) for one in (None, 10, Torch(), Cupy(), Core())] == [None, 10, 11, 12, 13]
    with pytest.raises(LaminaError, match="expected a CUDA stream, found str"):
        stream_number("default")


def test_without_the_bindings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(cuda, "BINDINGS", "there_is_no_such_module")
    with pytest.raises(SystemExit) as stop:
        main(["run", str(package(tmp_path))])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "NVIDIA's Python bindings are not installed" in said and "lamina[cuda]" in said


def test_a_model_is_compiled_for_the_device_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way from a model to launches; what kernels compute is tested elsewhere."""
    fake = FakeCuda({})
    launched: list[str] = []
    monkeypatch.setattr(cuda, "_bindings", lambda: fake)
    monkeypatch.setattr(
        fake, "cuLaunchKernel", lambda function, *rest: (launched.append(function), (Result.CUDA_SUCCESS,))[1]
    )
    executable = api.gpu_executable(models.mlp())
    assert executable.program.manifest["target"]["architecture"].startswith("sm_90")
    (y,) = executable(np.zeros((1, 784), np.float32))
    assert y.shape == (1, 10)
    steps = [step["kernel"] for step in executable.program.manifest["steps"] if step["kind"] == "launch"]
    assert launched == steps


def test_functions_of_trees_take_and_give_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training step: donated weights, of which the arrays themselves come back."""
    fake = FakeCuda({})
    monkeypatch.setattr(cuda, "_bindings", lambda: fake)
    monkeypatch.setattr(fake, "cuLaunchKernel", lambda function, *rest: (Result.CUDA_SUCCESS,))

    def step(weights: dict[str, Any], x: Any) -> Any:
        return {name: weight + x for name, weight in weights.items()}, x.sum()

    weights = {"a": vector(3), "b": vector(3, 1)}
    traced = lamina.jit(step, donate_argnums=0).trace(weights, vector(3))
    executable = api.gpu_executable(traced)
    following, total = executable(weights, vector(3))
    assert following["a"] is weights["a"] and following["b"] is weights["b"] and total.shape == ()
    (again, _) = executable(x=vector(3), weights=weights)
    assert again["a"] is weights["a"]
    with pytest.raises(LaminaError, match="argument 'weights'"):
        executable({"a": vector(3)}, vector(3))
    with pytest.raises(LaminaError, match="expected 2 arguments"):
        executable(weights)
