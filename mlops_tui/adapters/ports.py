"""Ports of this machine: whether one is free, who holds it, and how two servers share one while they change over."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
import sys

import psutil  # type: ignore[import-untyped]

from mlops_tui.errors import External, InvalidInput, MlopsError


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now."""
    with socket.socket(_family(host)) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def bound(host: str, port: int, beside: bool) -> socket.socket:
    """Return a socket bound to the port that listens only once a server does; raises External if it cannot be,
    InvalidInput for a host that is no name.
    """
    listener = socket.socket(_family(host))
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        if not beside:  # the first one's program stays with the port, as long as anyone listens on it
            _newest_first(listener)
    except (OSError, OverflowError, ValueError, TypeError) as error:
        listener.close()
        raise _port_error(host, port, error) from None
    return listener


def check(host: str, port: int) -> None:
    """Raise External if somebody listens on the port, even one of ours; InvalidInput for a host that is no name."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError, ValueError, TypeError) as error:
            raise _port_error(host, port, error) from None


def _newest_first(listener: socket.socket) -> None:
    """Let the kernel give new connections to the second listener of a port, the newer, as soon as there is one.

    Otherwise the old one is given some until it closes, and those that it has not accepted by then are lost. A
    program of one instruction says so (Linux: SO_ATTACH_REUSEPORT_CBPF, socket(7)): return 1, the index of the
    socket; where there is only one, an index past the end means the usual choice.
    """
    if not sys.platform.startswith("linux"):
        return
    instruction = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 1), 8)
    program = struct.pack("@HP", 1, ctypes.addressof(instruction))
    with contextlib.suppress(OSError):  # an old kernel: then a replacement may cost a request
        listener.setsockopt(socket.SOL_SOCKET, 51, program)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _port_error(host: str, port: int, error: Exception) -> MlopsError:
    if isinstance(error, ValueError | TypeError):  # a name that cannot be encoded is not even looked up
        return InvalidInput(f"{host!a} is no address to listen on", "an address of this machine, such as 127.0.0.1")
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        return External(f"port {port} of {host} is in use{holder}", "stop it, or serve on another port")
    return External(f"cannot listen on port {port} of {host}: {error}")


def _holder(port: int) -> str:
    """Who listens on a port, as far as the system tells us."""
    with contextlib.suppress(psutil.Error, OSError):
        for item in psutil.net_connections("tcp"):
            if item.status == psutil.CONN_LISTEN and item.laddr and item.laddr.port == port and item.pid:
                return f" by process {item.pid} ({psutil.Process(item.pid).name()})"
    return ""
