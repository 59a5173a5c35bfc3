"""Rollouts on real servers: a shadow that answers nobody, a canary with sticky keys, and who takes it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlops_tui.adapters import ports, processes, spool
from mlops_tui.adapters.catalogue import release
from mlops_tui.core import requests, scoring
from mlops_tui.errors import Busy, InvalidInput, NotFound, Refused
from mlops_tui.flows import cycle, lookup
from mlops_tui.flows.queries.shadows import agreement
from mlops_tui.flows.queries.traffic import traffic
from mlops_tui.flows.release import approvals, bentos, deployments, rollouts, servers
from mlops_tui.flows.release.rollouts import Beside
from mlops_tui.flows.watch import predictions
from mlops_tui.flows.workspace import Workspace
from mlops_tui.records import Golden, from_json, to_json
from tests import workspaces
from tests.adapters.listening import until
from tests.cli.called import call

NAME = "flight-delay"


@pytest.fixture(scope="module")
def two(built_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose champion :1 has a Bento, and whose :2, of one more month, is judged and waits for approval."""
    workspace = workspaces.copy(built_template, tmp_path_factory.mktemp("two") / "workspace")
    workspaces.write_pipeline(workspace, more=f"[serve]\nport = {ports.free_port()}\n")
    workspaces.arrive(workspace, 3)
    cycle.apply(workspace, NAME)
    deployments.stop(workspace, NAME)
    bentos.build(workspace, f"{NAME}:2", unapproved=True)
    return workspace.root


