"""Commands of the act release: models and Bentos; what answers is in `deployments`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_tui.cli import output
from mlops_tui.cli import release_texts as texts
from mlops_tui.cli.output import JsonFlag, LimitOption, YesFlag

if TYPE_CHECKING:
    from mlops_tui.core.approval import Standing
    from mlops_tui.records import Deployment, ModelVersion

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
models = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Model versions.")
bentos = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Bentos of model versions.")
app.add_typer(models, name="models")
app.add_typer(bentos, name="bentos")

ModelArgument = Annotated[
    str, typer.Argument(help="NAME (live, else champion, else newest), NAME:VERSION or NAME@ALIAS.")
]
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
