"""Everything that is to be seen on an NVIDIA GPU, in one command: correct, clean, and how fast beside the peers.

    python benchmarks/gpu.py [--json FILE] [--markdown FILE] [--only PART …] [--device 0] [--quick]
    python benchmarks/gpu.py --compile-only [--target ptx:sm_90] [--model NAME …]

Parts: `correct` (models and kernels against the same compiled for the CPU), `sanitizer` (small models under
`compute-sanitizer`, where that is on PATH), `products`, `rows`, `attention`, `models`. Peers take part where they are
installed: torch (cuBLAS, SDPA, torch.compile), and Triton kernels of our own (`triton_kernels.py`); one that fails is
left out, and the note says so. Times are of the device: CUDA events around runs of calls, contenders in turn, medians
over rounds; every contender gets its inputs on the device, and what lies in the second-level cache from the call before
stays there for all of them. Bandwidth is measured by a copy on the device.

Needs an NVIDIA driver and `pip install 'lamina[cuda]'`; without a GPU it says so and ends with 1. `--compile-only`
needs neither: it compiles all kernels that the parts time and all full-size models, and shows what ptxas says of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test"), str(ROOT / "benchmarks")]

import triton_kernels  # noqa: E402

ROUNDS, LEAST_MILLISECONDS = 7, 60
SMALL = (
    "resnet50_small", "mobilenet_v2_small", "unet_resize_small", "unet_transposed_small", "bert_base_small",
    "gpt2_small", "gpt2_decode_small", "vit_b16_small", "llama_block_small", "lstm_small", "bert_base_small_symbolic",
    "gpt2_small_symbolic", "mlp", "lenet",
)  # fmt: skip
LARGE = (
    "resnet50", "mobilenet_v2", "unet_resize", "unet_transposed", "bert_base", "gpt2", "gpt2_decode", "vit_b16",
    "llama_block", "lstm", "light_squeezenet", "light_shufflenet", "light_densenet121",
)  # fmt: skip
FULL_SIZE = (
    *LARGE, "minilm", "light_inception_v1", "light_inception_v2", "light_bvlc_alexnet", "light_zfnet512", "light_vgg19",
)  # fmt: skip
"""What `--compile-only` compiles as whole models."""
SANITIZED = ("mlp", "lenet", "resnet50_small", "bert_base_small", "gpt2_small", "lstm_small")
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
SANITIZER_SECONDS = 600
SIZES = {"batch": 3, "sequence": 29}
TOLERANCE = 2e-4
"""Of the largest magnitude, between GPU and CPU: sums are taken in other orders."""


@dataclass(frozen=True)
class Row:
    """A line of the table: what was run, the figure, the best peer's, and the floor that the ratio has to reach."""

    part: str
    name: str
    ours: float | None
    unit: str
    peers: Mapping[str, float] = field(default_factory=dict)
    floor: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the best peer's, as rates."""
        if self.ours is None or not self.peers:
            return None
        return self.ours / max(self.peers.values())

    @property
    def is_met(self) -> bool | None:
        """Whether the floor is reached; None where there is none."""
        return None if self.floor is None or self.ratio is None else self.ratio >= self.floor


# What is timed: functions of arrays, inputs by shape and dtype, and the same in torch.


@dataclass(frozen=True)
class Case:
    """A kernel to time: `work` are operations or bytes of a call, `unit` what a rate of them is shown in."""

    part: str
    name: str
    function: Callable[..., Any]
    inputs: Sequence[tuple[tuple[int, ...], str]]
    work: float
    unit: str
    torch: Callable[..., Any]
    floor: float
    tf32: bool = False
    triton: str = ""
    """What Triton's kernel for it is called in `triton_kernels`."""
    causal: bool = False


def product_cases() -> list[Case]:
    def multiply(a: Any, b: Any) -> Any:
        return a @ b

    return [
        Case(
            "products",
            f"{size}³ {'tf32' if tf32 else dtype}",
            multiply,
            [((size, size), dtype), ((size, size), dtype)],
            2 * size**3,
            "TFLOP/s",
            lambda torch, a, b: a @ b,
            0.5,
            tf32,
            "product",
        )
        for size in (4096, 8192)
        for dtype, tf32 in (("bf16", False), ("f16", False), ("f32", True), ("f32", False))
    ]


