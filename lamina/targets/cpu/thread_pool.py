"""The process's thread pool: its native code is compiled (or taken from the cache) when it is first needed."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading

from lamina import knobs
from lamina.targets.cpu import direct_call, host, llvm, narrow_floats, runtime_ir
from lamina.targets.cpu.cache import cache_key, disk_cache


class ThreadPool:
    """Worker threads for parallel loops, shared by all executables of the process.

    `parallel_for`, `allocate`, `release` and `state` are the addresses that a call context holds (docs/architecture.md,
    ABI), `conversions` those of the functions that generated code may call by name, `call_arrays` the short way into
    compiled code (`direct_call`). Loops are safe from several threads
    at once, nested, and in the child of a fork, where workers are started anew when they are next needed. Where the
    platform has no pool, loops run serially.
    """

    def __init__(self) -> None:
        exports = (*runtime_ir.EXPORTS, *narrow_floats.EXPORTS, *direct_call.EXPORTS)
        self._library = llvm.Library([_runtime_object()], exports)
        self.conversions = {name: self._library.address(name) for name in narrow_floats.EXPORTS}
        self.parallel_for = self._library.address("lamina.parallel_for")
        self.allocate = self._library.address("lamina.allocate")
        self.release = self._library.address("lamina.release")
        self.state = self._library.address("lamina.pool.state")
        self.call_arrays = direct_call.CALL_TYPE(self._library.address("lamina.call_arrays"))
        self.workers = 0
        self._asked = 0
        self._lock = threading.Lock()
        self._closed = False
        self._start = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(self._library.address("lamina.pool.start"))
        self._stop = ctypes.CFUNCTYPE(ctypes.c_int32)(self._library.address("lamina.pool.stop"))
        self._reset = ctypes.CFUNCTYPE(None)(self._library.address("lamina.pool.reset"))
        self._set_spin = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self._library.address("lamina.pool.set_spin"))
        self.set_spin(knobs.SPIN_MICROSECONDS.value())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget_workers)
        atexit.register(self._close)

    def ensure(self, threads: int) -> None:
        """Have workers for loops of `threads` threads, the caller included; fewer where the system refuses more."""
        if threads <= self._asked:
            return
        with self._lock:
            if not self._closed:
                self.workers = self._start(threads - 1)
                self._asked = max(self._asked, threads)

    def stop(self) -> bool:
        """End the workers; False when a loop runs on them. They come back when they are next needed."""
        with self._lock:
            self.workers = self._stop()
            if self.workers == 0:
                self._asked = 0
            return self.workers == 0

    def set_spin(self, microseconds: int) -> None:
        """How long an idle worker spins before it sleeps."""
        self._set_spin(1000 * microseconds)

    def _forget_workers(self) -> None:
        # Threads do not survive a fork, and the lock may have been held by one of them.
        self._lock = threading.Lock()
        self.workers = self._asked = 0
        self._reset()

    def _close(self) -> None:
        # A loop that a daemon thread still runs goes on; its code stays mapped until the process is gone.
        self._closed = True
        self.stop()


def _runtime_object() -> bytes:
    description = host.host_description()
    text = runtime_ir.runtime_text(description.triple) + narrow_floats.TEXT + direct_call.direct_call_text()
    options = description.llvm_options()
    name = f"{cache_key(text, str(options))}.o"
    store = disk_cache()
    found = store.load_bytes(name) if store else None
    if found is not None:
        return found
    image = llvm.TargetMachine(options).compile(text, optimize=True)
    if store:
        store.store_bytes(name, image)
    return image


_pool: ThreadPool | None = None
_pool_lock = threading.Lock()


def thread_pool() -> ThreadPool:
    """The pool of this process."""
    global _pool
    if _pool is not None:
        return _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPool()
        return _pool


def _renew_lock() -> None:
    global _pool_lock
    _pool_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
