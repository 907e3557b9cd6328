"""`lamina` and `lamina-opt` without half a second of imports at each start: a server that has them forks for each call.

`warm_commands(folder)` fills a folder with executables of the two names for as long as it is open. Each passes its
arguments, folder, environment, memory limit and standard streams on, and ends with the exit code of the fork.

What a fork cannot show: a missing import (it has what `PRELOADED` names, test_completeness.py imports modules alone), and
text that depends on the order of a set (all forks share the server's hash seed). The installed commands themselves are
started by test_docs.py, test_plugins.py, test_portability.py, and lit when it is called by hand.
"""

from __future__ import annotations

import ast
import atexit
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

MODULES = {"lamina": "lamina.tools.lamina_main", "lamina-opt": "lamina.tools.lamina_opt"}
PRELOADED = ("numpy", "lamina", "lamina.dialects.graph", *MODULES.values())
LENGTH_BYTES = 8

CLIENT = """#!{python} -IS
import array, os, resource, sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket

server = socket(AF_UNIX, SOCK_STREAM)
try:
    server.connect({address!r})
except OSError as error:
    sys.stderr.write(f"{name}: no server: {{error}}\\n")
    sys.exit(125)
limit = resource.getrlimit(resource.RLIMIT_AS)
request = ascii(({name!r}, sys.argv[1:], os.getcwd(), dict(os.environ), limit)).encode()
streams = array.array("i", [0, 1, 2])
server.sendmsg([len(request).to_bytes({length}, "little")], [(SOL_SOCKET, SCM_RIGHTS, streams)])
server.sendall(request)
code = server.recv(1)
if not code:
    sys.stderr.write("{name}: crashed\\n")
sys.exit(code[0] if code else 139)
"""


@contextmanager
def warm_commands(folder: Path) -> Iterator[Path]:
    """The folder of the executables; the server ends when its standard input does."""
    address = str(folder / "server")
    for name in MODULES:
        client = folder / name
        client.write_text(CLIENT.format(python=sys.executable, address=address, name=name, length=LENGTH_BYTES))
        client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n", "the server did not start"
        yield folder
    finally:
        server.stdin.close()
        server.stdout.close()
        server.wait(timeout=30)


@cache
def shared_commands() -> Path:
    """The folder of executables that this process's tests share; the server ends with the process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(warm_commands(Path(stack.enter_context(TemporaryDirectory()))))


def serve(address: str) -> None:
    """Fork for each request until standard input ends."""
    for name in PRELOADED:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            answer(connection)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Become the command that is asked for; does not return."""
    head, streams, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 3)
    request = b""
    while len(request) < int.from_bytes(head, "little"):
        request += connection.recv(1 << 16)
    name, arguments, folder, environment, limit = ast.literal_eval(request.decode())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    resource.setrlimit(resource.RLIMIT_AS, limit)
    sys.argv = [name, *arguments]
    Thread(target=_end_with, args=(connection,), daemon=True).start()
    code = 1
    try:
        import_module(MODULES[name]).main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 120  # as Python itself
    connection.send(bytes([code & 255]))
    os._exit(0)


def _end_with(connection: socket.socket) -> None:
    """End the fork when its client does, as one that took too long."""
    if not connection.recv(1):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1])
