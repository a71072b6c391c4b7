"""Servers on loopback that don't do what one waits for."""

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def mute_server() -> Iterator[int]:
    """Take connections and say nothing; gives the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def full_server() -> Iterator[int]:
    """Take no connection any more, and refuse none: the queue of those who wait is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@contextlib.contextmanager
def stuck_api(said: bytes) -> Iterator[int]:
    """Answer every call with the head and a part of the body, and leave it at that."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    held: list[socket.socket] = []

    def answer(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                held.append(connection)
                connection.recv(65_536)
                connection.sendall(head + said)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in held:
        connection.close()
