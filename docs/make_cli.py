"""Writes the list of commands in docs/cli.md from `mlops spec --json`; run it when a command changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("cli.md")
MARK = "<!-- From here on written by docs/make_cli.py. -->\n"
EXAMPLES = {
    "init": "mlops init my-team --group ml",
    "demo": "mlops demo demo",
    "doctor": "mlops doctor",
    "tui": "mlops tui --read-only",
    "web": "mlops web --port 8400",
    "plan": "mlops plan flight-delay",
    "run": "mlops run flight-delay --plan 35632b9fc841",
    "status": "mlops status --json",
    "datasets add": "mlops datasets add flights 'data/flights/*.parquet' --key flight_id --time time_hour",
    "datasets refresh": "mlops datasets refresh flights",
    "datasets list": "mlops datasets list flights -n 5",
    "datasets show": "mlops datasets show flights:2",
    "datasets diff": "mlops datasets diff flights:1 flights:2",
    "datasets check": "mlops datasets check flights --pipeline flight-delay",
    "datasets export": "mlops datasets export flights:2 flights.csv",
    "pipelines new": "mlops pipelines new diabetes diabetes.csv --target progression",
    "pipelines list": "mlops pipelines list",
    "pipelines show": "mlops pipelines show flight-delay",
    "pipelines check": "mlops pipelines check flight-delay",
    "runs list": "mlops runs list flight-delay --sort auc",
    "runs show": "mlops runs show 107b",
    "runs compare": "mlops runs compare 107b f7e0",
    "runs logs": "mlops runs logs 107b",
    "runs reproduce": "mlops runs reproduce 107b",
    "runs stop": "mlops runs stop 107b",
    "models list": "mlops models list",
    "models show": "mlops models show flight-delay@champion",
    "models diff": "mlops models diff flight-delay:1 flight-delay:2",
    "models curves": "mlops models curves flight-delay:2 flight-delay:1",
    "models approve": "mlops models approve flight-delay:2 --comment 'better in every slice'",
    "models reject": "mlops models reject flight-delay:2 --comment 'summer only'",
    "models alias": "mlops models alias flight-delay:2 candidate",
    "models card": "mlops models card flight-delay",
    "models explain": "mlops models explain flight-delay flights.csv --limit 3",
    "models export": "mlops models export flight-delay:2 flight-delay.zip",
    "models import": "mlops models import flight-delay.zip",
    "models predict": "mlops models predict flight-delay flights.parquet scored.parquet",
    "bentos build": "mlops bentos build flight-delay:2",
    "bentos list": "mlops bentos list",
    "bentos export": "mlops bentos export flight-delay:2 . --as compose",
    "bentos containerize": "mlops bentos containerize flight-delay:2 --base registry.example.org/python:3.11",
    "deployments start": "mlops deployments start flight-delay --port 3001",
    "deployments list": "mlops deployments list",
    "deployments show": "mlops deployments show flight-delay",
    "deployments call": "mlops deployments call flight-delay --rows flights.csv --json",
    "deployments bench": "mlops deployments bench flight-delay --seconds 10 --connections 16",
    "deployments stop": "mlops deployments stop flight-delay",
    "deployments promote": "mlops deployments promote flight-delay --comment 'calm for a day'",
    "deployments keys": "mlops deployments keys flight-delay --add shop",
    "deployments rollback": "mlops deployments rollback flight-delay",
    "deployments logs": "mlops deployments logs flight-delay --lines 20",
    "labels add": "mlops labels add flight-delay labels.csv",
    "monitor run": "mlops monitor run flight-delay --from 2013-07-01 --to 2013-09-01 --window 7d",
    "monitor list": "mlops monitor list flight-delay",
    "monitor show": "mlops monitor show flight-delay",
    "monitor feature": "mlops monitor feature flight-delay carrier --window 2013-07-01",
    "rules check": "mlops rules check flight-delay",
    "rules list": "mlops rules list",
    "rules history": "mlops rules history flight-delay --fired",
    "rules show": "mlops rules show 819f",
    "rules backtest": "mlops rules backtest flight-delay --from 2013-04-01 --step 1mo --policy weekly=weekly.toml",
    "agent run": "mlops agent run --once",
    "agent status": "mlops agent status",
    "agent install": "mlops agent install --print",
    "audit list": "mlops audit list flight-delay:2",
    "audit verify": "mlops audit verify",
    "backup": "mlops backup monday.tar",
    "restore": "mlops restore monday.tar --yes",
    "gc": "mlops gc --dry-run",
    "spec": "mlops spec --json",
}


def generated() -> str:
    """Return the list of commands as Markdown."""
    command = [sys.executable, "-m", "mlops_tui", "spec", "--json"]
    items = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["items"]
    return "\n".join(_command(item) for item in items)


def _command(item: dict[str, Any]) -> str:
    name = item["command"].removeprefix("mlops ")
    arguments = [one for one in item["parameters"] if one["kind"] == "argument"]
    usage = " ".join([item["command"], *(_argument(one) for one in arguments)])
    lines = [f"### {name}\n", item["help"] + "\n", "```sh", EXAMPLES[name], "```\n", f"`{usage}`\n"]
    own = [_parameter(one) for one in item["parameters"] if one["name"] != "as_json"]
    return "\n".join([*lines, "| | |", "|---|---|", *own, ""] if own else lines)


def _argument(one: dict[str, Any]) -> str:
    text = one["name"].upper() + ("…" if one["many"] else "")
    return text if one["required"] else f"[{text}]"


def _parameter(one: dict[str, Any]) -> str:
    if one["kind"] == "argument":
        return f"| `{one['name'].upper()}` | {one['help']} |"
    flags = ", ".join(f"`{flag}`" for flag in one["flags"])
    value = "" if one["type"] == "boolean" else f" {one['type'].split()[0]}"
    default = "" if one["default"] in (None, False, "") else f" Default: {one['default']}."
    return f"| {flags}{value} | {one['help']}{default} |"


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(f"{head}{MARK}\n{generated()}", encoding="utf-8")
