"""A challenger of a replay against the champion of that time: what it gains, and which gates it fails."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from mlops_tui.core import gain as gains
from mlops_tui.core import gates, leak, metrics, rehearsal, target, versus
from mlops_tui.core.features import encode
from mlops_tui.core.rehearsal import Model, Spent, Stage
from mlops_tui.records import Gain, GateResult

UNMEASURED = frozenset(("latency_p99_ms",))  # checks of gates that need a process of their own


def _rival(stage: Stage, spent: Spent, champion: Model, challenger: Model) -> metrics.Rival:
    """The champion's answers to the challenger's test rows."""

    def measure() -> metrics.Rival:
        numbers, settings = challenger.sets["test"], stage.settings.target
        rows = stage.history.rows(numbers, challenger.at)
        found = versus.rival(champion.scorer, challenger.scorer, challenger.trained.test, rows, settings)
        return replace(found, known_rows=int((~champion.is_new(numbers)).sum()))

    return rehearsal.once(stage, spent, ("rival", champion.at, challenger.at), measure)


def gain(stage: Stage, spent: Spent, champion: Model, challenger: Model, confidence: float) -> Gain | str:
    """Return what the challenger gains on those of its test rows that are new to both, or why that is not known."""
    rival = _rival(stage, spent, champion, challenger)

    def measure() -> Gain | str:
        numbers, answers = challenger.sets["test"], rival.answers
        new = champion.is_new(numbers)
        if answers is None:
            return rival.remark.partition("; ")[0]  # what follows is for who reads a gate
        if new.sum() < gains.FEWEST_ROWS:
            rows = "1 labelled row is" if new.sum() == 1 else f"{new.sum()} labelled rows are"
            return f"{rows} new to both models, judged from {gains.FEWEST_ROWS} on"
        moments = stage.history.rows(numbers[new], challenger.at)[stage.settings.data.time or ""]
        both = answers.take(new), challenger.trained.test.take(new)
        return gains.gain(stage.settings.watched_metric, *both, moments, confidence)

    return rehearsal.once(stage, spent, ("gain", champion.at, challenger.at, confidence), measure)


def failed(stage: Stage, spent: Spent, champion: Model, challenger: Model) -> tuple[GateResult, ...]:
    """Return the gates that the challenger fails, of those that need no process of their own."""
    settings = stage.settings
    asked = [gate for gate in settings.gates if gate.check not in UNMEASURED]
    rival = _rival(stage, spent, champion, challenger)
    checks = {gate.check for gate in asked}
    alone = (
        rehearsal.once(stage, spent, ("alone", challenger.at), lambda: _alone(stage, challenger))
        if "leak" in checks
        else {}
    )

    def measure() -> tuple[GateResult, ...]:
        trained = challenger.trained
        rows = stage.history.rows(challenger.sets["test"], challenger.at)
        columns = sorted({gate.slice for gate in asked if gate.slice} & set(rows.columns))
        slices = {name: rows[name].cast(pl.String).fill_null("∅").to_numpy() for name in columns}
        size = len(trained.booster.encode())
        evidence = gates.Evidence(
            trained.test, trained.details.metrics, rival, slices, model_bytes=size, single_features=alone
        )
        return tuple(one for one in gates.judge(asked, evidence, settings.train.seed) if not one.passed)

    return rehearsal.once(stage, spent, ("gates", champion.at, challenger.at), measure)


def _alone(stage: Stage, challenger: Model) -> dict[str, float]:
    """How far each feature alone goes."""
    scorer, sets = challenger.scorer, challenger.sets
    known, new = (stage.history.rows(sets[name], challenger.at) for name in ("train", "test"))
    both = [
        (encode(scorer.transform, rows).to_numpy(), target.codes(rows[scorer.signature.target], scorer.signature))
        for rows in (known, new)
    ]
    return leak.single_feature_scores(scorer.signature.task, scorer.transform.features, both[0], both[1])
