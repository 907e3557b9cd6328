"""The native runtime: thread pool (callers, fork, sleep, exit, signals), code generation in processes, the host."""

import ctypes
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lamina import knobs
from lamina.diagnostics import LaminaError
from lamina.targets.cpu import abi, host, jit, llvm, runtime_ir
from lamina.targets.cpu.executable import Executable
from lamina.targets.cpu.thread_pool import thread_pool
from support import abi_models

TEST_FOLDER = Path(__file__).parent.parent
BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
PARALLEL_FOR = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)
LINUX_ONLY = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the pool is Linux's")


def run_python(code, *, timeout=60, environment=None, send=None):
    """Run a Python program; give its exit code and output. `send`: a signal for it once it has printed `ready`."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(TEST_FOLDER), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        if send is not None:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.1)
            process.send_signal(send)
        output, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, output


def parallel_for(body, begin, end, grain, threads):
    """`parallel_for` with a Python function as the body."""
    pool = thread_pool()
    pool.ensure(threads)
    context = abi.new_context(
        constants=0, pool=pool.state, parallel_for=pool.parallel_for, allocate=pool.allocate, release=pool.release
    )
    context.thread_count = threads
    native = BODY(lambda context, closure, first, last: body(first, last))
    PARALLEL_FOR(pool.parallel_for)(
        ctypes.addressof(context), ctypes.cast(native, ctypes.c_void_p), None, begin, end, grain
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("begin", "end", "grain"),
    [(0, 10, 3), (-5, 5, 1), (3, 4, 100), (0, 0, 1), (5, 3, 1), (0, 7, 0), (0, 6, -4), (0, 100, 2**62)],
)
def test_every_chunk_once_whatever_the_thread_count(begin, end, grain, threads):
    found = []
    parallel_for(lambda first, last: found.append((first, last)), begin, end, grain, threads)
    step = max(1, min(grain, end - begin))
    assert sorted(found) == [(first, min(first + step, end)) for first in range(begin, end, step)]


@LINUX_ONLY
def test_no_more_threads_than_asked_for():
    thread_pool().ensure(6)
    for threads in (1, 2, 3):
        at_work = set()

        def body(first, last, at_work=at_work):
            at_work.add(threading.get_native_id())
            time.sleep(0.002)

        parallel_for(body, 0, 24, 1, threads)
        assert len(at_work) <= threads
        assert threads == 1 or len(at_work) > 1
        assert threading.get_native_id() in at_work


def test_nested_loops_and_grains_against_numpy():
    executable = Executable(abi_models.chunks())
    for size in (1, 2, 17, 1000):
        for grain in (1, 4, 999, 2**60):
            for threads in (1, 2, 5):
                (found,) = executable.call([grain, np.zeros(size, np.int64)], threads=threads)
                np.testing.assert_array_equal(found, abi_models.expected_chunks(size, grain))


@LINUX_ONLY
@pytest.mark.parametrize("spin", [0, 300])
def test_many_callers_of_many_short_loops(spin):
    """Oversubscribed, with workers that sleep all the time or never: no lost chunk, no deadlock."""
    pool = thread_pool()
    pool.set_spin(spin)
    try:
        executable = Executable(abi_models.chunks())
        errors = []

        def work(seed):
            generator = np.random.default_rng(seed)
            try:
                for _ in range(400):
                    size, grain = (int(value) for value in generator.integers(1, 50, 2))
                    threads = int(generator.integers(1, 6))
                    (found,) = executable.call([grain, np.zeros(size, np.int64)], threads=threads)
                    np.testing.assert_array_equal(found, abi_models.expected_chunks(size, grain))
            except BaseException as error:
                errors.append(error)

        callers = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
        assert not errors
        assert not any(caller.is_alive() for caller in callers)
    finally:
        pool.set_spin(knobs.SPIN_MICROSECONDS.value())


@LINUX_ONLY
@pytest.mark.parametrize("spin", [0, 300])
def test_the_caller_sleeps_until_the_last_worker_is_done(spin):
    """A caller that is done first waits without burning a core, and is woken."""
    pool = thread_pool()
    pool.set_spin(spin)
    burnt = []

    def call():
        caller = threading.get_native_id()

        def body(first, last):
            time.sleep(0.001 if threading.get_native_id() == caller else 0.15)

        before = time.thread_time()
        for _ in range(3):
            parallel_for(body, 0, 2, 1, 2)
        burnt.append(time.thread_time() - before)

    try:
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        assert burnt[0] < 0.1
    finally:
        pool.set_spin(knobs.SPIN_MICROSECONDS.value())


def cpu_seconds():
    return time.process_time()


@LINUX_ONLY
def test_idle_workers_sleep_and_wake_again():
    executable = Executable(abi_models.scale_add(), threads=4)
    x = np.ones((64, 8), np.float32)
    executable(x, x)
    time.sleep(0.05)
    before = cpu_seconds()
    time.sleep(0.3)
    assert cpu_seconds() - before < 0.1
    np.testing.assert_array_equal(executable(x, x)[0], 3)


@LINUX_ONLY
def test_stop_and_start_again():
    pool = thread_pool()
    executable = Executable(abi_models.scale_add(), threads=3)
    x = np.ones((64, 8), np.float32)
    for _ in range(20):
        np.testing.assert_array_equal(executable(x, x)[0], 3)
        assert pool.workers >= 2
        assert pool.stop()
        assert pool.workers == 0


@LINUX_ONLY
def test_stop_leaves_a_running_loop_alone():
    pool = thread_pool()
    stopped = []

    def body(first, last):
        if first == 0:
            stopped.append(pool.stop())

    parallel_for(body, 0, 8, 1, 2)
    assert stopped == [False]
    assert pool.stop()


@LINUX_ONLY
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_the_pool_runs():
    """The child of a fork in the middle of another thread's loop has a working pool of its own."""
    executable = Executable(abi_models.scale_add(), threads=2)
    x = np.ones((4000, 8), np.float32)
    done = threading.Event()

    def keep_running():
        while not done.is_set():
            executable(x, x)

    runner = threading.Thread(target=keep_running)
    runner.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                right = all((executable.call([x, x], threads=threads)[0] == 3).all() for threads in (1, 2, 3))
                os._exit(0 if right and len(os.listdir("/proc/self/task")) == 3 else 1)
            assert wait_for(child, 30) == 0
    finally:
        done.set()
        runner.join()
    np.testing.assert_array_equal(executable(x, x)[0], 3)


