"""How answers of deployments, and what was measured of them, read on a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlops_tui.cli.output import facts, table

if TYPE_CHECKING:
    from mlops_tui.flows.release.bench import Benched
    from mlops_tui.flows.release.clients import Called, Snippets

SCREENFUL = 50  # answers on a terminal
LARGEST = 6  # contributions of a row


def answers_text(found: Called, terminal: bool) -> str:
    """Answers as a table, all of them unless they go to a terminal."""
    shown = found.items[:SCREENFUL] if terminal else found.items
    flat = [_flat(item) for item in shown]
    names = list(dict.fromkeys(name for item in flat for name in item))
    rows = [(number, *(item.get(name) for name in names)) for number, item in enumerate(flat)]
    text = table(("row", *names), rows, "no rows")
    left = len(found.items) - len(shown)
    return text + (f"\n… and {left:,} more; all of them: mlops deployments call … | cat, or --json" if left else "")


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    """One answer as cells: probabilities a column each; of an explanation the largest contributions as a text."""
    contributions = item.get("contributions")
    if isinstance(contributions, dict):
        numbers = {name: value for name, value in contributions.items() if isinstance(value, int | float)}
        largest = sorted(numbers.items(), key=lambda pair: -abs(pair[1]))[:LARGEST]
        rest = {name: value for name, value in item.items() if name != "contributions"}
        told = {name: value for name, value in rest.items() if not isinstance(value, dict)}
        return told | {"adds most": ", ".join(f"{name} {value:+.3g}" for name, value in largest)}
    each = item.get("probabilities")
    return item if not isinstance(each, dict) else {"prediction": item["prediction"], **each}


def warnings(found: Sequence[dict[str, Any]], most: int) -> Iterator[str]:
    """Yield what a service warned of, a line each, the first ones only."""
    for one in found[:most]:
        yield f"row {one['row']}, column '{one['column']}': expected {one['expected']}, found {one['found']}"
    if len(found) > most:
        yield f"… and {len(found) - most:,} more warnings"


def bench_text(found: Benched) -> str:
    """What a load found: how much was answered, how fast, and what was not."""
    wanted = found.wanted
    each = f"{wanted.rows:,} row{'' if wanted.rows == 1 else 's'} each"
    at_once = f"{wanted.connections} connection{'' if wanted.connections == 1 else 's'}"
    stopped = ", interrupted" if found.interrupted else ""
    pairs: list[tuple[str, object]] = [
        ("deployment", f"{found.name} ({found.model}) at {found.url}"),
        ("load", f"{at_once}, {each}, {found.seconds:.1f} s{stopped}"),
        ("answered", f"{found.answered:,} of {found.requests:,} requests"),
        ("requests a second", f"{found.requests_per_second:,.1f}"),
        ("rows a second", f"{found.rows_per_second:,.1f}"),
    ]
    if found.errors:
        pairs.append(("errors", ", ".join(f"{count:,} × {kind}" for kind, count in found.errors.items())))
    if found.latency_ms:
        named = {"p999": "p99.9"}
        told = ", ".join(f"{named.get(name, name)} {value:.3g}" for name, value in found.latency_ms.items())
        pairs.append(("latency in ms", told))
    return facts(pairs)


def snippets_text(found: Snippets) -> str:
    """How to ask a deployment, to be copied: without an indent, which Python would not take."""
    heads = ("# from a shell", "# from Python", "# what to send, what comes back")
    parts = (found.curl, found.python, found.openapi)
    return "\n\n".join(f"{head}\n{part}" for head, part in zip(heads, parts, strict=True))
