"""Writing files so that no reader, and no second writer, ever sees a part of one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from typing import BinaryIO

TEMPORARY_PREFIX = ".lamina-"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[BinaryIO]:
    """A file beside `path` to write; renamed to `path` when the block ends, removed when it raises."""
    path = os.fspath(path)
    temporary = os.path.join(os.path.dirname(path), f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    file = open(temporary, "xb")  # noqa: SIM115
    try:
        with file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Generator[BinaryIO]:
    """A file to write for `path`: a regular file is replaced as `replacing` does, through symbolic links; a device or a
    pipe is written to directly."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
        return
    with replacing(path) as file:
        yield file
