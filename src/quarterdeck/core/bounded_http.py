"""HTTP/1.1 with a limit for the part before the body, which the library keeps whole, however long it is."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES: Final = 64 * 1024


class BoundedHttp(HttpToolsProtocol):
    """Answers 400 and hangs up when the request line and the headers, trailers too, are over the limit."""

    _head_bytes = 0
    _unfinished_bytes = 0
    _is_in_head = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_in_head or self.transport.is_closing():
            return
        self._unfinished_bytes += len(data)  # also what the parser has and has not told of yet
        if self._unfinished_bytes > MOST_HEAD_BYTES:
            self.send_400_response("The request line and the headers are too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._unfinished_bytes = 0
        self._is_in_head = True

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > MOST_HEAD_BYTES:
            raise ValueError("the head is too long")  # the parser's caller answers 400 to whatever is raised
