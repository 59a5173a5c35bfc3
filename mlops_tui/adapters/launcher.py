"""The first process of a container: it listens, and answers for the Bento in its folder. Copied there, not imported.

The worker runs in this very process, so that the container ends when it does, with its exit code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import signal
import socket
import struct
import sys
from pathlib import Path

DRAIN_SECONDS = 10
WORKER = "_bentoml_impl.worker.service"


def main() -> None:
    """Serve the Bento beside this file, or that of MLOPS_BENTO, at MLOPS_HOST and MLOPS_PORT."""
    # The kernel ignores for a first process what it does not handle: a stop during the start would wait for the kill.
    signal.signal(signal.SIGTERM, _leave)
    host, port = os.environ.get("MLOPS_HOST", "0.0.0.0"), int(os.environ.get("MLOPS_PORT", "3000"))
    bento = os.environ.get("MLOPS_BENTO", str(Path(__file__).parent))
    file = bound(host, port).detach()
    sys.argv = [WORKER, bento, "--worker-id", "1", "--timeout-graceful-shutdown", str(DRAIN_SECONDS), "--fd", str(file)]
    runpy.run_module(WORKER, run_name="__main__", alter_sys=True)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to the port; it listens only once the worker does, with the model loaded.

    In the host's network, one that comes beside another of ours takes over from it, as adapters/ports.py tells: the
    program that says so is the first one's, and who joins with one of his own is not let in.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    if not _listened(port):
        instruction = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 1), 8)
        program = struct.pack("@HP", 1, ctypes.addressof(instruction))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, 51, program)  # SO_ATTACH_REUSEPORT_CBPF: to the newest
    return listener


def _listened(port: int) -> bool:
    """Return whether somebody listens on the port already, in the network that we see (proc(5), /proc/net/tcp)."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            if any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows):
                return True
    return False


def _leave(*_: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
