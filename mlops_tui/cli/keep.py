"""Commands that keep a workspace: audit, backup, restore, gc, spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_tui.cli import output
from mlops_tui.cli.output import JsonFlag, LimitOption, YesFlag
from mlops_tui.texts.cells import bytes_text

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
audit = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Who did what.")
app.add_typer(audit, name="audit")


@audit.command("list")
def audit_list(
    subject: Annotated[str | None, typer.Argument(help="Only what was done to this, as in flight-delay:3.")] = None,
    limit: LimitOption = 50,
    as_json: JsonFlag = False,
) -> None:
    """List audit events, newest first."""
    from mlops_tui.flows import keep

    with output.workspace(as_json=as_json) as workspace:
        found = keep.events(workspace, subject, limit)
    columns = ("number", "at", "by", "action", "subject", "details")
    rows = [(e.number, e.at, e.user, e.action, e.subject, _brief(e.details)) for e in found]
    output.emit({"items": found}, as_json, lambda: output.table(columns, rows, "no events"))


def _brief(details: dict[str, Any]) -> str:
    texts = {key: str(value) for key, value in details.items() if value not in (None, "", [])}
    return ", ".join(f"{key} {text[:12] if len(text) == 64 else text}" for key, text in texts.items())  # 64: a hash


@audit.command("verify")
def audit_verify(as_json: JsonFlag = False) -> None:
    """Check that no audit event was changed, put in or taken out of the middle; exit 1 if one was."""
    from mlops_tui.flows import keep

    with output.workspace(as_json=as_json) as workspace:
        found = keep.verify(workspace)
    broken = ", ".join(map(str, found.broken[:10]))
    text = f"{found.events} events: " + (f"not as they were written: {broken}" if broken else "every link holds")
    output.emit({"ok": not found.broken, "events": found.events, "broken": found.broken}, as_json, text)
    raise typer.Exit(1 if found.broken else 0)


@app.command()
def backup(
    path: Annotated[Path, typer.Argument(help="The .tar file to write.")],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Copy the catalogue and the objects to one file."""
    from mlops_tui.flows import backup as flow

    output.confirm_overwrite(path, yes)
    with output.workspace(as_json=as_json) as workspace:
        size = flow.backup(workspace, path)
    output.emit({"path": str(path), "bytes": size}, as_json, f"{bytes_text(size)} → {path}")


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(help="A file that `mlops backup` wrote.")],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a backup back into the workspace; the catalogue that is there is kept in .mlops/backups."""
    from mlops_tui.flows import backup as flow

    with output.workspace(as_json=as_json) as workspace:
        output.confirm(f"Replace the catalogue of {workspace.root} by that of {path}?", yes)
        count = flow.restore(workspace, path)
    output.emit({"path": str(path), "objects": count}, as_json, f"{path} → {workspace.root}, {count} objects")


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove objects that nothing names any more, and monitor reports of the same day that are a month old."""
    from mlops_tui.flows import keep

    with output.workspace(as_json=as_json) as workspace:
        if not dry_run:
            output.confirm("Remove every object that nothing names?", yes)
        found = keep.collect(workspace, remove=not dry_run)
    reports = f", {found.reports} old monitor reports" if found.reports else ""
    went = "removed" if found.removed else "would go"
    text = f"{len(found.objects)} objects, {bytes_text(found.bytes)}{reports} {went}"
    value = {
        "objects": found.objects, "bytes": found.bytes, "reports": found.reports, "removed": found.removed
    }  # fmt: skip
    output.emit(value, as_json, text)


@app.command()
def spec(as_json: JsonFlag = False) -> None:
    """List every command with its arguments and options, for machines."""
    from mlops_tui.cli import main

    group: Any = typer.main.get_command(main.app)
    items = list(_commands(group, typer.Context(group), "mlops"))
    output.emit({"items": items}, as_json, lambda: "\n".join(f"{i['command']:<34} {i['help']}" for i in items))


def _commands(group: Any, context: Any, path: str) -> Any:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, context, f"{path} {name}")
        else:
            text = (command.help or "").strip().splitlines()
            yield {"command": f"{path} {name}", "help": text[0] if text else "",
                   "parameters": [_parameter(item) for item in command.params]}  # fmt: skip


def _parameter(item: Any) -> dict[str, Any]:
    default = str(item.default) if isinstance(item.default, Path) else item.default
    return {
        "name": item.name, "kind": item.param_type_name, "flags": list(item.opts), "required": bool(item.required),
        "type": item.type.name, "many": bool(item.multiple or item.nargs == -1),
        "default": default if isinstance(default, str | int | float) else None, "help": getattr(item, "help", None),
    }  # fmt: skip