def wait_for(process, seconds):
    """The exit code of a child; None, and the child killed, when it takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


USE_POOL = """
    import sys, threading, time
    import numpy as np
    from support import abi_models
    from lamina.targets.cpu.executable import Executable
    from lamina.targets.cpu.thread_pool import thread_pool
    executable = Executable(abi_models.scale_add(), threads=4)
    x = np.ones((1000, 64), np.float32)
    executable(x, x)
"""


@pytest.mark.parametrize(
    ("then", "spin"),
    [
        ("", "0"),
        ("", "5000000"),
        ("time.sleep(0.05)", "300"),
        ("threading.Thread(target=lambda: [executable(x, x) for _ in range(10**9)], daemon=True).start()", "300"),
        ("threading.Thread(target=lambda: [executable(x, x) for _ in range(300)]).start()", "300"),
        ("del executable", "5000000"),
        ("import os; child = os.fork(); executable(x, x); assert not child or os.wait()[1] == 0", "300"),
    ],
    ids=["asleep", "spinning", "just-asleep", "daemon-thread-running", "thread-running", "executable-gone", "forked"],
)
def test_interpreter_exit(then, spin):
    code = textwrap.dedent(USE_POOL) + then
    assert run_python(code, environment={"LAMINA_SPIN_MICROSECONDS": spin}) == (0, "")


def test_interrupt_ends_a_program_in_a_parallel_loop():
    """Ctrl-C reaches Python's own thread (workers block signals), and the exit after it is orderly."""
    code = textwrap.dedent(USE_POOL) + textwrap.dedent("""
        x = np.ones((20000, 64), np.float32)
        try:
            print("ready", flush=True)
            while True:
                executable(x, x)
        except KeyboardInterrupt:
            assert (executable(x, x)[0] == 3).all()
            print("interrupted")
    """)
    assert run_python(code, send=signal.SIGINT) == (0, "interrupted\n")


