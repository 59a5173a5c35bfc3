"""A server on loopback whose every answer is written down beforehand, bytes, pauses, resets and all."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Answering = Callable[[int, bytes], "bytes | list[bytes] | None"]


def answer(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    """Return the bytes of an HTTP answer."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


class Server:
    """Gives to each request what `answering` says for its number and bytes: pieces to send; b"" closes, None resets.

    What carries `Connection: close` is closed after it. `requests` has what came, `connections` how many there were.
    """

    def __init__(self, answering: Answering, context: ssl.SSLContext | None = None) -> None:
        self.answering, self.context, self.connections = answering, context, 0
        self.requests: list[bytes] = []
        self.lock, self.sockets = threading.Lock(), set[socket.socket]()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        try:
            with self.context.wrap_socket(client, server_side=True) if self.context else client as stream:
                self.sockets.add(stream)
                held = b""
                while (found := _request(stream, held)) is not None:
                    request, held = found
                    with self.lock:
                        number = len(self.requests)
                        self.requests.append(request)
                        said = self.answering(number, request)
                    if said is None:  # a reset: what is left unsaid is thrown away
                        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    for piece in [said] if isinstance(said, bytes) else said:
                        stream.sendall(piece)
                    if not said or b"Connection: close" in (said if isinstance(said, bytes) else b"".join(said)):
                        return
        except OSError:
            return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        for one in self.sockets:
            one.close()


def _request(stream: socket.socket, held: bytes) -> tuple[bytes, bytes] | None:
    """Return the next request and what came after it, or None at the end."""
    while b"\r\n\r\n" not in held:
        piece = stream.recv(65536)
        if not piece:
            return None
        held += piece
    head, _, body = held.partition(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    size = lengths[0] if lengths else 0
    while len(body) < size:
        piece = stream.recv(65536)
        if not piece:
            return None
        body += piece
    return head + b"\r\n\r\n" + body[:size], body[size:]


@contextmanager
def serving(answering: Answering, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a scripted server on a free port."""
    server = Server(answering, context)
    try:
        yield server
    finally:
        server.close()


def certificate(folder: Path) -> Path:
    """Make a key and the certificate for 127.0.0.1 that it signs itself; returns the file that has both."""
    file = folder / "self.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    made = [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.crt"]
    subprocess.run(made, check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


def tls(folder: Path) -> ssl.SSLContext:
    """Return a server's TLS with a certificate of its own making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder))
    return context