@pytest.fixture
def served(two: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of it that serves :1."""
    workspace = workspaces.copy(two, tmp_path / "workspace")
    deployments.start(workspace, f"{NAME}:1", deployments.Place(port=ports.free_port()))
    yield workspace
    for item in deployments.list_deployments(workspace):
        deployments.stop(workspace, item.name)


@pytest.fixture
def client(served: Workspace) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=deployments.get(served, NAME).url, trust_env=False, timeout=30) as session:
        yield session


def rows(workspace: Workspace) -> list[dict[str, object]]:
    version = lookup.model_version(workspace, f"{NAME}:1")
    return list(from_json(workspace.objects.get(version.golden), Golden).rows)


def answerers(client: httpx.Client, row: dict[str, object], keys: list[str]) -> list[str]:
    """Which model version answered a request of each key; what the answer says, and its header, are one."""
    found = []
    for key in keys:
        answer = client.post("/predict", json=[row], headers={"X-Routing-Key": key})
        assert answer.status_code == 200
        assert answer.json()["model"] == answer.headers["X-Model"]
        found.append(answer.json()["model"])
    return found


def test_a_shadow_scores_what_the_live_model_answers_and_answers_nobody(
    served: Workspace, client: httpx.Client
) -> None:
    made = rollouts.challenge(served, f"{NAME}:2", None, Beside("shadow"))  # not approved, and need not be
    assert (made.mode, made.ref) == ("shadow", f"{NAME}:2")
    sent = rows(served)
    assert set(answerers(client, sent[0], [str(number) for number in range(30)])) == {f"{NAME}:1"}
    shown = call(served.root, "deployments", "show", NAME)
    assert f"{NAME}:2, shadow" in shown.out
    assert "nothing gathered yet" in shown.out
    check_agreement(served, client, sent)
    with pytest.raises(Refused, match="not approved"):
        rollouts.promote(served, NAME)
    answerers(client, sent[1], [str(number) for number in range(30)])
    deployments.stop(served, NAME)
    lines = spooled(served.home / "spool" / NAME)
    kinds = Counter((line["kind"], line["answer"]["model"]) for line in lines)
    assert kinds == {("predict", f"{NAME}:1"): 60, ("shadow", f"{NAME}:2"): 60}
    assert {line["id"] for line in lines if line["kind"] == "shadow"} == {
        line["id"] for line in lines if line["kind"] == "predict"
    }
    assert [(one.mode, one.reason) for one in deployments.history(served, NAME) if one.mode == "shadow"] == [
        ("shadow", f"'{NAME}' was stopped")
    ]


def check_agreement(workspace: Workspace, client: httpx.Client, sent: list[dict[str, object]]) -> None:
    """What the shadow said is gathered apart, and compared with the live model row by row."""
    folder = workspace.home / "spool" / NAME
    until(lambda: len(spooled(folder)) == 60)
    gathered = predictions.gather(workspace, NAME)
    assert (gathered.requests, gathered.rows, gathered.unreadable) == (30, 30, 0)
    found = agreement(workspace, deployments.get(workspace, NAME), rollouts.challenger(workspace, NAME))
    assert found is not None
    assert (found.rows, found.live, found.shadow) == (30, f"{NAME}:1", f"{NAME}:2")
    assert found.same in (0.0, 1.0)  # thirty times one row
    assert found.difference == pytest.approx(
        abs(probability(workspace, 1, sent[0]) - probability(workspace, 2, sent[0]))
    )
    assert "30 rows scored by both" in call(workspace.root, "deployments", "show", NAME).out


def probability(workspace: Workspace, version: int, row: dict[str, object]) -> float:
    scorer = lookup.scorer(workspace, lookup.model_version(workspace, f"{NAME}:{version}"))
    return float(scoring.score(scorer, requests.rows_to_frame(scorer.signature, [row]))[0])


def spooled(folder: Path) -> list[dict[str, Any]]:
    return [line for name, _, _ in spool.segments(folder) for line in spool.read(folder / name, 0)[0]]


def test_a_canary_answers_its_share_always_the_same_keys_and_is_promoted(
    served: Workspace, client: httpx.Client
) -> None:
    with pytest.raises(Refused, match="not approved"):
        rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.3))
    approvals.approve(served, f"{NAME}:2", "better")
    rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.3))
    keys = [f"customer-{number}" for number in range(200)]
    first = answerers(client, rows(served)[0], keys)
    assert first == answerers(client, rows(served)[0], keys)
    assert 30 < Counter(first)[f"{NAME}:2"] < 90
    metrics = client.get("/metrics").text
    assert f'mlops_model_info{{approved="true",model="{NAME}:2",role="canary"}} 1.0' in metrics
    assert "mlops_canary_share 0.3" in metrics
    about = client.get("/metadata").json()
    assert about["challenger"] == {"model": f"{NAME}:2", "mode": "canary", "share": 0.3}
    steps = {step.step: step for step in cycle.plan(served, NAME).steps}
    assert (steps["deploy"].action, "canary" in steps["deploy"].reason) == ("wait", True)

    before = deployments.get(served, NAME)
    after = rollouts.promote(served, NAME, "calm for a day")
    assert (after.ref, after.pid, rollouts.challenger(served, NAME)) == (f"{NAME}:2", before.pid, None)
    assert set(answerers(client, rows(served)[0], keys[:40])) == {f"{NAME}:2"}
    assert lookup.model_version(served, f"{NAME}@live").version == 2
    assert 'mlops_swaps_total{reason="promoted"} 1.0' in client.get("/metrics").text
    history = [(one.version, one.mode) for one in deployments.history(served, NAME)]
    assert history[:2] == [(2, "canary"), (1, "live")] or history[:2] == [(1, "live"), (2, "canary")]

    back, left = rollouts.rollback(served, NAME, comment="too slow")
    assert (back.version, back.pid, left) == (1, before.pid, f"{NAME}:2")
    assert set(answerers(client, rows(served)[0], keys[:40])) == {f"{NAME}:1"}


def test_the_same_row_meets_the_same_model_by_the_pipelines_key(served: Workspace, client: httpx.Client) -> None:
    approvals.approve(served, f"{NAME}:2", "better")
    rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.5))
    row, met = rows(served)[0], {}
    for number in range(60):
        flight = row | {"flight_id": f"F{number % 20}"}
        met.setdefault(number % 20, set()).add(client.post("/predict", json=[flight]).json()["model"])
    assert all(len(models) == 1 for models in met.values())
    assert len(set.union(*met.values())) == 2


def test_a_canary_that_breaks_its_bounds_is_taken_back_by_itself_and_says_why(
    served: Workspace, client: httpx.Client
) -> None:
    workspaces.write_pipeline(
        served,
        more=f"[serve]\nport = {deployments.get(served, NAME).port}\n[serve.canary]\nrequests = 40\nshift = 1e-6\n",
    )
    approvals.approve(served, f"{NAME}:2", "better")
    rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.5))
    sent, runtime = rows(served), servers.runtime_of(served, deployments.get(served, NAME))
    hot, cold = sent[:1] * 30, sent[1:2] * 30  # by a routing key, the canary is asked of other rows than the live model
    for number in range(2000):
        key = str(number)
        mine = answerers(client, sent[0], [key])[0] == f"{NAME}:2"
        client.post("/predict", json=hot if mine else cold, headers={"X-Routing-Key": key})
        if (said := processes.serves(runtime)) and said.withdrawn:
            break
    assert "predictions differ from the live model's" in said.withdrawn
    assert set(answerers(client, sent[0], [str(number) for number in range(40)])) == {f"{NAME}:1"}
    assert 'mlops_swaps_total{reason="withdrawn"} 1.0' in client.get("/metrics").text
    assert rollouts.challenger(served, NAME) is not None  # until somebody looks
    (worker,) = psutil.Process(deployments.get(served, NAME).pid).children()
    worker.kill()  # and a worker that dies meanwhile does not bring it back
    until(lambda: (found := processes.serves(runtime)) and found.pid != worker.pid)
    assert processes.serves(runtime).withdrawn == said.withdrawn
    assert set(answerers(client, sent[0], [str(number) for number in range(40)])) == {f"{NAME}:1"}
    shown = call(served.root, "deployments", "show", NAME)
    assert "taken back by itself" in shown.out
    assert rollouts.challenger(served, NAME) is None
    assert lookup.model_version(served, f"{NAME}@champion").version == 1  # else the next cycle would serve it whole
    assert {step.step: step.action for step in cycle.plan(served, NAME).steps}["deploy"] == "skip"
    assert call(served.root, "audit", "verify").code == 0
    assert any("challenger.ended" in line for line in call(served.root, "audit", "list").out.splitlines())


def test_a_rollback_of_a_canary_that_is_gone_already_leaves_what_serves_alone(
    served: Workspace, client: httpx.Client
) -> None:
    approvals.approve(served, f"{NAME}:2", "better")
    rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.5))
    runtime = servers.runtime_of(served, deployments.get(served, NAME))
    said = processes.serves(runtime)
    assert said is not None
    (runtime / "serves.json").write_bytes(to_json(replace(said, challenger=None, withdrawn="too slow")))
    with pytest.raises(Refused, match="was taken back by itself: too slow"):
        rollouts.rollback(served, NAME)
    assert deployments.get(served, NAME).version == 1
    assert client.get("/metadata").json()["challenger"] is None


def test_catalogue_and_server_agree_again_whoever_was_killed_in_between(
    served: Workspace, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    approvals.approve(served, f"{NAME}:2", "better")
    live = deployments.get(served, NAME)
    rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.5))
    with served.catalogue.write(served.now()) as act:  # as one that was killed before it wrote
        release.drop_challenger(act, NAME)
        act.record("challenger.ended", NAME)
    assert client.get("/metadata").json()["challenger"] is not None
    assert call(served.root, "deployments", "list").code == 0
    assert client.get("/metadata").json()["challenger"] is None

    made = replace(live, version=2, bento=f"{NAME}:v2", mode="canary", share=0.25)
    with served.catalogue.write(served.now()) as act:  # as one that was killed after
        release.put_challenger(act, made)
        act.record("challenger.started", NAME)
    assert rollouts.settle(served, NAME) is None
    assert client.get("/metadata").json()["challenger"]["share"] == 0.25

    def busy(*_: object) -> None:
        raise Busy("somebody writes")

    monkeypatch.setattr(release, "put_challenger", busy)
    with pytest.raises(Busy):
        rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.75))
    assert client.get("/metadata").json()["challenger"]["share"] == 0.25


def test_new_policies_are_told_between_two_requests_and_the_challenger_stays(
    served: Workspace, client: httpx.Client
) -> None:
    rollouts.challenge(served, f"{NAME}:2", None, Beside("shadow"))
    port = deployments.get(served, NAME).port
    workspaces.write_pipeline(served, more=f'[serve]\nport = {port}\n[serve.inputs]\nunknown = "warn"\n')
    assert {step.step: step.action for step in cycle.plan(served, NAME).steps}["deploy"] == "run"
    row = rows(served)[0] | {"made_up": 1}
    assert client.post("/predict", json=[row]).status_code == 422
    deployments.start(served, f"{NAME}:1")
    answer = client.post("/predict", json=[row])
    assert (answer.status_code, answer.json()["warnings"][0]["column"]) == (200, "made_up")
    assert client.get("/metadata").json()["challenger"]["model"] == f"{NAME}:2"
    assert rollouts.challenger(served, NAME) is not None
    until(lambda: spooled(served.home / "spool" / NAME))
    gathered = predictions.gather(served, NAME)
    assert (gathered.rows, gathered.unreadable) == (1, 0)  # what a policy let pass is watched, too
    assert {step.step: step.action for step in cycle.plan(served, NAME).steps}["deploy"] == "skip"


def test_a_certificate_that_comes_into_the_pipeline_file_is_noticed(served: Workspace) -> None:
    port, tls = deployments.get(served, NAME).port, Path(__file__).parents[1] / "adapters" / "tls"
    for name in ("certificate.pem", "key.pem"):
        (served.root / name).write_bytes((tls / name).read_bytes())
    said = 'tls = { certificate = "certificate.pem", key = "key.pem" }'
    workspaces.write_pipeline(served, more=f"[serve]\nport = {port}\n{said}\n")
    assert "HTTPS" in {step.step: step.reason for step in cycle.plan(served, NAME).steps}["deploy"]
    item, started = deployments.start(served, f"{NAME}:1")
    assert (started, item.url) == (True, f"https://127.0.0.1:{port}")
    assert httpx.get(f"{item.url}/readyz", verify=False, trust_env=False).status_code == 200
    assert deployments.start(served, f"{NAME}:1") == (item, False)
    assert traffic(served, item).total is not None


def test_what_cannot_stand_beside_is_refused_with_what_is_allowed(served: Workspace) -> None:
    with pytest.raises(InvalidInput, match="serves flight-delay:1 already"):
        rollouts.challenge(served, f"{NAME}:1", None, Beside("shadow"))
    with pytest.raises(Refused, match="no challenger stands beside"):
        rollouts.promote(served, NAME)
    with pytest.raises(NotFound, match=f"did you mean '{NAME}'"):
        rollouts.promote(served, "fligth-delay")
    with pytest.raises(NotFound, match="no challenger"):
        rollouts.withdraw(served, NAME)
    assert call(served.root, "deployments", "start", f"{NAME}:2", "--canary", "150%").code == 2
    approvals.approve(served, f"{NAME}:2", "better")
    rollouts.challenge(served, f"{NAME}:2", None, Beside("canary", 0.1))
    back, left = rollouts.rollback(served, NAME)
    assert (back.version, left, rollouts.challenger(served, NAME)) == (1, f"{NAME}:2", None)
    deployments.stop(served, NAME)
    with pytest.raises(Refused, match="nothing is served"):
        rollouts.challenge(served, f"{NAME}:2", None, Beside("shadow"))


def test_a_server_that_cannot_load_what_it_is_told_goes_on_as_before(served: Workspace, client: httpx.Client) -> None:
    folder = servers.folder_of(served, bentos.find(served, f"{NAME}:v2-unapproved"))
    (folder / "booster.txt").write_text("tree")
    with pytest.raises(Exception, match=r"cannot serve|not a LightGBM model"):
        rollouts.challenge(served, f"{NAME}:2", None, Beside("shadow"))
    assert rollouts.challenger(served, NAME) is None
    assert set(answerers(client, rows(served)[0], ["a", "b"])) == {f"{NAME}:1"}
    assert client.get("/metadata").json()["challenger"] is None