def test_import_is_cheap():
    code = """
        import sys
        import lamina
        heavy = {"numpy", "xdsl", "llvmlite", "onnx", "ml_dtypes"} & {name.partition(".")[0] for name in sys.modules}
        assert not heavy, heavy
        assert set(lamina.__all__) <= set(dir(lamina))
        assert lamina.LaminaError.__name__ == "LaminaError" and lamina.__version__
        try:
            lamina.nothing
        except AttributeError:
            print("ok")
    """
    assert run_python(code) == (0, "ok\n")


# Code generation


def module(index, operations=400):
    lines = [f"  %v{step} = fadd float %v{step - 1}, {step % 7}.0" for step in range(1, operations)]
    body = "\n".join(lines)
    return jit.LlvmModule(
        f"module{index}", f"define float @f{index}(float %v0) {{\n{body}\n  ret float %v{operations - 1}\n}}", False
    )


MODULES = [module(index, 100 + 300 * index) for index in range(5)]


@pytest.fixture
def options():
    return host.host_description().llvm_options()


@pytest.fixture
def always_fork(monkeypatch):
    monkeypatch.setattr(jit, "WORTH_FORKING", 0)


def check_objects(objects):
    library = llvm.Library(objects, [f"f{index}" for index in range(len(objects))])
    for index, text in enumerate(MODULES):
        function = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_float)(library.address(f"f{index}"))
        steps = text.text.count("fadd") + 1
        assert function(1.0) == 1 + sum(step % 7 for step in range(1, steps))


def children():
    """The child processes, zombies included."""
    return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())


@pytest.fixture
def no_children_left():
    before = children()
    yield
    assert children() == before


def open_files():
    return len(os.listdir("/proc/self/fd"))


@LINUX_ONLY
@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_forked_code_generation_gives_the_same_objects(options, always_fork, no_children_left, workers):
    before, files = jit.counters.forked_modules, open_files()
    objects = jit.compile_modules(MODULES, options, workers=workers)
    check_objects(objects)
    assert objects == [llvm.TargetMachine(options).compile(one.text, optimize=False) for one in MODULES]
    forked = jit.counters.forked_modules - before
    assert forked == (0 if workers == 1 else len(MODULES) - len(jit.shares(MODULES, min(workers, 5))[0]))
    assert open_files() <= files + 1


def test_shares_are_even_and_complete():
    parts = jit.shares(MODULES, 2)
    assert sorted(parts[0] + parts[1]) == list(range(5))
    loads = [sum(len(MODULES[index].text) for index in part) for part in parts]
    assert max(loads) < 1.2 * min(loads)


@LINUX_ONLY
@pytest.mark.parametrize("misfortune", ["hang", "exit", "kill", "exception"])
def test_a_lost_worker_costs_only_time(options, always_fork, no_children_left, monkeypatch, misfortune):
    parent = os.getpid()
    compile_here = jit._compile

    def compile_there(machine, one):
        if os.getpid() == parent:
            return compile_here(machine, one)
        if misfortune == "hang":
            time.sleep(600)
        if misfortune == "exit":
            os._exit(0)
        if misfortune == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("no")

    monkeypatch.setattr(jit, "_compile", compile_there)
    monkeypatch.setattr(jit, "MINIMUM_PATIENCE", 0.3)
    monkeypatch.setattr(jit, "PATIENCE", 1.0)
    check_objects(jit.compile_modules(MODULES, options, workers=3))


@LINUX_ONLY
def test_a_crash_of_llvm_in_a_worker_names_the_module(options, always_fork, no_children_left, monkeypatch, tmp_path):
    parent = os.getpid()
    compile_here = jit._compile

    def compile_there(machine, one):
        if os.getpid() != parent and one.name == "module0":
            faulthandler.disable()
            os.abort()
        return compile_here(machine, one)

    monkeypatch.setattr(jit, "_compile", compile_there)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert 0 in jit.shares(MODULES, 2)[1]
    with pytest.raises(llvm.InternalCompilerError, match=r"LLVM crashed \(SIGABRT\) on 'module0'"):
        jit.compile_modules(MODULES, options, workers=2)


