"""Attention on matrix units: executed with emulated fragments, checked by the interpreter, assembled by ptxas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp

import lamina
from lamina import api, ops
from lamina.diagnostics import LaminaError
from lamina.passes.hardware.gpu.attention_schedule import FragmentSchedule
from lamina.passes.loop.structured import SCHEDULE
from lamina.targets.gpu.checking_driver import CheckingDriver
from lamina.targets.gpu.launcher import Program as Compiled
from lamina.targets.gpu.ptxas import assemble_package
from support.gpu_cases import Program
from support.gpu_products import compile_scheduled
from support.marks import needs_opencl, needs_ptxas
from support.opencl import run_packages

DTYPES: Mapping[str, Any] = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32}
TOLERANCES = {"f16": 2e-3, "bf16": 1.6e-2, "f32": 3e-3}
"""f32 runs in tf32, whose factors have 10 bits."""


@dataclass(frozen=True)
class Case:
    """An attention: its sizes (batch, heads, key heads, queries, keys, features of keys and of values), and its cut."""

    dtype: str
    sizes: tuple[int, int, int, int, int, int, int]
    mask: str = ""
    causal: str | None = None
    tokens_first: tuple[int, ...] = ()
    scale: float = 0.3
    symbolic: bool = False
    cut: tuple[int, ...] = (16, 16, 16)
    target: str = "ptx:sm_80"

    @property
    def program(self) -> Program:
        b, h, k, q, s, d, e = self.sizes
        generator = np.random.default_rng([b, q, s, d])
        shapes = [(b, h, q, d), (b, k, s, d), (b, k, s, e)]
        names = [("b", str(h), "q", str(d)), ("b", str(k), "s", str(d)), ("b", str(k), "s", str(e))]
        for which in (which for which in self.tokens_first if which < 3):
            for some in (shapes, names):
                first, heads, tokens, last = some[which]
                some[which] = (first, tokens, heads, last)  # type: ignore[call-overload]
        arrays = [generator.standard_normal(shape).astype(DTYPES[self.dtype]) for shape in shapes]
        if self.mask:
            scores = generator.standard_normal((b, 1, q, s))
            if self.mask == "lowest":
                # What exporters write instead of -inf: everywhere for one query, at the first keys for another one.
                scores = np.where(scores > 0, 0, float(ml_dtypes.finfo(DTYPES[self.dtype]).min))
                scores[:, :, 1], scores[:, :, 2, :17] = scores.min(), scores.min()
            else:
                scores[0, 0, 1] = -np.inf
            arrays.append(scores > -0.5 if self.mask == "bool" else scores.astype(DTYPES[self.dtype]))
            names.append(("b", "1", "q", "s"))

        def build(builder: Any, *operands: Any) -> list[Any]:
            return [builder.attention(*operands, scale=self.scale, causal=self.causal, tokens_first=self.tokens_first)]

        return Program("attention", tuple(arrays), build, tuple(names) if self.symbolic else ())

    def compile(self, folder: Path, target: str = "spirv") -> tuple[Mapping[str, Any], dict[str, np.ndarray], Any]:
        """Manifest, inputs and what is expected."""
        program, context = self.program, api.make_context()
        module = program.module(context)
        (expected,) = program.expected(module, context) if target == "spirv" else (None,)
        cut = rewritten(*self.cut) if target == "spirv" else None
        options: dict[str, Any] = {"schedule_target": self.target, "tf32": True, "rewrite": cut}
        _, manifest = compile_scheduled(module, context, folder, target=target, **options)
        assert len(manifest["kernels"]) == 1
        feeds = {info["name"]: array for info, array in zip(manifest["inputs"], program.inputs, strict=True)}
        return manifest, feeds, expected

    def check(self, found: np.ndarray, expected: np.ndarray) -> None:
        found = found.view(expected.dtype) if found.dtype.kind == "V" else found
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        tolerance = TOLERANCES[self.dtype]
        np.testing.assert_allclose(
            found.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=2 * tolerance
        )


def rewritten(queries: int, warp: int, keys: int, parts: int = 1) -> Callable[[ModuleOp], None]:
    """Gives attentions another cut, whose emulation compiles in a moment."""

    def rewrite(module: ModuleOp) -> None:
        count = 0
        for op in module.walk():
            schedule = op.attributes.get(SCHEDULE)
            if isinstance(schedule, DictionaryAttr) and "fragment" in schedule.data:
                found = FragmentSchedule.of(op)
                assert found is not None
                changed = replace(found, queries=queries, warp=warp, keys=keys, parts=parts).entries()
                op.attributes[SCHEDULE] = DictionaryAttr({**schedule.data, **changed})
                count += 1
        assert count >= 7

    return rewrite


CASES: Mapping[str, Case] = {
    "f16": Case("f16", (2, 2, 2, 24, 40, 16, 16)),
    "grouped": Case("bf16", (1, 4, 2, 17, 33, 16, 32), causal="end", tokens_first=(0, 1, 2, 3)),
    "two warps": Case("f16", (1, 1, 1, 40, 20, 16, 16), causal="start", cut=(32, 16, 16)),
    "lowest numbers": Case("bf16", (1, 1, 1, 16, 40, 16, 16), "lowest", causal="end"),
    "tf32, lowest numbers": Case("f32", (1, 1, 1, 16, 40, 16, 16), "lowest"),
    "two tiles": Case("bf16", (1, 1, 1, 33, 37, 16, 16), "add", cut=(32, 32, 16)),
    "odd sizes": Case("f16", (1, 2, 1, 19, 21, 7, 13), "bool", scale=-0.2),
    "even sizes": Case("f16", (1, 1, 1, 9, 18, 18, 6), "add", causal="end", scale=1.0),
    "more queries than keys": Case("f16", (1, 1, 1, 30, 20, 16, 16), causal="end"),
    "symbolic": Case("bf16", (2, 2, 1, 18, 35, 20, 16), "bool", causal="start", symbolic=True),
    "tf32": Case("f32", (1, 2, 1, 20, 34, 12, 20), "add", causal="start", cut=(32, 16, 16)),
    "tf32, symbolic": Case("f32", (1, 1, 1, 17, 16, 8, 5), causal="end", symbolic=True, cut=(16, 16, 32)),
    "two parts": Case("bf16", (1, 2, 1, 33, 37, 16, 64), "add", cut=(32, 16, 16, 2)),
    "two parts, odd sizes": Case("f16", (1, 1, 1, 19, 21, 7, 13), causal="end", cut=(16, 16, 16, 2)),
    "two parts, tf32": Case("f32", (1, 1, 1, 17, 20, 8, 40), causal="start", cut=(16, 16, 16, 2)),
    "without copies": Case("f16", (1, 1, 1, 20, 33, 16, 16), "add", target="ptx:sm_75"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """What all cases give on the OpenCL runtime, and what is expected."""
    scratch = tmp_path_factory.mktemp("attention")
    jobs, expectations = [], []
    for number, case in enumerate(CASES.values()):
        _, feeds, expected = case.compile(scratch / str(number))
        jobs.append((scratch / str(number), feeds))
        expectations.append(expected)
    found = [next(iter(outputs.values())) for outputs in run_packages(jobs, scratch)]
    return dict(zip(CASES, zip(found, expectations, strict=True), strict=True))


@needs_opencl
@pytest.mark.parametrize("name", CASES)
def test_fragments_equal_the_reference(name: str, results: Mapping[str, tuple[np.ndarray, np.ndarray]]):
    found, expected = results[name]
    if name == "more queries than keys":
        assert np.isnan(expected[0, 0, :10]).all() and np.isfinite(expected[0, 0, 10:]).all()
    CASES[name].check(found, expected)


@pytest.mark.parametrize("name", ["grouped", "tf32", "odd sizes", "two parts"])
def test_fragments_have_no_races(name: str, tmp_path: Path):
    _, feeds, expected = CASES[name].compile(tmp_path)
    driver = CheckingDriver(tmp_path, api.make_context())
    (found,) = Compiled(tmp_path, driver)(**feeds).values()
    CASES[name].check(found, expected)
    assert not driver.findings, "\n".join(map(str, driver.findings))


LONG = (1, 32, 8, 1024, 1024)
ASSEMBLED: Mapping[str, Case] = {
    **{f"{dtype} {width}": Case(dtype, (*LONG, width, width)) for dtype in ("f16", "bf16") for width in (64, 128)},
    **{f"bf16 {width} causal": Case("bf16", (*LONG, width, width), causal="end") for width in (64, 128)},
    **{f"bf16 {width} {mask}": Case("bf16", (*LONG, width, width), mask) for width in (64, 128) for mask in ("add", "bool")},
    "f32 64": Case("f32", (*LONG, 64, 64), causal="start"),
    "f32 128": Case("f32", (*LONG, 128, 128)),
    **{f"bf16 256 {causal}": Case("bf16", (*LONG, 256, 256), causal=causal) for causal in (None, "end")},
    "bf16 256 add": Case("bf16", (*LONG, 256, 256), "add"),
    "f16 256 symbolic": Case("f16", (*LONG, 256, 256), symbolic=True),
    "f32 256 causal": Case("f32", (*LONG, 256, 256), causal="end"),
}  # fmt: skip


@needs_ptxas
@pytest.mark.parametrize("name", ASSEMBLED)
def test_nothing_is_spilled(name: str, tmp_path: Path):
    for architecture in ("sm_80", "sm_90", "sm_100"):
        folder = tmp_path / architecture
        target = f"ptx:{architecture}"
        manifest, _, _ = replace(ASSEMBLED[name], target=target).compile(folder, target)
        (usage,) = assemble_package(folder, manifest)
        assert usage.spill_stores == usage.spill_loads == 0, usage
        text = next(folder.glob("*.ptx")).read_text()
        assert "mma.sync" in text and "ldmatrix" in text and "cp.async" in text and "ex2.approx" in text


def traced(dtype: str, **options: Any) -> Any:
    specs = [lamina.spec((2, 8, "n", 64), dtype, name=name) for name in "qkv"]
    return lamina.trace(lambda q, k, v: ops.attention(q, k, v, **options), *specs)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_small_floats_reach_one_kernel(dtype: str, tmp_path: Path):
    for target in ("ptx:sm_90", "ptx:sm_70", "spirv", "amdgcn:gfx942"):
        model = traced(dtype, causal=True)
        manifest = api.compile_for_gpu(model.module.clone(), model.context, tmp_path / target, target)
        assert [one["name"] for one in manifest["kernels"]] == ["attention"]
        assert manifest["workspace"] == 0
    assert "mma.sync" in (tmp_path / "ptx:sm_90" / "attention.ptx").read_text()


def test_f32_is_exact_unless_asked(tmp_path: Path):
    for tf32 in (False, True):
        model = traced("f32")
        api.compile_for_gpu(model.module.clone(), model.context, tmp_path / str(tf32), "ptx:sm_80", tf32=tf32)
        assert ("mma.sync" in (tmp_path / str(tf32) / "attention.ptx").read_text()) == tf32


def test_cuts_that_do_not_fit_are_refused(tmp_path: Path):
    for cut in ((24, 16, 16), (32, 24, 16), (32, 16, 24)):
        with pytest.raises(LaminaError, match="whole warps"):
            replace(CASES["f16"], cut=cut).compile(tmp_path)
    with pytest.raises(LaminaError, match=r"expected a number above 0 as 'fragment\.k'"):
        program = CASES["f16"].program
        context = api.make_context()

        def rewrite(module: ModuleOp) -> None:
            for op in module.walk():
                schedule = op.attributes.get(SCHEDULE)
                if isinstance(schedule, DictionaryAttr) and "fragment" in schedule.data:
                    op.attributes[SCHEDULE] = DictionaryAttr(
                        {**schedule.data, "fragment": DictionaryAttr({"m": IntegerAttr(16, 64)})}
                    )

        compile_scheduled(program.module(context), context, tmp_path, "ptx:sm_80", rewrite=rewrite)
