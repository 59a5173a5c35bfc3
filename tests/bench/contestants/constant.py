"""What the HTTP stack alone costs: the body is taken, and an answer of the usual size comes; `uvicorn constant:app`."""

from __future__ import annotations

from typing import Any

ANSWER = b'{"predictions":[{"prediction":true,"probability":0.7310585786300049}]}'
HEAD = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer always the same, whatever the path."""
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": ANSWER})
