"""The story of flight-delay, from June to 15 October: everything that a screen may show of one pipeline."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mlops_tui.adapters.catalogue import build, release
from mlops_tui.config import PipelineFile
from mlops_tui.records import DatasetVersion, Deployment, Finding, GateResult, ModelVersion, Run, to_json
from tests.tui import made_data as data
from tests.tui import made_models as models
from tests.tui import made_release as served
from tests.tui import made_rules as rules
from tests.tui import made_watch as watch
from tests.tui.made_base import Making, moment
from tests.tui.made_data import Source
from tests.tui.made_models import Training
from tests.tui.made_rules import Asked

ROWS = (3421, 3102, 3845, 3804, 3898, 3717, 3912, 4006, 3754)  # by month
NEVER = "the pipeline has never been trained"
SETTINGS = "changed settings: train.params."
NEW_ROWS = "new data: flights:{}, trained last on :{}"
RUNS = (
    (1, Training(1, moment("06-01 06:10"), "ada", NEVER, 0.7135, 4.1)),
    (1, Training(2, moment("06-12 13:20"), "ada", f"{SETTINGS}num_leaves", 0.7079, 6.8, (("num_leaves", 63),))),
    (1, Training(3, moment("06-20 16:02"), "ben", f"{SETTINGS}learning_rate", None, 1.2, (("learning_rate", 0.1),),
                 "failed", "OSError: [Errno 28] No space left on device")),
    (1, Training(4, moment("06-20 16:40"), "ben", f"{SETTINGS}learning_rate", 0.7121, 2.9, (("learning_rate", 0.1),))),
    (2, Training(5, moment("08-01 06:10"), "ada", NEW_ROWS.format(2, 1), 0.6588, 14.6, (("num_leaves", 127),))),
    (2, Training(6, moment("08-01 09:31"), "ada", f"{SETTINGS}num_leaves", 0.7278)),
    (2, Training(7, moment("08-20 17:55"), "ben", f"{SETTINGS}lambda_l2", None, 0.0, (("lambda_l2", 5.0),),
                 "interrupted", "its process ended without a word")),
    (2, Training(8, moment("08-20 18:03"), "ben", f"{SETTINGS}lambda_l2", 0.7243, 9.9, (("lambda_l2", 5.0),))),
    (2, Training(9, moment("09-03 10:15"), "ada", f"{SETTINGS}max_bin", 0.7251, 8.4, (("max_bin", 63),))),
    (2, Training(10, moment("09-10 11:47"), "ben", f"{SETTINGS}num_leaves", 0.7302, 11.2, (("num_leaves", 31),))),
    (2, Training(11, moment("09-24 15:08"), "ben", f"{SETTINGS}cat_smooth", 0.7269, 9.6, (("cat_smooth", 50.0),))),
    (4, Training(12, moment("10-14 06:21"), "ben", NEW_ROWS.format(4, 2), 0.7364, 12.3)),
)  # fmt: skip
"""Each training with the dataset version that it was on."""


def tell(making: Making, settings: PipelineFile) -> None:
    """Put the whole story."""
    source = data.source(making, data.FLIGHTS, "flights", ROWS)
    versions = _datasets(making, settings, source)
    runs = {one.number: models.run(making, settings, versions[on - 1], one, data.FLIGHTS) for on, one in RUNS}
    made = _models(making, settings, source, runs)
    _serve(making, settings, made)
    _watch(making, runs)
    _logs(making, runs[12])


def _datasets(making: Making, settings: PipelineFile, source: Source) -> list[DatasetVersion]:
    """Four versions: of five months, of seven, of nine with a broken last one, and of nine."""
    wrong = tuple(replace(one, ends=(-1, 1620)) if one.name == "distance" else one for one in data.FLIGHTS)
    september = data.part(making, wrong, "flights", 9, ROWS[8])
    text = "column 'distance': 112 rows are below 50, the worst 7; first at row 29719"
    finding = Finding("min", "error", text, "distance", 7.0, ">= 50")
    parts, columns = source.parts, data.FLIGHTS
    found = [
        data.dataset_version(making, settings, 1, (columns, parts[:5]), (moment("06-01 06:00"), "ada")),
        data.dataset_version(making, settings, 2, (columns, parts[:7]), (moment("08-01 06:00"), "ada")),
        data.dataset_version(
            making, settings, 3, (wrong, (*parts[:8], september)), (moment("10-01 06:00"), "ada"), (finding,)
        ),
        data.dataset_version(making, settings, 4, (columns, parts), (moment("10-14 06:00"), "ada")),
    ]
    build.put_source_files(making.act, "flights", data.arrived(making, parts))
    return found


# ── release ──────────────────────────────────────────────────────────────────────────────────────


def _gates(level: float, rows: int, versus: tuple[int, float, float] | None, worst: float) -> list[GateResult]:
    """The verdicts of the four gates; `versus` is the champion's number, its metric and half the interval's width."""
    ends = round(level - 0.0101, 4), round(level + 0.0101, 4)
    found = [
        GateResult("auc ≥ 0.62", True, level, *ends, 0.62,
                   f"auc is {level} (95 % interval {ends[0]} to {ends[1]}, {rows:,} test rows): ≥ 0.62"),
        _versus(level, rows, *versus) if versus else GateResult(
            "auc versus champion", True, None, None, None, -0.002, "first version: nothing to compare with"),
    ]  # fmt: skip
    slices = [
        {"value": name, "rows": count, "metric": round(worst + step, 4), "low": round(worst + step - 0.03, 4),
         "high": round(worst + step + 0.03, 4), "p": p, "verdict": "failed" if p < 0.05 else "passed"}
        for name, count, step, p in (("EV", 493, 0.0, 0.0021 if worst < 0.58 else 0.9), ("US", 521, 0.019, 0.97),
                                     ("B6", 1030, 0.031, 0.98), ("DL", 2011, 0.052, 1.0))
    ]  # fmt: skip
    good = worst >= 0.58
    text = (f"auc is ≥ 0.58 in all 6 slices judged: the worst is 'EV' with {worst} on 493 rows" if good
            else f"auc is not ≥ 0.58 in 1 of 6 slices (Holm over 6): 'EV' {worst} (p = 0.0021)")  # fmt: skip
    found += [
        GateResult("auc ≥ 0.58 by carrier", good, worst, round(worst - 0.03, 4), round(worst + 0.03, 4), 0.58, text,
                   {"slices": slices, "unjudged": 0}),
        GateResult("latency_p99_ms ≤ 25", True, 5.935, None, None, 25.0, "latency_p99_ms is 5.935: ≤ 25"),
    ]  # fmt: skip
    return found


def _versus(level: float, rows: int, number: int, old: float, half: float) -> GateResult:
    difference = round(level - old, 4)
    low, high = round(difference - half, 4), round(difference + half, 4)
    outcome = (
        "better" if low > 0 else "as good" if low >= -0.002 else "worse" if high < 0 else "not shown to be as good"
    )
    text = (
        f"auc is {level} against {old} of version {number} on the same {rows:,} test rows: {outcome} (difference "
        f"{difference}, 95 % interval {low} to {high} two-sided, DeLong; margin 0.002)"
    )
    details = {"champion": old, "challenger": level, "margin": 0.002, "confidence": 0.95, "method": "DeLong",
               "rows": rows, "known_rows": 0}  # fmt: skip
    return GateResult("auc versus champion", low >= -0.002, difference, low, high, -0.002, text, details)


def _models(making: Making, settings: PipelineFile, source: Source, runs: dict[int, Run]) -> dict[int, ModelVersion]:
    """Five versions: one that served, one that failed its gates, the champion, one rejected, one that waits."""
    judged = {
        1: (runs[1], None, _gates(0.7135, 3616, None, 0.6541)),
        2: (runs[5], 1, _gates(0.6588, 5139, (1, 0.6693, 0.0065), 0.5312)),
        3: (runs[6], 1, _gates(0.7278, 5139, (1, 0.6693, 0.0071), 0.6796)),
        4: (runs[10], 3, _gates(0.7302, 5139, (3, 0.7278, 0.0038), 0.6623)),
        5: (runs[12], 3, _gates(0.7364, 6692, (3, 0.6911, 0.0069), 0.6702)),
    }
    made = {
        number: models.model(making, settings, run, number, (champion, results), source)
        for number, (run, champion, results) in judged.items()
    }
    served.say(making, made[1], "approved", "ben", "first version: looks right", moment("06-01 09:00"))
    served.say(making, made[3], "approved", "ben", "better than :1, on newer data too", moment("08-02 08:00"))
    text = "leans on plane_seats, which a third of the flights do not have"
    served.say(making, made[4], "rejected", "ada", text, moment("09-11 09:20"))
    return made


def _serve(making: Making, settings: PipelineFile, made: dict[int, ModelVersion]) -> None:
    """Version 1 served until 2 August; version 3 has served since."""
    since = {1: moment("06-01 09:00"), 3: moment("08-02 08:00")}
    for number, at in since.items():
        later = at + timedelta(minutes=10)
        served.point(making, made[number], "champion", "approved by ben", at, "ben")
        built = served.bento(making, made[number], later - timedelta(minutes=1), "ada")
        serving: Deployment = served.deployment(making, built, settings, later, "ada", alive=number == 3)
        if number == 1:
            release.end_deployment(making.act, replace(serving, stopped_at=since[3] + timedelta(minutes=10)))
        served.point(making, made[number], "live", "deployment flight-delay", later, "ada")


# ── watch ────────────────────────────────────────────────────────────────────────────────────────


def _watch(making: Making, runs: dict[int, Run]) -> None:
    watch.answered(making, "flight-delay", 3)
    reports = [
        watch.report("flight-delay", "flight-delay", 3, range(8), moment("10-10 06:00")),
        watch.report("flight-delay", "flight-delay", 3, range(1, 9), moment("10-15 11:50")),
    ]
    for one in reports:
        watch.put_report(making, one)
    _decisions(making, runs)
    waits = "flight-delay:5 waits for 1 more approval by someone other than ben, who started the run"
    worse = "flight-delay:2: auc is not ≥ 0.58 in 1 of 6 slices (Holm over 6): 'EV' 0.5312 (p = 0.0021)"
    rules.notice(making, "gate_failed", "flight-delay:2", worse, moment("08-01 06:11"))
    rules.notice(making, "promoted", "flight-delay", "flight-delay:3 serves at http://127.0.0.1:3999",
                 moment("08-02 08:11"))  # fmt: skip
    rules.notice(
        making,
        "fired",
        "flight-delay",
        "drift: 4 of 12 features drifted in 2013-10-03..2013-10-10",
        moment("10-14 06:20"),
    )
    rules.notice(making, "waiting", "flight-delay:5", f"{waits}: mlops models approve flight-delay:5 --comment …",
                 moment("10-14 06:22"), error="webhook: it answered 503", again=True)  # fmt: skip


def _decisions(making: Making, runs: dict[int, Run]) -> None:
    """Quiet, quiet, held by a data fault, fired and answered by the last run, fired and open."""
    fault = f"wind_speed: {watch.UNIT} (in the window from 2013-09-26 00:00)"
    held = f"by data fault: {fault}; mend the source, it is not trained on"
    champion, last, trained = "flight-delay:3", runs[12], runs[6].started_at
    answer = "waits: approval: flight-delay:5 waits for 1 more approval by someone other than ben, who started the run"
    asked = {
        4: Asked("flight-delay", moment("09-20 06:00"), "flights:2", champion),
        5: Asked("flight-delay", moment("09-27 06:00"), "flights:2", champion),
        6: Asked("flight-delay", moment("10-04 06:00"), "flights:3", champion, held=held, faults=(fault,)),
        7: Asked("flight-delay", moment("10-14 06:20"), "flights:4", champion, run=last.id, outcome=answer,
                 answered_at=moment("10-14 06:22")),
        8: Asked("flight-delay", moment("10-15 11:55"), "flights:4", champion),
    }  # fmt: skip
    for week, one in asked.items():
        windows = watch.window(week, 3), watch.window(min(week, 7), 3)
        rules.decide(making, one, rules.flight_rules(*windows, one.at, trained))


def _logs(making: Making, run: Run) -> None:
    """What the last run and the server wrote."""
    home, at = making.workspace.home, run.started_at
    steps = [("split", "which rows train, validate and test", 0, 0), ("features", "21,748 rows to train on", 0, 0)]
    steps += [("train", f"round {number}", number, 300) for number in models.ROUNDS]
    lines = [
        {"at": at + timedelta(seconds=n), "step": step, "text": text, "done": done, "total": total,
         "values": {"auc": round(0.7 + n / 400, 4)} if total else {}}
        for n, (step, text, done, total) in enumerate(steps)
    ]  # fmt: skip
    folder = making.workspace.run_folder(run.id)
    folder.mkdir(parents=True)
    (folder / "progress.jsonl").write_bytes(b"".join(to_json(line) + b"\n" for line in lines))
    text = "".join(f"2013-10-15T11:{minute}:00Z INFO POST /predict 200 4.{minute} ms\n" for minute in range(30, 60))
    (home / "log" / "deployment-flight-delay.log").write_text(text, encoding="utf-8")