def row_cases() -> list[Case]:
    """Bytes are those that have to be read and written once."""
    from lamina import ops

    rows, columns = 16384, 8192
    whole = ((rows, columns), "f32")
    vector = ((columns,), "f32")
    size = 4 * rows * columns
    return [
        Case("rows", "softmax f32", lambda x: ops.softmax(x), [whole], 2 * size, "GB/s",
             lambda torch, x: torch.softmax(x, -1), 0.8, triton="softmax"),
        Case("rows", "layer norm f32", lambda x, s, b: ops.layer_norm(x, s, b), [whole, vector, vector], 2 * size,
             "GB/s", lambda torch, x, s, b: torch.nn.functional.layer_norm(x, x.shape[-1:], s, b), 0.8),
        Case("rows", "rms norm f32", lambda x, s: ops.rms_norm(x, s), [whole, vector], 2 * size, "GB/s",
             lambda torch, x, s: torch.nn.functional.rms_norm(x, x.shape[-1:], s, 1e-5), 0.8),
        Case("rows", "bias + GELU + residual f32", lambda x, b, r: ops.gelu(x + b) + r, [whole, vector, whole],
             3 * size, "GB/s", lambda torch, x, b, r: torch.nn.functional.gelu(x + b) + r, 0.8),
        Case("rows", "SiLU · gate f32", lambda x, g: ops.silu(x) * g, [whole, whole], 3 * size, "GB/s",
             lambda torch, x, g: torch.nn.functional.silu(x) * g, 0.8),
        Case("rows", "sum of rows f32", lambda x: x.sum(axis=-1), [whole], size, "GB/s",
             lambda torch, x: x.sum(-1), 0.8),
        Case("rows", "sum of columns f32", lambda x: x.sum(axis=0), [whole], size, "GB/s",
             lambda torch, x: x.sum(0), 0.8),
        Case("rows", "transpose f32", lambda x: x.transpose((1, 0)), [whole], 2 * size, "GB/s",
             lambda torch, x: x.t().contiguous(), 0.8),
    ]  # fmt: skip


def attention_cases() -> list[Case]:
    from lamina import ops

    cases: list[Case] = []
    for length, batch in ((2048, 8), (8192, 2)):
        for dtype, width in (("bf16", 64), ("bf16", 128), ("f16", 128), ("f32", 64)):
            for causal in (False, True):
                shape = (batch, 16, length, width)
                cases.append(
                    Case(
                        "attention",
                        f"{batch}×16×{length}×{width} {dtype}{' causal' if causal else ''}",
                        lambda q, k, v, causal=causal: ops.attention(q, k, v, causal=causal),
                        [(shape, dtype)] * 3,
                        4 * batch * 16 * length**2 * width * (0.5 if causal else 1.0),
                        "TFLOP/s",
                        lambda torch, q, k, v, causal=causal: torch.nn.functional.scaled_dot_product_attention(
                            q, k, v, is_causal=causal
                        ),
                        0.4,
                        triton="attention",
                        causal=causal,
                    )
                )
    return cases


CASES: Mapping[str, Callable[[], list[Case]]] = {
    "products": product_cases,
    "rows": row_cases,
    "attention": attention_cases,
}
WHOLE_MODELS = {"resnet50": 0.8, "bert_base": 0.8}
"""Timed beside torch.compile, with what is hoped for."""
PARTS = ("correct", "sanitizer", *CASES, "models")


def traced(case: Case) -> Any:
    import lamina

    specs = [lamina.spec(shape, dtype, name=f"x{n}") for n, (shape, dtype) in enumerate(case.inputs)]
    return lamina.trace(_with_parameters(case.function, len(specs)), *specs)


