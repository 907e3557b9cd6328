"""Every graph op as GPU kernels: run on an OpenCL CPU runtime against the NumPy references, assembled by ptxas."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from lamina import api
from lamina.dialects.graph import GRAPH_OPS
from lamina.targets.gpu.checking_driver import CheckingDriver
from lamina.targets.gpu.launcher import Program as Compiled
from support.gpu_cases import PROGRAMS, REFUSED, Program, assert_equals, ops_of
from support.marks import PTXAS, needs_opencl, needs_ptxas
from support.opencl import run_packages

ASSEMBLED = ("unary", "shapes", "reductions", "rows", "rows_short", "rows_long", "cumulative", "scatters", "attention")
CHECKED = (
    "rows_short",
    "reductions_symbolic",
    "cumulative",
    "cumulative_parts_symbolic",
    "vectors_12",
    "vectors_13",
    "scatters",
    "transposes",
    "sorts",
    "attention",
)


def compiled(program: Program, folder: Path, target: str) -> tuple[dict, list[np.ndarray], set[str]]:
    """The manifest, the expected results and the graph ops of a program."""
    context = api.make_context()
    module = program.module(context)
    ops, expected = ops_of(module), list(program.expected(module, context))
    return dict(api.compile_for_gpu(module, context, folder, target)), expected, ops


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[np.ndarray], list[np.ndarray]]]:
    """What all programs give on the OpenCL runtime, and what is expected, by name."""
    scratch = tmp_path_factory.mktemp("kernels")
    jobs, expectations = [], []
    for program in PROGRAMS:
        manifest, expected, _ = compiled(program, scratch / program.name, "spirv")
        feeds = {info["name"]: array for info, array in zip(manifest["inputs"], program.inputs, strict=True)}
        jobs.append((scratch / program.name, feeds))
        expectations.append(expected)
    found = [list(outputs.values()) for outputs in run_packages(jobs, scratch)]
    pairs = zip(found, expectations, strict=True)
    return {program.name: pair for program, pair in zip(PROGRAMS, pairs, strict=True)}


@needs_opencl
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_kernels_equal_the_references(program: Program, results):
    found, expected = results[program.name]
    assert len(found) == len(expected)
    for own, reference in zip(found, expected, strict=True):
        assert_equals(own, reference, program.tolerance)


def test_every_op_is_in_a_program():
    context = api.make_context()
    used = {name for program in PROGRAMS for name in ops_of(program.module(context))}
    assert {op.name for op in GRAPH_OPS} - used == set(REFUSED)


@pytest.mark.parametrize("name", CHECKED)
def test_kernels_have_no_races(name: str, tmp_path: Path):
    """Nor accesses out of bounds, barriers that not all threads reach, and reads of what nobody wrote."""
    program = next(program for program in PROGRAMS if program.name == name)
    manifest, expected, _ = compiled(program, tmp_path, "spirv")
    driver = CheckingDriver(tmp_path, api.make_context())
    feeds = {info["name"]: array for info, array in zip(manifest["inputs"], program.inputs, strict=True)}
    for found, reference in zip(Compiled(tmp_path, driver)(**feeds).values(), expected, strict=True):
        assert_equals(found, reference, program.tolerance)
    assert not driver.findings, "\n".join(map(str, driver.findings))


def test_attention_stores_no_scores(tmp_path: Path):
    program = next(program for program in PROGRAMS if program.name == "attention_long")
    manifest, _, _ = compiled(program, tmp_path, "ptx:sm_80")
    assert [kernel["name"] for kernel in manifest["kernels"]] == ["attention", "attention_1"]
    assert manifest["workspace"] == 0


def test_long_rows_take_several_blocks(tmp_path: Path):
    program = next(program for program in PROGRAMS if program.name == "rows_of_several_blocks")
    manifest, _, _ = compiled(program, tmp_path, "ptx:sm_80")
    launches = [step for step in manifest["steps"] if step["kind"] == "launch"]
    grids = {
        name: [one["grid"] for one in launches if one["kernel"].startswith(name)] for name in ("arg_sort", "softmax")
    }
    # A sort of all elements has no step of less than a block for 8192 of them; the reductions of a softmax end in one.
    assert min([one["grid"] for one in launches if one["kernel"].partition("__")[0] == "arg_sort"]) > 8
    assert sorted(grids["softmax"])[-4:] > [30] * 4


@needs_ptxas
@pytest.mark.parametrize("name", ASSEMBLED)
def test_ptx_is_assembled(name: str, tmp_path: Path):
    program = next(program for program in PROGRAMS if program.name == name)
    manifest, _, _ = compiled(program, tmp_path, "ptx:sm_80")
    files = [str(tmp_path / kernel["file"]) for kernel in manifest["kernels"]]
    command = [PTXAS, "-arch=sm_80", "-v", "-c", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "spill stores" in done.stderr
    assert all(" 0 bytes spill stores" in line for line in done.stderr.splitlines() if "spill stores" in line)
