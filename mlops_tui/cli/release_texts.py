"""How the records of the act release read on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_tui.cli.build_texts import details_text
from mlops_tui.cli.clients_texts import snippets_text
from mlops_tui.cli.output import facts, mark, table
from mlops_tui.core.compare import headline
from mlops_tui.texts.cells import bytes_text, cell
from mlops_tui.texts.contest import tested

if TYPE_CHECKING:
    from mlops_tui.adapters.images import Image
    from mlops_tui.flows.queries.shadows import Agreement
    from mlops_tui.flows.queries.traffic import Traffic
    from mlops_tui.flows.release.models import Difference, Explanation, Listed, Shown
    from mlops_tui.records import AliasChange, Bento, Deployment, GateReport, KeyFile


def models_text(found: Sequence[Listed]) -> str:
    """Model versions as a table."""
    columns = ("model", "version", "aliases", "state", "metric", "value", "data", "run", "made", "by")
    rows = []
    for item in found:
        one, metric = item.version, headline(item.version) or (None, None)
        data = f"{one.dataset}:{one.dataset_version}"
        rows.append((one.model, one.version, item.aliases, item.standing.state, *metric, data, one.run, one.created_at,
                     one.author))  # fmt: skip
    return table(columns, rows, "no model versions yet; next: mlops run PIPELINE")


def model_text(found: Shown) -> str:
    """A model version: what it is, its gates, what was said of it, where it was used."""
    version = found.version
    head = facts([
        ("model", version.ref), ("aliases", found.aliases or None),
        ("state", f"{found.standing.state}: {found.standing.sentence}"), ("task", version.task),
        ("dataset", f"{version.dataset}:{version.dataset_version}"), ("run", f"{version.run}, {found.run.reason}"),
        ("made", f"{cell(version.created_at)} by {version.author}"), ("content", version.subject()),
    ])  # fmt: skip
    said = "\n".join(
        f"{mark(word.verdict == 'approved')} {word.verdict} by {word.name}, {cell(word.created_at)}"
        + (f": {word.comment}" if word.comment else "")
        + ("" if word.subject == version.subject() else " (of content that has changed since)")
        for word in found.approvals
    )
    report = report_text(found.report) if found.report else "no gate report yet"
    return "\n\n".join(part for part in (head, details_text(found.details), report, said) if part)


def report_text(report: GateReport) -> str:
    """A gate report: every verdict with its reason."""
    versus = f" against the champion :{report.champion}" if report.champion else ""
    head = f"gates of {report.model}:{report.version}{versus}: {'passed' if report.passed else 'FAILED'}"
    if not report.results:
        return f"{head} (the pipeline has no gates)"
    return "\n".join([head, *(f"{mark(one.passed)} {one.gate}\n    {one.sentence}" for one in report.results)])


def model_difference_text(found: Difference) -> str:
    """Two model versions side by side."""
    columns = ("what differs", found.old, found.new)
    settings = table(columns, [(key, *row) for key, row in found.settings.items()], "the settings are the same")
    rows = [(key, *row, _delta(*row)) for key, row in found.metrics.items()]
    metrics = table(("test metric", found.old, found.new, "difference"), rows, "no metrics")
    gains = table(("share of gain", found.old, found.new), [(k, *row) for k, row in found.importance.items()], "")
    warning = (
        ""
        if found.same_test_rows
        else f"\n! {tested(False)}; on the same rows: mlops models curves {found.new} {found.old}"
    )
    return f"{settings}\n\n{metrics}{warning}\n\n{gains}"


def _delta(old: float | None, new: float | None) -> str | None:
    return None if old is None or new is None else f"{new - old:+.4f}"


def history_text(history: Sequence[AliasChange]) -> str:
    """How aliases moved, newest first."""
    rows = [(c.created_at, c.alias, f":{c.version}" if c.version else "taken away", c.user, c.reason) for c in history]
    return table(("at", "alias", "version", "by", "why"), rows, "no alias has been set yet")


def card_text(found: Shown) -> str:
    """A model card in Markdown (after Mitchell et al., Model Cards for Model Reporting, 2019)."""
    version, details = found.version, found.details
    settings = found.run.settings
    metrics = [
        f"| {m.name} | {m.value:.4f} | " + (f"{m.low:.4f} … {m.high:.4f} |" if m.low is not None else "– |")
        for m in details.metrics["test"]
    ]
    gates = (
        [f"- {'passed' if r.passed else 'FAILED'}: {r.sentence}" for r in found.report.results] if found.report else []
    )
    words = [f"- {w.verdict} by {w.name} on {cell(w.created_at)}: {w.comment}" for w in found.approvals]
    importance = [f"- {name}: {share:.1%}" for name, share in details.importance[:10]]
    return "\n".join([
        f"# {version.ref}", "",
        f"Predicts `{settings['target']['column']}` ({version.task}) by LightGBM; {found.standing.sentence}.", "",
        "## Data", "",
        f"{version.dataset}:{version.dataset_version} (`{version.dataset_hash[:12]}`): "
        + ", ".join(f"{count:,} {name} rows" for name, count in details.rows.items())
        + f"; split by {settings['split']['method']}.", "",
        "## Figures on the test rows", "", "| metric | value | 95 % interval |", "|---|---|---|", *metrics, "",
        "## What it looks at", "", *importance, "",
        "## Gates", "", *(gates or ["none"]), "",
        "## Approval", "", *(words or ["none"]), "",
        "## Limits", "",
        "Trained on the rows above and no others; judged on their newest or held-out part. A category that training",
        "did not see counts as missing. It says nothing about causes.", "",
        "## Where it comes from", "",
        f"Run `{version.run}` by {version.author}, {cell(version.created_at)}: {found.run.reason}. "
        f"Code `{version.code_hash[:12]}`, pipeline `{version.pipeline_hash[:12]}`, seed {found.run.seed}.",
    ])  # fmt: skip


def explanation_text(found: Explanation) -> str:
    """What a model looks at, and for rows, their largest contributions."""
    if not found.rows:
        return table(("feature", "share of gain"), [(n, f"{s:.1%}") for n, s in found.importance], "no features")
    lines = []
    for number, row in enumerate(found.rows):
        answer = ", ".join(f"{key} {cell(value)}" for key, value in row.items() if key not in ("base", "contributions"))
        lines.append(f"row {number}: {answer}")
        flat = {k: v for k, v in row["contributions"].items() if isinstance(v, int | float)}
        largest = sorted(flat.items(), key=lambda item: -abs(item[1]))[:6]
        lines += [f"    {value:+.4f}  {name}" for name, value in largest]
    return "\n".join(lines)


def bento_text(bento: Bento, built: bool) -> str:
    """A Bento and the proof that it answers as its model does."""
    parity = bento.parity
    return facts([
        ("bento", f"{bento.tag}{'' if built else ' (was there already)'}"), ("model", f"{bento.model}:{bento.version}"),
        ("approved", bento.approved), ("size", bytes_text(bento.size)),
        ("parity", f"{parity.rows} golden rows through HTTP, largest difference {parity.max_difference:g}"),
        ("ready after", f"{parity.ready_seconds:.1f} s"),
        ("latency", f"p50 {parity.latency_ms_p50:.1f} ms, p99 {parity.latency_ms_p99:.1f} ms, one row a request"),
    ])  # fmt: skip


def image_text(bento: Bento, image: Image) -> str:
    """An image, what is in it, and how it is run."""
    return facts([
        ("image", image.reference), ("id", image.id), ("size", bytes_text(image.size)), ("made by", image.engine),
        ("bento", bento.tag), ("model", f"{bento.model}:{bento.version}"), ("approved", bento.approved),
        ("next", f"mlops bentos export {bento.tag} . --as compose, or --as kubernetes"),
    ])  # fmt: skip


def bentos_text(found: Sequence[Bento]) -> str:
    """Bentos as a table."""
    columns = ("bento", "model", "approved", "size", "difference", "p50 ms", "p99 ms", "built", "by")
    rows = [
        (b.tag, f"{b.model}:{b.version}", b.approved, bytes_text(b.size), b.parity.max_difference,
         b.parity.latency_ms_p50, b.parity.latency_ms_p99, b.created_at, b.author)
        for b in found
    ]  # fmt: skip
    return table(columns, rows, "no Bentos yet; next: mlops bentos build MODEL")


def deployments_text(items: Sequence[dict[str, Any]]) -> str:
    """Deployments as a table."""
    told = [beside_text(item.get("challenger")) for item in items]
    more = ("beside",) if any(told) else ()
    columns = ("name", "state", "model", "url", "bento", "pid", "since", "by", *more)
    rows = [
        (
            i["name"],
            i["state"],
            f"{i['model']}:{i['version']}",
            i["url"],
            i["bento"],
            i["pid"],
            i["started_at"],
            i["user"],
            *([beside] if more else []),
        )
        for i, beside in zip(items, told, strict=True)
    ]
    return table(columns, rows, "no deployments yet; next: mlops deployments start MODEL")


def beside_text(challenger: dict[str, Any] | None) -> str:
    """What stands beside a deployment: "flight-delay:4, canary of 10 %", or nothing."""
    if challenger is None:
        return ""
    how = "shadow" if challenger["mode"] == "shadow" else f"canary of {100 * challenger['share']:.3g} %"
    return f"{challenger['model']}:{challenger['version']}, {how}"


def keys_text(name: str, known: KeyFile) -> str:
    """The API keys of a deployment, which are names and times, as a table."""
    if not known.required:
        return f"'{name}' needs no key; next: mlops deployments keys {name} --add NAME"
    rows = [(one.name, one.created_at) for one in known.keys]
    return table(("key", "made"), rows, f"no key opens '{name}'; next: mlops deployments keys {name} --add NAME")


def deployment_text(item: dict[str, Any], traffic: Traffic, history: Sequence[Deployment]) -> str:
    """A deployment, what it answers, what served under its name before, and a request that works."""
    empty = [name for name in ("reason", "container") if not item[name]]
    hidden = ("traffic", "history", "clients", "challenger", "mode", "share", "shadow", *empty)
    plain: list[tuple[str, object]] = [(key, value) for key, value in item.items() if key not in hidden]
    beside = beside_text(item["challenger"])
    head = facts([*plain, *([("beside", beside)] if beside else []), *_shadow_pairs(item), *_traffic_pairs(traffic)])
    rows = [(f"{d.model}:{d.version}", d.mode, d.started_at, d.stopped_at, d.user, d.reason) for d in history]
    columns = ("served before", "mode", "from", "to", "by", "why it ended or came")
    before = table(columns, rows, "nothing served under this name before")
    return f"{head}\n\n{before}\n\n{snippets_text(item['clients'])}"


def _shadow_pairs(item: dict[str, Any]) -> list[tuple[str, object]]:
    """How far what is in the shadow agrees with what serves."""
    found: Agreement | None = item["shadow"]
    if found is None:
        return []
    if not found.rows:
        return [("shadow", f"nothing gathered yet; next: mlops monitor run {item['name']}")]
    told = [f"{found.rows:,} rows scored by both"]
    told += [f"{found.same:.1%} the same class"] if found.same is not None else []
    told += [f"mean difference {found.difference:.3g}"] if found.difference is not None else []
    return [("shadow", ", ".join(told))]


def _traffic_pairs(traffic: Traffic) -> list[tuple[str, object]]:
    """What a server answered since it started, as facts."""
    total = traffic.total
    if total is None:
        return [("traffic", f"unknown: {traffic.remark}")]
    pace = f", {traffic.requests_per_second:.3g} a second" if traffic.requests_per_second is not None else ""
    answered = f"{total.requests:,} since the server started{pace}; {total.rows:,} rows predicted"
    pairs: list[tuple[str, object]] = [("requests", answered)]
    if traffic.latency_ms_p50 is not None and traffic.latency_ms_p99 is not None:
        pairs.append(("latency", f"p50 {traffic.latency_ms_p50:.3g} ms, p99 {traffic.latency_ms_p99:.3g} ms"))
    for name, counts in (("errors", total.errors), ("not spooled", total.dropped)):
        if counts:
            pairs.append((name, ", ".join(f"{count:,} {why}" for why, count in counts.items())))
    return pairs