def _with_parameters(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """A function of so many parameters, without those that have defaults."""
    return {
        1: lambda x0: function(x0),
        2: lambda x0, x1: function(x0, x1),
        3: lambda x0, x1, x2: function(x0, x1, x2),
    }[count]


# On a device

Contender = tuple[Callable[[], object], int]
"""What is called, and the stream that it works on."""


class Device:
    """The GPU, its driver, torch where it is installed, and how things are timed."""

    def __init__(self, number: int):
        from lamina.targets.gpu.cuda import CudaDriver

        self.driver = CudaDriver(number)
        self.cuda = self.driver._cuda
        try:
            import torch
        except ImportError:
            torch = None
        self.torch = torch if torch is not None and torch.cuda.is_available() else None
        if self.torch is not None:
            self.torch.cuda.set_device(number)

    def milliseconds(self, call: Callable[[], object], stream: int) -> float:
        """The device's time of a call: events around as many as take a while."""
        event = lambda: self.driver._do("cuEventCreate", 0)  # noqa: E731
        begin, end = event(), event()
        try:
            return self._milliseconds(call, stream, begin, end)
        finally:
            for one in (begin, end):
                self.driver._do("cuEventDestroy", one)

    def _milliseconds(self, call: Callable[[], object], stream: int, begin: Any, end: Any) -> float:

        def timed(count: int) -> float:
            self.driver._do("cuEventRecord", begin, stream)
            for _ in range(count):
                call()
            self.driver._do("cuEventRecord", end, stream)
            self.driver._do("cuEventSynchronize", end)
            return float(self.driver._do("cuEventElapsedTime", begin, end)) / count

        for _ in range(3):
            call()
        self.driver.synchronize(stream)
        once = max(timed(3), 1e-4)
        return timed(max(3, int(LEAST_MILLISECONDS / once)))

    def contend(self, contenders: Mapping[str, tuple[Callable[[], object], int]]) -> dict[str, float]:
        """The median over the rounds of each contender's time in milliseconds; they take turns."""
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, (call, stream) in contenders.items():
                found[name].append(self.milliseconds(call, stream))
        return {name: statistics.median(times) for name, times in found.items()}

    def working(self, contenders: Mapping[str, Contender]) -> tuple[dict[str, Contender], str]:
        """Those peers that run, and a note on those that do not; ours has to."""
        found: dict[str, Contender] = {}
        notes: list[str] = []
        for name, (call, stream) in contenders.items():
            try:
                call()
                self.driver.synchronize(stream)
            except Exception as error:
                if name == "lamina":
                    raise
                notes.append(f"{name} fails: {_one_line(error)}")
                continue
            found[name] = call, stream
        return found, "; ".join(notes)

    def bandwidth(self) -> float:
        """GB/s of a copy of 1 GiB on the device, both ways counted."""
        size = 1 << 30
        source, target = self.driver.allocate(size), self.driver.allocate(size)
        stream = self.driver.stream
        best = min(self.milliseconds(lambda: self.driver.copy(target, source, size, stream), stream) for _ in range(5))
        self.driver.release(source)
        self.driver.release(target)
        return 2 * size / best / 1e6

    def on_device(self, array: np.ndarray, dtype: str) -> Any:
        """An array on the device, as torch has it, or ours where torch is not there."""
        if self.torch is not None:
            types = {"bf16": self.torch.bfloat16, "f16": self.torch.float16, "f32": self.torch.float32}
            return self.torch.from_numpy(array).cuda().to(types[dtype])
        import ml_dtypes

        from lamina.targets.gpu.device_arrays import DeviceArray
        from lamina.targets.gpu.memory import Pool

        types = {"bf16": np.dtype(ml_dtypes.bfloat16), "f16": np.dtype(np.float16), "f32": np.dtype(np.float32)}
        converted = np.ascontiguousarray(array.astype(types[dtype]))
        block = Pool(self.driver).block(converted.nbytes, self.driver.stream)
        self.driver.upload(block.address, converted, self.driver.stream)
        return DeviceArray(self.driver, block, array.shape, types[dtype], self.driver.stream)


def time_cases(device: Device, part: str) -> list[Row]:
    rows: list[Row] = []
    bandwidth = device.bandwidth() if part == "rows" else None
    for case in CASES[part]():
        try:
            rows.append(time_case(device, case, bandwidth))
        except Exception as error:
            rows.append(Row(part, case.name, None, case.unit, floor=case.floor, note=_one_line(error)))
        print(line(rows[-1]), file=sys.stderr, flush=True)
    return rows


def time_case(device: Device, case: Case, bandwidth: float | None) -> Row:
    from lamina import api

    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(shape, dtype=np.float32) for shape, _ in case.inputs]
    inputs = [device.on_device(array, dtype) for array, (_, dtype) in zip(arrays, case.inputs, strict=True)]
    executable = api.gpu_executable(traced(case), device.driver.target, device=device.driver.number, tf32=case.tf32)
    contenders: dict[str, tuple[Callable[[], object], int]] = {
        "lamina": (lambda: executable(*inputs), executable.program.driver.stream)
    }
    note = ""
    if device.torch is not None:
        torch, stream = device.torch, device.torch.cuda.current_stream().cuda_stream
        torch.backends.cuda.matmul.allow_tf32 = case.tf32
        compiled = torch.compile(lambda *values: case.torch(torch, *values))
        contenders["torch"] = (lambda: case.torch(torch, *inputs), stream)
        if case.part != "products":
            contenders["torch.compile"] = (lambda: compiled(*inputs), stream)
        made = triton_kernels.contenders(torch, case.triton, inputs, tf32=case.tf32, causal=case.causal)
        contenders |= {name: (call, stream) for name, call in made.items()}
        note = difference_from(torch, executable(*inputs)[0], case.torch(torch, *inputs))
    contenders, failed = device.working(contenders)
    note = "; ".join(one for one in (note, failed) if one)
    if "triton" in contenders:
        found = contenders["triton"][0]()
        compared = f"triton {difference_from(device.torch, found, case.torch(device.torch, *inputs))}"
        note = "; ".join(one for one in (note, compared) if one)
    times = device.contend(contenders)
    scale = 1e-9 if case.unit == "TFLOP/s" else 1e-6
    rates = {name: case.work * scale / time for name, time in times.items()}
    ours = rates.pop("lamina")
    if bandwidth is not None:
        rates = {"bandwidth": bandwidth, **rates}
        floor_is_of_bandwidth = f"{ours / bandwidth:.0%} of bandwidth"
        note = f"{floor_is_of_bandwidth}; {note}" if note else floor_is_of_bandwidth
    return Row(case.part, case.name, ours, case.unit, rates, case.floor, note)


