"""What a service tells to a GET: of its models, its API, its counters, its health."""

from __future__ import annotations

import os

import msgspec

from mlops_tui import counters
from mlops_tui.service.answer import Reply
from mlops_tui.service.roles import Roles

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{model}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}</style>
<h1>{model}</h1><p>{approved}. POST rows as JSON to <code>/predict</code> or <code>/explain</code>,
and to <code>/labels</code> what came true.</p>
<ul><li><a href="openapi.json">openapi.json</a>: what to send and what comes back<li><a href="metadata">metadata</a>:
where this model comes from<li><a href="metrics">metrics</a><li><a href="readyz">readyz</a></ul></html>"""
SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


def page(roles: Roles, path: str, in_flight: int) -> Reply:
    """Answer a GET of a known path; `in_flight` are the requests that are being answered beside it."""
    served = roles.live
    match path:
        case "/metadata":
            return Reply(200, msgspec.json.encode(_about(roles)))
        case "/openapi.json":
            return Reply(200, served.openapi)
        case "/metrics":
            counters.held.in_flight = in_flight
            kind, text = counters.exposition()
            return Reply(200, text, kind=kind)
        case "/":
            told = PAGE.format(model=served.model, approved="Approved" if served.approved else "Not approved")
            return Reply(200, told.encode(), kind="text/html; charset=utf-8", headers=SAFE)
        case _:  # the port opens only once the model is loaded and proven: who answers is healthy
            return Reply(200, b"\n", kind="text/plain; charset=utf-8")


def _about(roles: Roles) -> dict[str, object]:
    beside = None
    if roles.challenger is not None and roles.rival is not None:
        beside = {"model": roles.rival.model, "mode": roles.challenger.mode, "share": roles.challenger.share}
    return roles.live.about | {"pid": os.getpid(), "challenger": beside}
