"""Commands of the act release: deployments, what stands beside them, who may ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_tui.cli import clients, output
from mlops_tui.cli import release_texts as texts
from mlops_tui.cli.output import JsonFlag
from mlops_tui.cli.release import CommentOption, ModelArgument, UnapprovedFlag

if TYPE_CHECKING:
    from mlops_tui.records import Deployment

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
deployments = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Bentos that answer.")
app.add_typer(deployments, name="deployments")

DeploymentArgument = Annotated[str, typer.Argument(help="The deployment's name.")]


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