def difference_from(torch: Any, found: Any, expected: Any) -> str:
    """The largest difference from torch's result, of its largest magnitude."""
    ours = torch.from_dlpack(found).float()
    theirs = expected.float()
    size = float(theirs.abs().max()) or 1.0
    return f"differs by {float((ours - theirs).abs().max()) / size:.1e}"


def check_models(device: Device, names: Sequence[str]) -> list[Row]:
    """Each model on the device against the same model compiled for the CPU."""
    import lamina
    from lamina import api
    from support import models

    rows: list[Row] = []
    for name in names:
        try:
            model = models.named(name)
            feeds = feeds_of(name, model)
            expected = lamina.compile(model)(**{key: value.copy() for key, value in feeds.items()})
            executable = api.gpu_executable(model, device.driver.target, device=device.driver.number)
            worst = 0.0
            for _ in range(2):  # launched, then replayed
                found = executable(**{key: value.copy() for key, value in feeds.items()})
                worst = max([worst, *(relative(a, b) for a, b in zip(found, expected, strict=True))])
            rows.append(Row("correct", name, worst, "difference", note="ok" if worst <= TOLERANCE else "WRONG"))
        except Exception as error:
            rows.append(Row("correct", name, None, "difference", note=_one_line(error)))
        print(line(rows[-1]), file=sys.stderr, flush=True)
    return rows


