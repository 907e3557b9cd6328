"""Long lives and hostile surroundings: many cycles and calls, processes that share a cache, homes that take nothing."""

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from lamina.targets.cpu.executable import Executable
from lamina.targets.cpu.thread_pool import thread_pool
from support import abi_models

TEST_FOLDER = Path(__file__).parent.parent
LINUX_ONLY = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

COMPILE = """
    import sys, warnings
    import numpy as np
    import lamina
    from lamina import ops
    weights = np.random.default_rng(0).standard_normal((96, 64), dtype=np.float32)
    x = np.random.default_rng(1).standard_normal((5, 96), dtype=np.float32)
    model = lamina.trace(lambda x: ops.relu(x @ weights), lamina.spec(("batch", 96), "f32", name="x"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        executable = lamina.compile(model, threads=2)
    (y,) = executable(x)
    expected = np.maximum(x.astype(np.float64) @ weights, 0)
    assert np.abs(y - expected).max() < 1e-4, np.abs(y - expected).max()
    print(executable.compile_count, len([one for one in caught if "cannot be written" in str(one.message)]))
"""


def start(code, environment, before=None):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(TEST_FOLDER), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def finish(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output.strip()


def memory_bytes():
    """Memory of this process that belongs to no file: what a leak makes grow."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return 1024 * int(fields["RssAnon"].split()[0])


def open_files():
    return len(os.listdir("/proc/self/fd"))


def mappings():
    return Path("/proc/self/maps").read_text().count("\n")


@LINUX_ONLY
def test_a_hundred_thousand_calls_leak_nothing():
    executable = Executable(abi_models.scale_add(), threads=2)
    x = np.ones((3, 5), np.float32)

    def call(times):
        for _ in range(times):
            executable(x, x)
        gc.collect()

    call(5_000)
    memory, files, threads = memory_bytes(), open_files(), len(os.listdir("/proc/self/task"))
    call(100_000)
    # A leak of one array object a call would be 10 MB.
    assert memory_bytes() - memory < 2e6
    assert (open_files(), len(os.listdir("/proc/self/task"))) == (files, threads)


@LINUX_ONLY
def test_calls_with_changing_shapes_and_errors_leak_nothing():
    executable = Executable(abi_models.scale_add(), threads=2)

    def call(times):
        for index in range(times):
            x = np.ones((index % 50, index % 13), np.float32)
            executable(x, x)
            with pytest.raises(Exception, match="thirteen"):
                executable(np.ones((2, 13), np.float32), np.ones((2, 13), np.float32))
        gc.collect()

    call(1_000)
    memory = memory_bytes()
    call(10_000)
    assert memory_bytes() - memory < 2e6


@LINUX_ONLY
def test_ten_thousand_pools():
    """Workers are started and stopped ten thousand times; nothing is left of them."""
    pool = thread_pool()
    executable = Executable(abi_models.scale_add(), threads=2)
    x = np.ones((64, 8), np.float32)

    def cycle(times):
        for _ in range(times):
            assert (executable(x, x)[0] == 3).all()
            assert pool.stop()

    cycle(200)
    threads = len(os.listdir("/proc/self/task"))
    memory, maps = memory_bytes(), mappings()
    cycle(10_000)
    assert len(os.listdir("/proc/self/task")) == threads
    assert memory_bytes() - memory < 4e6
    assert mappings() - maps < 20


def test_processes_compile_one_model_at_once(tmp_path):
    environment = {"LAMINA_CACHE_DIR": str(tmp_path / "cache")}
    found = [finish(process) for process in [start(COMPILE, environment) for _ in range(4)]]
    assert all(line.endswith(" 0") for line in found)
    assert finish(start(COMPILE, environment)) == "0 0"
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]


def test_a_home_that_cannot_be_written():
    """/proc takes no folders, from root either: one warning, right numbers."""
    assert finish(start(COMPILE, {"HOME": "/proc", "XDG_CACHE_HOME": "", "LAMINA_CACHE_DIR": ""})) == "1 1"


@LINUX_ONLY
def test_a_disk_without_room_for_an_entry(tmp_path):
    """No file may grow beyond a kilobyte: nothing half-written stays, and the numbers are right."""

    def limit():
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    environment = {"LAMINA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    assert finish(start(COMPILE, environment, limit)) == "1 1"
    assert not [path for path in (tmp_path / "cache").iterdir() if path.stat().st_size]


def test_entries_damaged_while_processes_use_them(tmp_path):
    """One process overwrites entries with noise while others load them: they compile again, and are right."""
    folder = tmp_path / "cache"
    environment = {"LAMINA_CACHE_DIR": str(folder)}
    finish(start(COMPILE, environment))
    generator = np.random.default_rng(0)
    processes = [start(COMPILE, environment) for _ in range(3)]
    while any(process.poll() is None for process in processes):
        for path in folder.glob("*.lamina"):
            with contextlib.suppress(FileNotFoundError):  # who found it damaged has removed it
                data = bytearray(path.read_bytes())
                if data:
                    data[int(generator.integers(len(data)))] ^= 0x55
                    noise = tmp_path / "noise"
                    noise.write_bytes(data)
                    os.replace(noise, path)
    for process in processes:
        finish(process)