@LINUX_ONLY
def test_forked_code_generation_beside_busy_threads(options, always_fork):
    """Threads that are inside LLVM or the pool when the fork happens do not stop the child."""
    done = threading.Event()
    machine = llvm.TargetMachine(options)
    executable = Executable(abi_models.scale_add(), threads=2)
    x = np.ones((500, 8), np.float32)

    def compiling():
        while not done.is_set():
            machine.compile(MODULES[1].text, optimize=False)

    def running():
        while not done.is_set():
            executable(x, x)

    threads = [threading.Thread(target=work) for work in (compiling, running)]
    for thread in threads:
        thread.start()
    try:
        start = time.monotonic()
        for _ in range(5):
            before = jit.counters.forked_modules
            check_objects(jit.compile_modules(MODULES, options, workers=2))
            assert jit.counters.forked_modules > before
        assert time.monotonic() - start < jit.MINIMUM_PATIENCE
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_refused_text_is_kept_in_a_file(options, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = "define i32 @f() { ret i64 0 }"
    with pytest.raises(llvm.InternalCompilerError, match="result type 'i32'") as caught:
        jit.compile_modules([jit.LlvmModule("wrong", text, False)], options)
    path = Path(caught.value.hints[0].rpartition(" ")[2])
    assert path.read_text() == text
    assert path.parent == tmp_path


def test_missing_symbols_are_an_internal_error(options, capfd):
    text = "declare i32 @nowhere_to_be_found()\ndefine i32 @f() {\n %x = call i32 @nowhere_to_be_found()\n ret i32 %x }"
    (image,) = jit.compile_modules([jit.LlvmModule("unresolved", text, False)], options)
    with pytest.raises(llvm.InternalCompilerError, match="does not link"):
        llvm.Library([image], ["f"])
    assert "nowhere_to_be_found" in capfd.readouterr().err


# The host


def test_description_round_trips_through_the_attribute():
    description = host.host_description()
    assert host.CpuDescription.from_attribute(description.attribute()) == description
    assert description.vector_bits in (128, 256, 512)
    assert 1024 <= description.l1 <= description.l2 <= description.l3 * 64
    assert 1 <= description.threads <= os.cpu_count()


def test_fields_of_the_target():
    description = host.host_description()
    narrow = description.with_fields({"vector_bits": 256})
    assert narrow.features == description.features
    other = description.with_fields({"cpu": "x86-64-v3"})
    assert other.features == "" or description.cpu == "x86-64-v3"
    for fields, message in (
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"l1": "big"}, "expected 'l1' to be an integer"),
    ):
        with pytest.raises(LaminaError, match=message):
            description.with_fields(fields)


X86 = host.CpuDescription("x86_64-unknown-linux-gnu", "x86-64-v4", "", 512, 32768, 1 << 20, 1 << 23, 2)
ADD = """define void @add(ptr noalias %a, ptr noalias %b) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %p = getelementptr float, ptr %a, i64 %i
  %q = getelementptr float, ptr %b, i64 %i
  %x = load float, ptr %p
  %y = fadd float %x, 1.0
  store float %y, ptr %q
  %n = add i64 %i, 1
  %c = icmp ult i64 %n, 4096
  br i1 %c, label %loop, label %done
done:
  ret void
}"""


@pytest.mark.parametrize(("bits", "register"), [(512, "zmm"), (256, "ymm")])
def test_full_vector_width_is_used_where_the_target_says_so(bits, register):
    options = X86.with_fields({"vector_bits": bits, "features": "+avx512f"}).llvm_options()
    text = llvm.TargetMachine(options).assembly(ADD, optimize=True)
    assert f"vaddps\t%{register}" in text or f", %{register}" in text
    assert ("zmm" in text) == (register == "zmm")