def feeds_of(name: str, model: Any) -> dict[str, np.ndarray]:
    from support import models

    if name in ("mlp", "lenet"):
        shape = (1, 784) if name == "mlp" else (1, 1, 28, 28)
        return {"x": np.random.default_rng(0).standard_normal(shape, dtype=np.float32)}
    return models.random_feeds(model, SIZES)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, of the largest magnitude."""
    if found.shape != expected.shape:
        return float("inf")
    wide = expected.astype(np.float64)
    difference = np.abs(found.astype(np.float64) - wide).max(initial=0.0)
    return float(difference / (np.abs(wide).max(initial=0.0) or 1.0))


def sanitize(device: Device, names: Sequence[str]) -> list[Row]:
    program = shutil.which("compute-sanitizer")
    if program is None:
        return [Row("sanitizer", "all", None, "errors", note="compute-sanitizer is not on PATH")]
    rows: list[Row] = []
    for name in names:
        for tool in TOOLS:
            command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, __file__, "--run-once", name]
            command += ["--device", str(device.driver.number)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SANITIZER_SECONDS)
            except subprocess.TimeoutExpired:
                note = f"not done after {SANITIZER_SECONDS} s"
                rows.append(Row("sanitizer", f"{name}, {tool}", None, "errors", note=note))
            else:
                note = "clean" if done.returncode == 0 else (done.stdout + done.stderr)[-300:].replace("\n", " ")
                rows.append(Row("sanitizer", f"{name}, {tool}", float(done.returncode != 0), "errors", note=note))
            print(line(rows[-1]), file=sys.stderr, flush=True)
    return rows


def run_once(name: str, number: int) -> None:
    """One launch of everything, without recording, as a child of compute-sanitizer."""
    from lamina import api
    from support import models

    model = models.named(name)
    api.gpu_executable(model, device=number)(**feeds_of(name, model), stream=0)


def time_models(device: Device) -> list[Row]:
    from lamina import api
    from support import models

    rows: list[Row] = []
    for name, floor in WHOLE_MODELS.items():
        try:
            model = models.named(name)
            feeds = {key: np.ascontiguousarray(value) for key, value in feeds_of(name, model).items()}
            executable = api.gpu_executable(model, device.driver.target, device=device.driver.number)
            contenders: dict[str, tuple[Callable[[], object], int]] = {}
            note = "f32; inputs on the host" if device.torch is None else "f32"
            if device.torch is None:
                contenders["lamina"] = (lambda: executable(**feeds), executable.program.driver.stream)  # noqa: B023
            else:
                torch = device.torch
                given = {key: torch.from_numpy(value).cuda() for key, value in feeds.items()}
                contenders["lamina"] = (lambda: executable(**given), executable.program.driver.stream)  # noqa: B023
                try:
                    contenders |= torch_model(torch, name, given)
                except Exception as error:
                    note += f"; no torch model: {_one_line(error)}"
            contenders, failed = device.working(contenders)
            note = "; ".join(one for one in (note, failed) if one)
            times = device.contend(contenders)
            rates = {key: 1e3 / time for key, time in times.items()}
            rows.append(Row("models", name, rates.pop("lamina"), "calls/s", rates, floor, note))
        except Exception as error:
            rows.append(Row("models", name, None, "calls/s", floor=floor, note=_one_line(error)))
        print(line(rows[-1]), file=sys.stderr, flush=True)
    return rows


def torch_model(torch: Any, name: str, given: Mapping[str, Any]) -> dict[str, tuple[Callable[[], object], int]]:
    """The same architecture in torch, compiled and not; weights do not matter for the time."""
    from models import ARCHITECTURES

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    module = ARCHITECTURES[name].full.build().eval().cuda()
    compiled = torch.compile(module, mode="max-autotune")
    values, stream = list(given.values()), torch.cuda.current_stream().cuda_stream

    def run(function: Any) -> Callable[[], object]:
        def call() -> object:
            with torch.no_grad():
                return function(*values)

        return call

    return {"torch": (run(module), stream), "torch.compile": (run(compiled), stream)}


# Without a device


def compile_only(target: str, parts: Sequence[str], models: Sequence[str] = FULL_SIZE) -> int:
    """Every kernel that is timed, and whole models, compiled and assembled; the tables of what they take."""
    from lamina import api
    from lamina.targets.gpu.ptxas import assemble_package, find_ptxas, table

    cases = [case for name, part in CASES.items() if name in parts for case in part()]
    failed = 0
    models = models if "models" in parts else ()
    for name in models:
        failed += not compile_model(name, target)
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            try:
                model = traced(case)
                manifest = api.compile_for_gpu(model.module, model.context, folder, target, tf32=case.tf32)
                steps = ", ".join(f"{one['name']} × {one['threads']} threads" for one in manifest["kernels"])
                print(f"{case.part}: {case.name}: {steps}")
                if target.startswith("ptx") and find_ptxas() is not None:
                    print(table(assemble_package(Path(folder), manifest)))
            except Exception as error:
                failed += 1
                print(f"{case.part}: {case.name}: {_one_line(error)}")
    print(f"{len(cases)} cases and {len(models)} models for {target}, {failed} failed")
    return int(failed > 0)


def compile_model(name: str, target: str) -> bool:
    """Compile and assemble a whole model, and print a line: kernels, seconds, registers and spills; whether it went."""
    from lamina import api
    from lamina.targets.gpu.ptxas import assemble_package, find_ptxas
    from support import models

    with tempfile.TemporaryDirectory() as folder:
        try:
            context = api.make_context()
            module = api.load_module(models.named(name), context)
            begin = time.perf_counter()
            manifest = api.compile_for_gpu(module, context, folder, target)
            said = f"{len(manifest['kernels'])} kernels, {time.perf_counter() - begin:.1f} s"
            if target.startswith("ptx") and find_ptxas() is not None:
                usages = assemble_package(Path(folder), manifest)
                spills = ", ".join(f"{one.kernel} {one.spill_stores}" for one in usages if one.spill_stores) or "none"
                said += f", at most {max(one.registers for one in usages)} registers, bytes of spills: {spills}"
            elif target.startswith("amdgcn"):
                kernels = manifest["kernels"]
                spilled = ", ".join(one["name"] for one in kernels if one["scratch"]) or "none"
                said += (
                    f", at most {max(one['registers'] for one in kernels)} registers, kernels with scratch: {spilled}"
                )
        except Exception as error:
            print(f"models: {name}: {_one_line(error)}", flush=True)
            return False
    print(f"models: {name}: {said}", flush=True)
    return True


# The table


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def line(row: Row) -> str:
    return " | ".join(cells(row))


def cells(row: Row) -> list[str]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.1e}" if row.unit == "difference" else f"{value:.1f}"

    peers = ", ".join(f"{name} {number(rate)}" for name, rate in row.peers.items())
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    met = {None: "", True: "yes", False: "NO"}[row.is_met]
    floor = "" if row.floor is None else f"{row.floor:.2f}"
    return [row.part, row.name, f"{number(row.ours)} {row.unit}", peers, ratio, floor, met, row.note]


def markdown(rows: Sequence[Row], title: str) -> str:
    head = ["part", "what", "lamina", "peers", "ratio to the best", "floor", "reached", "note"]
    lines = [f"# {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells(row))} |" for row in rows), ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=int, default=0, help="the GPU's number")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some parts of it")
    parser.add_argument("--quick", action="store_true", help="small models only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here as well")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here as well")
    parser.add_argument("--compile-only", action="store_true", help="compile what would be timed; needs no GPU")
    parser.add_argument("--target", default="ptx:sm_90", help="of --compile-only")
    parser.add_argument("--model", nargs="+", choices=FULL_SIZE, default=FULL_SIZE, help="models of --compile-only")
    parser.add_argument("--run-once", metavar="MODEL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    from lamina.diagnostics import LaminaError

    if options.compile_only:
        return compile_only(options.target, options.only, options.model)
    if options.run_once:
        run_once(options.run_once, options.device)
        return 0
    try:
        device = Device(options.device)
    except LaminaError as error:
        print(f"error: no table without a GPU: {error.message}", file=sys.stderr)
        for hint in (*error.hints, "benchmarks/gpu.py --compile-only compiles what would be timed"):
            print(f"  → {hint}", file=sys.stderr)
        return 1
    title = f"{device.driver.name}, sm_{device.driver.capability}"
    print(title, file=sys.stderr)
    rows: list[Row] = []
    for part in options.only:
        if part == "correct":
            rows += check_models(device, SMALL if options.quick else (*SMALL, *LARGE))
        elif part == "sanitizer":
            rows += sanitize(device, SANITIZED)
        elif part == "models":
            rows += time_models(device)
        else:
            rows += time_cases(device, part)
    text = markdown(rows, title)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text)
    if options.json is not None:
        found = [{**asdict(row), "ratio": row.ratio, "reached": row.is_met} for row in rows]
        options.json.write_text(json.dumps({"device": title, "rows": found}, indent=1))
    bad = [row for row in rows if row.ours is None or row.is_met is False or "WRONG" in row.note]
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
