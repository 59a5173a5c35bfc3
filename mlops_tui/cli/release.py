"""Commands of the act release: models, bentos, deployments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_tui.cli import clients, output
from mlops_tui.cli import release_texts as texts
from mlops_tui.cli.output import JsonFlag, LimitOption, YesFlag

if TYPE_CHECKING:
    from mlops_tui.core.approval import Standing
    from mlops_tui.records import Deployment, ModelVersion

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
models = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Model versions.")
bentos = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Bentos of model versions.")
deployments = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Bentos that answer.")
app.add_typer(models, name="models")
app.add_typer(bentos, name="bentos")
app.add_typer(deployments, name="deployments")

ModelArgument = Annotated[
    str, typer.Argument(help="NAME (live, else champion, else newest), NAME:VERSION or NAME@ALIAS.")
]
DeploymentArgument = Annotated[str, typer.Argument(help="The deployment's name.")]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Why.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Sign with this name instead of the Unix user's.")]
UnapprovedFlag = Annotated[bool, typer.Option("--unapproved", help="Allow what is not approved, and mark it so.")]

# ── models ───────────────────────────────────────────────────────────────────────────────────────


def _model_keys(version: ModelVersion, aliases: tuple[str, ...], standing: Standing) -> dict[str, Any]:
    return {
        "model": version.model, "version": version.version, "aliases": aliases, "state": standing.state,
        "metrics": version.metrics, "task": version.task, "run": version.run,
        "dataset": f"{version.dataset}:{version.dataset_version}", "author": version.author,
        "created_at": version.created_at, "approvers": standing.approvers, "reason": standing.sentence,
    }  # fmt: skip


@models.command("list")
def models_list(
    model: Annotated[str | None, typer.Argument(help="Only this model's versions.")] = None,
    keep: Annotated[str | None, typer.Option("--filter", help='As in "auc>0.7 data:flights -note".')] = None,
    limit: LimitOption = 50,
    as_json: JsonFlag = False,
) -> None:
    """List model versions, newest first."""
    from mlops_tui.flows.release import models as flow

    with output.workspace(as_json=as_json) as workspace:
        if keep is None:
            found = flow.list_models(workspace, model, limit)
        else:
            from mlops_tui.flows.queries import lists

            found = lists.model_rows(workspace, lists.models(workspace, keep, model=model)[:limit])
    items = [_model_keys(item.version, item.aliases, item.standing) for item in found]
    text = "no model version fits the filter" if keep and not found else None
    output.emit({"items": items}, as_json, text or (lambda: texts.models_text(found)))


@models.command("show")
def models_show(model: ModelArgument, as_json: JsonFlag = False) -> None:
    """Show a model version: lineage, metrics, gate report, approvals, aliases and their history."""
    from mlops_tui.flows.release import models as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.show(workspace, model)
    value = {
        **_model_keys(found.version, found.aliases, found.standing), "hashes": found.hashes, "report": found.report,
        "approvals": found.approvals, "history": found.history, "details": found.details,
    }  # fmt: skip
    output.emit(value, as_json, lambda: texts.model_text(found))


@models.command("diff")
def models_diff(
    old: ModelArgument,
    new: Annotated[str, typer.Argument(help="The other version.")],
    as_json: JsonFlag = False,
) -> None:
    """Compare two model versions: settings, data, features, metrics, importance."""
    from mlops_tui.flows.release import models as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.diff(workspace, old, new)
    output.emit(found, as_json, lambda: texts.model_difference_text(found))


@models.command("curves")
def models_curves(
    model: ModelArgument,
    other: Annotated[str | None, typer.Argument(help="Another version, to be measured on the same rows.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Draw a model version's ROC, reliability or residuals and its slices; with another, both on the same rows."""
    from mlops_tui.cli import curves_texts
    from mlops_tui.flows.release import curves as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.curves(workspace, model, other)
    output.emit(found, as_json, lambda: curves_texts.contest_text(found))


