"""The call context and the entry points as ctypes sees them (docs/architecture.md, ABI)."""

from __future__ import annotations

import ctypes

from lamina.artefact import ABI_VERSION


class Context(ctypes.Structure):
    """`%lamina.context`: what every compiled function gets as its first argument. 72 bytes on 64-bit machines."""

    _fields_ = [
        ("abi_version", ctypes.c_int32),
        ("thread_count", ctypes.c_int32),
        ("constants", ctypes.c_void_p),
        ("pool", ctypes.c_void_p),
        ("parallel_for", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("error_code", ctypes.c_int32),
        ("padding", ctypes.c_int32),
        ("error_message", ctypes.c_void_p),
        ("user_data", ctypes.c_void_p),
    ]

    error_code: int
    error_message: int | None
    thread_count: int


ENTRY_TYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
"""`i32 @lamina.NAME(ptr context, ptr arguments, ptr sizes, ptr results)`; calls release the GIL."""

MAIN = "lamina.main"
PLAN = "lamina.main.plan"


def new_context(*, constants: int, pool: int, parallel_for: int, allocate: int, release: int) -> Context:
    """A context with the addresses that do not change from call to call."""
    return Context(
        abi_version=ABI_VERSION,
        thread_count=1,
        constants=constants,
        pool=pool,
        parallel_for=parallel_for,
        allocate=allocate,
        release=release,
    )


def error_text(context: Context) -> str:
    """The message that a compiled function left in the context."""
    address = context.error_message
    return ctypes.string_at(address).decode(errors="replace") if address else f"error code {context.error_code}"