def test_unknown_triple():
    with pytest.raises(LaminaError, match="nonsense"):
        llvm.TargetMachine(llvm.TargetOptions("nonsense-unknown-none", "", ""))


@pytest.mark.parametrize(
    "triple",
    ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "arm64-apple-darwin", "x86_64-pc-windows-msvc"],
)
def test_the_runtime_compiles_for_every_platform(triple):
    text = runtime_ir.runtime_text(triple)
    image = llvm.TargetMachine(llvm.TargetOptions(triple, "", "")).compile(text, optimize=True)
    for name in runtime_ir.EXPORTS:
        assert name.encode() in image
    assert (b"pthread_create" in image) == ("linux" in triple)


def test_the_serial_runtime_runs_here():
    """Where there is no pool, the same interface runs loops in the calling thread."""
    triple = host.host_description().triple
    text = runtime_ir.runtime_text(triple.replace("linux", "none").replace("darwin", "none"))
    image = llvm.TargetMachine(host.host_description().llvm_options()).compile(text, optimize=True)
    library = llvm.Library([image], runtime_ir.EXPORTS)
    found = []
    body = BODY(lambda context, closure, first, last: found.append((first, last)))
    for begin, end in ((0, 7), (0, 0)):
        PARALLEL_FOR(library.address("lamina.parallel_for"))(
            None, ctypes.cast(body, ctypes.c_void_p), None, begin, end, 3
        )
    assert found == [(0, 3), (3, 6), (6, 7)]


def test_allocator():
    pool = thread_pool()
    allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(pool.allocate)
    release = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(pool.release)
    for size in (0, 1, 1000, 1 << 20):
        for alignment in (8, 64, 4096):
            address = allocate(None, size, alignment)
            assert address
            assert address % alignment == 0
            ctypes.memset(address, 1, size)
            release(None, address)
    assert allocate(None, 1 << 62, 64) is None


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"a/cpu.max": "400000 100000", "a/b/cpu.max": "200000 100000", "other/cpu.max": "1 1"}, 2.0),
        ({"cpu/a/b/cpu.cfs_quota_us": "300000", "cpu/a/b/cpu.cfs_period_us": "100000"}, 3.0),
        ({"cpu/a/b/cpu.cfs_quota_us": "-1", "cpu/a/b/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_cgroup_quota(tmp_path, files, quota):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a/b\n")
    assert host.cgroup_cpu_quota(tmp_path, membership) == quota


@LINUX_ONLY
def test_threads_honour_affinity_and_the_environment():
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from lamina.targets.cpu import host
        print(host.available_cores(), host.default_threads())
    """
    assert run_python(code, environment={"LAMINA_THREADS": ""}) == (0, "1 1\n")
    assert run_python(code, environment={"LAMINA_THREADS": "3"}) == (0, "1 3\n")


@pytest.mark.parametrize(
    ("knob", "text", "value"),
    [
        (knobs.CACHE_SIZE, "512MiB", 512 << 20),
        (knobs.CACHE_SIZE, "3g", 3 << 30),
        (knobs.CACHE_SIZE, "0", 0),
        (knobs.CACHE_SIZE, "", 2 << 30),
        (knobs.THREADS, "", None),
        (knobs.THREADS, "4", 4),
        (knobs.COMPILE_WORKERS, " 3 ", 3),
    ],
)
def test_knobs(monkeypatch, knob, text, value):
    monkeypatch.setenv(knob.name, text)
    assert knob.value() == value


@pytest.mark.parametrize(
    ("knob", "text"),
    [(knobs.CACHE_SIZE, "much"), (knobs.CACHE_SIZE, "-1"), (knobs.THREADS, "0"), (knobs.SPIN_MICROSECONDS, "1.5")],
)
def test_malformed_knobs(monkeypatch, knob, text):
    monkeypatch.setenv(knob.name, text)
    with pytest.raises(LaminaError, match=f"{knob.name}: expected .* found '{text}'"):
        knob.value()


def test_knobs_help_lists_every_variable():
    for knob in knobs.KNOBS:
        assert f"{knob.name} " in knobs.knobs_help()