@models.command("approve")
def models_approve(
    model: Annotated[str, typer.Argument(help="NAME (the newest version) or NAME:VERSION.")],
    comment: CommentOption = "",
    by: ByOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Approve a model version; with the last missing approval it becomes champion, and a further one moves none."""
    from mlops_tui.flows.release import approvals as flow

    with output.workspace(as_json=as_json) as workspace:
        version, standing = flow.approve(workspace, model, comment, by)
    _said(version, standing, as_json)


@models.command("reject")
def models_reject(
    model: Annotated[str, typer.Argument(help="NAME (the newest version) or NAME:VERSION.")],
    comment: CommentOption = "",
    by: ByOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Reject a model version; if it is the champion, the one before it is champion again."""
    from mlops_tui.flows.release import approvals as flow
    from mlops_tui.flows.release.deployments import list_deployments

    with output.workspace(as_json=as_json) as workspace:
        version, standing = flow.reject(workspace, model, comment, by)
        serving = next((one.name for one in list_deployments(workspace) if _serves(one, version)), None)
    _said(version, standing, as_json, serving)


def _serves(item: Deployment, version: ModelVersion) -> bool:
    return (item.model, item.version, item.wanted) == (version.model, version.version, "running")


def _said(version: ModelVersion, standing: Standing, as_json: bool, serving: str | None = None) -> None:
    value = {"model": version.model, "version": version.version, "state": standing.state,
             "approvers": standing.approvers, "missing": standing.missing, "reason": standing.sentence}  # fmt: skip
    text = f"{version.ref} is {standing.state}: {standing.sentence}"
    if standing.state == "approved":
        text += f"\nnext: mlops run {version.model}"
    if serving:
        text += f"\nit still answers as '{serving}'; next: mlops deployments rollback {serving}, or stop {serving}"
    output.emit(value, as_json, text)


@models.command("alias")
def models_alias(
    model: ModelArgument,
    alias: Annotated[str | None, typer.Argument(help="The alias to point to it; none lists its history.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the alias of MODEL@ALIAS away.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Point an alias to a model version, or show who was what from when to when."""
    from mlops_tui.flows.release import models as flow

    with output.workspace(as_json=as_json) as workspace:
        history = flow.change_alias(workspace, model, alias, remove)
    output.emit({"items": history}, as_json, lambda: texts.history_text(history))


@models.command("card")
def models_card(model: ModelArgument, as_json: JsonFlag = False) -> None:
    """Print a model card in Markdown: what it is for, its data, its figures, its limits."""
    from mlops_tui.flows.release import models as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.show(workspace, model)
    card = texts.card_text(found)
    output.emit({"model": found.version.model, "version": found.version.version, "card": card}, as_json, card)


@models.command("explain")
def models_explain(
    model: ModelArgument,
    path: Annotated[Path | None, typer.Argument(help="Rows to explain; without a file, the model as a whole.")] = None,
    limit: LimitOption = 10,
    as_json: JsonFlag = False,
) -> None:
    """Show what a model looks at: for rows, each feature's contribution to the score."""
    from mlops_tui.flows.release import models as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.explain(workspace, model, path, limit)
    output.emit(found, as_json, lambda: texts.explanation_text(found))


@models.command("export")
def models_export(
    model: ModelArgument,
    path: Annotated[Path, typer.Argument(help="The file to write, a .zip of text, JSON and parquet.")],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a model version to a file that another workspace can import."""
    from mlops_tui.flows.release import exchange as flow

    output.confirm_overwrite(path, yes)
    with output.workspace(as_json=as_json) as workspace:
        version = flow.export(workspace, model, path)
    output.emit(
        {"model": version.model, "version": version.version, "path": str(path)}, as_json, f"{version.ref} → {path}"
    )


@models.command("import")
def models_import(
    path: Annotated[Path, typer.Argument(help="A file that `models export` wrote.")],
    as_json: JsonFlag = False,
) -> None:
    """Add a model version from a file; it has no gate report and no approval here."""
    from mlops_tui.flows.release import exchange as flow

    with output.workspace(as_json=as_json) as workspace:
        version = flow.take_in(workspace, path)
    output.emit({"model": version.model, "version": version.version}, as_json, f"{path} → {version.ref}")


@models.command("predict")
def models_predict(
    model: ModelArgument,
    source: Annotated[Path, typer.Argument(help="Rows: .parquet, .csv, .jsonl or .arrow.")],
    target: Annotated[Path, typer.Argument(help="The file to write: rows and predictions.")],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Score a file to a file, in bounded memory."""
    from mlops_tui.flows.release import predict as flow

    output.confirm_overwrite(target, yes)
    with output.workspace(as_json=as_json) as workspace:
        version, count = flow.predict(workspace, model, source, target)
    value = {"model": version.model, "version": version.version, "rows": count, "path": str(target)}
    output.emit(value, as_json, f"{count:,} rows scored by {version.ref} → {target}")


# ── bentos ───────────────────────────────────────────────────────────────────────────────────────


@bentos.command("build")
def bentos_build(model: ModelArgument, unapproved: UnapprovedFlag = False, as_json: JsonFlag = False) -> None:
    """Build a Bento of a model version, and prove over HTTP that it answers as the model does."""
    from mlops_tui.flows.release import bentos as flow

    with output.workspace(as_json=as_json) as workspace:
        bento, built = flow.build(workspace, model, unapproved=unapproved)
    value = {**{name: getattr(bento, name) for name in bento.__slots__}, "built": built}
    output.emit(value, as_json, lambda: texts.bento_text(bento, built))


@bentos.command("list")
def bentos_list(
    model: Annotated[str | None, typer.Argument(help="Only this model's Bentos.")] = None, as_json: JsonFlag = False
) -> None:
    """List the proven Bentos, newest first."""
    from mlops_tui.flows.release import bentos as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.list_bentos(workspace, model)
    output.emit({"items": found}, as_json, lambda: texts.bentos_text(found))


@bentos.command("export")
def bentos_export(
    name: Annotated[str, typer.Argument(help="A Bento's tag, or a model version.")],
    path: Annotated[Path, typer.Argument(help="The file to write, .bento or .yaml, or a folder.")],
    kind: Annotated[str, typer.Option("--as", help="bento, compose or kubernetes.")] = "bento",
    tag: Annotated[str | None, typer.Option(help="The image that a manifest names; else its usual one.")] = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a Bento to a file that `bentoml import` reads, or how its image is run to a manifest."""
    from mlops_tui.flows.release import images as flow

    output.confirm_overwrite(path, yes)
    with output.workspace(as_json=as_json) as workspace:
        bento, written = flow.export(workspace, name, path, kind, tag)
    output.emit({"tag": bento.tag, "path": str(written)}, as_json, f"{bento.tag} → {written}")


@bentos.command("containerize")
def bentos_containerize(
    name: Annotated[str, typer.Argument(help="A Bento's tag, or a model version.")],
    tag: Annotated[str | None, typer.Option(help="The image's name; else localhost/mlops/BENTO:VERSION.")] = None,
    base: Annotated[str | None, typer.Option(help="The base image, with Python; else the official slim one.")] = None,
    engine: Annotated[str | None, typer.Option(help="podman, buildah or docker; else the first that is there.")] = None,
    wheels: Annotated[Path | None, typer.Option(help="A folder of wheels: nothing is fetched then.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make an image of a Bento for podman, docker or Kubernetes: small, not root, its root file system read-only."""
    from mlops_tui.flows.release import images as flow

    with output.workspace(as_json=as_json) as workspace:
        bento, image = flow.containerize(workspace, name, flow.Options(tag, base, engine, wheels))
    value = {
        "tag": bento.tag, "model": bento.model, "version": bento.version, "approved": bento.approved,
        "image": image.reference, "id": image.id, "size": image.size, "engine": image.engine,
    }  # fmt: skip
    output.emit(value, as_json, lambda: texts.image_text(bento, image))


# ── deployments ──────────────────────────────────────────────────────────────────────────────────


def _deployment_keys(item: Deployment) -> dict[str, Any]:
    from mlops_tui.flows.release.deployments import state

    return {
        "name": item.name, "model": item.model, "version": item.version, "url": item.url, "state": state(item),
        "bento": item.bento, "pid": item.pid, "user": item.user, "started_at": item.started_at,
        "stopped_at": item.stopped_at, "mode": item.mode, "share": item.share, "reason": item.reason,
        "container": item.container or None,
    }  # fmt: skip


def _with_challenger(item: Deployment, rival: Deployment | None) -> dict[str, Any]:
    beside = None if rival is None else {
        "model": rival.model, "version": rival.version, "mode": rival.mode, "share": rival.share,
        "user": rival.user, "started_at": rival.started_at,
    }  # fmt: skip
    return {**_deployment_keys(item), "challenger": beside}


def _share(text: str | None) -> float | None:
    """A share of requests as people write it: 10% or 0.1."""
    from mlops_tui.errors import InvalidInput

    if text is None:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise InvalidInput(f"--canary takes a share of the requests between 0 and 1, as in 10% or 0.1; found {text!r}")
    return value


@deployments.command("start")
def deployments_start(
    model: ModelArgument,
    name: Annotated[str | None, typer.Option(help="The deployment's name; by default the model's.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port; else that of [serve], else as before, else 3000.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to bind; else as with --port, else 127.0.0.1.")] = None,
    container: Annotated[
        bool | None, typer.Option("--container/--process", help="As a container of its image, or not; else as before.")
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Beside what serves: score all, answer nothing.")] = False,
    canary: Annotated[
        str | None, typer.Option(help="Beside what serves: answer this share of the requests, as in 10%.")
    ] = None,
    unapproved: UnapprovedFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Serve a model version as a process that outlives this command, or put it beside what serves."""
    from mlops_tui.flows.release import deployments as flow

    if shadow or canary is not None:
        _only_one(shadow and canary is not None, port or host or container is not None)
        return _challenge(model, name, _share(canary) if not shadow else None, unapproved, as_json)
    with output.workspace(as_json=as_json) as workspace:
        item, started = flow.start(workspace, model, flow.Place(name, host, port, container), unapproved=unapproved)
    text = f"{item.name} {'serves' if started else 'already serves'} {item.model}:{item.version} at {item.url}"
    output.emit({**_deployment_keys(item), "started": started}, as_json, text)


def _only_one(both: bool, placed: object) -> None:
    from mlops_tui.errors import InvalidInput

    if both:
        raise InvalidInput("a challenger stands in the shadow or is a canary: --shadow or --canary, not both")
    if placed:
        raise InvalidInput("a challenger answers where the live model does: without --port, --host and --container")


def _challenge(model: str, name: str | None, share: float | None, unapproved: bool, as_json: bool) -> None:
    from mlops_tui.flows.release import rollouts as flow

    beside = flow.Beside("shadow") if share is None else flow.Beside("canary", share)
    with output.workspace(as_json=as_json) as workspace:
        item = flow.challenge(workspace, model, name, beside, unapproved)
    how = "in the shadow" if share is None else f"as a canary of {share:.3g} of the requests"
    text = f"{item.ref} stands beside {item.name} {how}\nnext: mlops deployments promote {item.name}, or rollback"
    output.emit({**_deployment_keys(item), "started": True}, as_json, text)


@deployments.command("promote")
def deployments_promote(name: DeploymentArgument, comment: CommentOption = "", as_json: JsonFlag = False) -> None:
    """Have the challenger of a deployment answer all requests, and make it champion; no request is lost."""
    from mlops_tui.flows.release import rollouts as flow

    with output.workspace(as_json=as_json) as workspace:
        item = flow.promote(workspace, name, comment)
    output.emit(_deployment_keys(item), as_json, f"{name} serves {item.ref} at {item.url}")


@deployments.command("keys")
def deployments_keys(
    name: DeploymentArgument,
    add: Annotated[str | None, typer.Option(help="Make a key of this name, and print it, once.")] = None,
    remove: Annotated[str | None, typer.Option(help="Take the key of this name away.")] = None,
    open_to_all: Annotated[bool, typer.Option("--open", help="Take all keys away, and let anybody ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the API keys of a deployment, make one or take one away; its server knows within a second."""
    from mlops_tui.flows.release import keys as flow

    with output.workspace(as_json=as_json) as workspace:
        key = flow.add(workspace, name, add) if add else None
        known = flow.show(workspace, name)
        if remove:
            known = flow.remove(workspace, name, remove)
        if open_to_all:
            known = flow.open_to_all(workspace, name)
    items = [{"name": one.name, "created_at": one.created_at} for one in known.keys]
    value = {"items": items, "required": known.required} | ({"key": key} if key else {})
    output.emit(value, as_json, key or (lambda: texts.keys_text(name, known)))


@deployments.command("list")
def deployments_list(as_json: JsonFlag = False) -> None:
    """List deployments, whether they run, and what stands beside them."""
    from mlops_tui.flows.release import rollouts as flow

    with output.workspace(as_json=as_json) as workspace:
        items = [_with_challenger(item, rival) for item, rival in flow.list_all(workspace)]
    output.emit({"items": items}, as_json, lambda: texts.deployments_text(items))


@deployments.command("show")
def deployments_show(name: DeploymentArgument, as_json: JsonFlag = False) -> None:
    """Show a deployment: what serves, since when, what it answers, what served before, and how to ask it."""
    from mlops_tui.flows.queries.shadows import agreement
    from mlops_tui.flows.queries.traffic import traffic
    from mlops_tui.flows.release import clients as clients_flow
    from mlops_tui.flows.release import deployments as flow
    from mlops_tui.flows.release import rollouts

    with output.workspace(as_json=as_json) as workspace:
        rollouts.settle(workspace, name)
        item, history = flow.get(workspace, name), flow.history(workspace, name)
        rival, counted = rollouts.challenger(workspace, name), traffic(workspace, item)
        told, how = agreement(workspace, item, rival), clients_flow.snippets(workspace, item)
    more = {"traffic": counted, "history": history, "shadow": told, "clients": how}
    value = {**_with_challenger(item, rival), **more}
    output.emit(value, as_json, lambda: texts.deployment_text(value, counted, history))


deployments.command("call")(clients.call)
deployments.command("bench")(clients.bench)


@deployments.command("stop")
def deployments_stop(
    name: DeploymentArgument,
    challenger: Annotated[bool, typer.Option("--challenger", help="Only what stands beside it.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Stop a deployment, requests in flight are answered first; or only the challenger beside it."""
    from mlops_tui.flows.release import deployments as flow
    from mlops_tui.flows.release import rollouts

    if challenger:
        with output.workspace(as_json=as_json) as workspace:
            item = rollouts.withdraw(workspace, name)
        return output.emit({**_deployment_keys(item), "was_running": True}, as_json, f"{item.ref} is taken back")
    with output.workspace(as_json=as_json) as workspace:
        item, ran = flow.stop(workspace, name)
    output.emit(
        {**_deployment_keys(item), "was_running": ran}, as_json, f"{name} {'stopped' if ran else 'was not running'}"
    )


@deployments.command("rollback")
def deployments_rollback(
    name: DeploymentArgument,
    to: Annotated[str | None, typer.Option(help="A model version; by default the champion before this one.")] = None,
    comment: CommentOption = "",
    as_json: JsonFlag = False,
) -> None:
    """Take a canary back; without one, make the champion before this one champion again, and serve it."""
    from mlops_tui.flows.release import rollouts as flow

    with output.workspace(as_json=as_json) as workspace:
        item, left = flow.rollback(workspace, name, to, comment)
    value = {**_deployment_keys(item), "left": left}
    output.emit(value, as_json, f"{name} serves {item.model}:{item.version} again at {item.url}")


@deployments.command("logs")
def deployments_logs(
    name: DeploymentArgument,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """Print the last lines of a deployment's log."""
    from mlops_tui.flows.release import deployments as flow

    with output.workspace(as_json=as_json) as workspace:
        found = flow.log_lines(workspace, name, lines)
    output.emit({"items": found}, as_json, lambda: "\n".join(found))
