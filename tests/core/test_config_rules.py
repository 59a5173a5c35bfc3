"""What a pipeline file says of watching: what may be said, and how a mistake is answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from mlops_tui.config import PipelineFile, RuleSet, load_pipeline, load_rules
from mlops_tui.config.rules import KEYS, Rule
from mlops_tui.errors import InvalidInput, NotFound

EVERY_RULE = """
[policy]
combine = "any"
cooldown = "2d"
max_cycles_per_week = 3
quiet_hours = ["22:00-06:00", "12:00-13:00"]
tz = "Europe/Vienna"
on_fault = "ignore"
[[rules]]
when = "schedule"
cron = "0 6 * * mon"
tz = "Europe/Vienna"
[[rules]]
when = "new_data"
growth = 0.2
[[rules]]
when = "drift"
name = "weather"
share = 0.3
features = ["temp"]
windows = 2
[[rules]]
when = "prediction_drift"
windows = 2
[[rules]]
when = "estimated_decay"
min = 0.62
[[rules]]
when = "gain"
min = 0.01
confidence = 0.9
[[rules]]
when = "change"
of = ["contract"]
[[rules]]
any = [{ when = "age", days = 0.5 }, { all = [{ when = "decay", drop = 0.02 }, { when = "new_data", rows = 1000 }] }]
"""
PIPELINE = """
[pipeline]
name = "p"
[data]
dataset = "d"
source = "d.csv"
time = "at"
[target]
column = "y"
task = "binary"
"""


def loaded(folder: Path, text: str) -> RuleSet:
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return load_rules(path)


def mistakes(folder: Path, text: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        loaded(folder, text)
    assert caught.value.hint == "docs/pipeline-file.md lists every key"
    return caught.value.message.removeprefix(f"{folder / 'rules.toml'}: ")


def test_every_kind_of_rule_can_be_said(tmp_path: Path) -> None:
    found = loaded(tmp_path, EVERY_RULE)
    assert {kind for rule in found.chosen for kind in rule.kinds()} == set(KEYS)
    assert [rule.label for rule in found.chosen] == [
        "schedule", "new_data", "weather", "prediction_drift", "estimated_decay", "gain", "change",
        "any(age, all(decay, new_data))",
    ]  # fmt: skip
    assert [leaf.when for leaf in found.chosen[-1].leaves()] == ["age", "decay", "new_data"]


def test_the_rules_of_a_pipeline_file_can_be_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(PIPELINE + EVERY_RULE, encoding="utf-8")
    assert load_rules(path) == load_pipeline(path).rule_set == loaded(tmp_path, EVERY_RULE)


def test_rules_that_are_not_written_are_the_default_and_none_are_never(tmp_path: Path) -> None:
    assert [rule.label for rule in loaded(tmp_path, "").chosen] == ["gain"]
    assert loaded(tmp_path, "rules = []").chosen == ()


MISTAKES = [
    ('when = "drfit"', "rules.1.when: found 'drfit'; input should be 'schedule', 'new_data', 'drift', "
     "'prediction_drift', 'decay', 'estimated_decay', 'gain', 'age' or 'change'"),
    ('when = "drift"\nshrae = 0.3', "rules.1.shrae: unknown key; did you mean 'share'?"),
    ('when = "prediction_drift"\nshare = 0.3', "rules.1: prediction_drift takes windows; found 'share'"),
    ('when = "drift"\ndrop = 0.3', "rules.1: drift takes share, features, windows; found 'drop'"),
    ('when = "drift"\nshare = 1.5', "rules.1.share: found 1.5; input should be less than or equal to 1"),
    ('when = "drift"\nfeatures = []', "rules.1.features: found []; list should have at least 1 item"),
    ('when = "drift"\nwindows = 0', "rules.1.windows: found 0; input should be greater than or equal to 1"),
    ('when = "schedule"', "rules.1: schedule needs 'cron'"),
    ('when = "schedule"\ncron = "0 25 * * *"', "rules.1.cron: '25' is no hour of a cron line: 0 to 23"),
    ('when = "schedule"\ncron = "6:00"', "rules.1.cron: a cron line has five fields: minute hour day month weekday"),
    ('when = "schedule"\ncron = "0 6 * * *"\ntz = "Vienna"', "rules.1.tz: "),
    ('when = "schedule"\ncron = "0 6 * * *"\ntz = "../UTC"', "rules.1.tz: "),
    ('when = "age"', "rules.1: age needs 'days'"),
    ('when = "age"\ndays = 0', "rules.1.days: found 0; input should be greater than 0"),
    ('when = "age"\ndays = nan', "rules.1.days: found nan; input should be a finite number"),
    ('when = "age"\ndays = "30d"', "rules.1.days: found '30d'; input should be a valid number"),
    ('when = "new_data"', "rules.1: new_data needs either 'rows' or 'growth'"),
    ('when = "new_data"\nrows = 9\ngrowth = 0.1', "rules.1: new_data needs either 'rows' or 'growth'"),
    ('when = "gain"\nconfidence = 0.5', "rules.1.confidence: found 0.5; input should be greater than 0.5"),
    ('when = "change"\nof = ["model"]', "rules.1.of.1: found 'model'; input should be 'pipeline', 'code' or"),
    ('name = "x"', "rules.1: a rule has one of 'when', 'all' and 'any'; found none"),
    ('when = "gain"\nall = [{ when = "gain" }]', "rules.1: a rule has one of 'when', 'all' and 'any'; found when"),
    ("all = []", "rules.1.all: found []; list should have at least 1 item"),
    ('share = 0.3\nany = [{ when = "drift" }]', "rules.1: any(drift) takes rules only; found 'share'"),
    ('all = [{ when = "gain" }, { any = [{ when = "age" }] }]', "rules.1.all.2.any.1: age needs 'days'"),
    ('all = [{ when = "age", days = 3, hours = 2 }]', "rules.1.all.1.hours: unknown key; "),
    ('when = "gain"\n[[rules]]\nall = [{ when = "gain" }]', "rules: gain may be said once"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "words"), MISTAKES)
def test_a_mistake_in_a_rule_says_where_it_is_and_what_is_allowed(rule: str, words: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, f"[[rules]]\n{rule}").startswith(words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('combine = "both"', "policy.combine: found 'both'; input should be 'any' or 'all'"),
        ('cooldown = "2 days"', "policy.cooldown: a duration is a number and a unit"),
        ('cooldwon = "2d"', "policy.cooldwon: unknown key; did you mean 'cooldown'?"),
        ("max_cycles_per_week = 0", "policy.max_cycles_per_week: found 0; input should be greater than or equal to 1"),
        ('quiet_hours = ["12:00-13:00", "22-6"]', "policy.quiet_hours.2: quiet hours are written as '22:00-06:00'"),
        ('quiet_hours = ["22:00-24:00"]', "policy.quiet_hours.1: "),
        ('quiet_hours = "22:00-06:00"', "policy.quiet_hours: found '22:00-06:00'; input should be a valid list"),
        ('tz = "Mars/Olympus"', "policy.tz: "),
        ('on_fault = "stop"', "policy.on_fault: found 'stop'; input should be 'hold' or 'ignore'"),
    ],
)
def test_a_mistake_in_the_policy_says_where_it_is_and_what_is_allowed(line: str, words: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, f"[policy]\n{line}").startswith(words)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = '[policy]\ncombine = "both"\n[[rules]]\nwhen = "age"\n[[rules]]\nwhen = "drift"\nshare = 2\n'
    lines = mistakes(tmp_path, text).splitlines()
    assert lines[0].endswith("rules.toml has 3 mistakes:")
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["rules.1", "rules.2.share", "policy.combine"]


def test_a_file_that_is_none_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no file .*none\.toml"):
        load_rules(tmp_path / "none.toml")
    with pytest.raises(InvalidInput, match="is not TOML"):
        loaded(tmp_path, "[[rules]")


def test_a_pipeline_says_what_its_rules_need() -> None:
    base = {"pipeline": {"name": "p"}, "data": {"dataset": "d", "source": "d.csv"}}
    target = {"column": "y", "task": "binary"}
    for extra, words in (
        ({"rules": [{"any": [{"when": "gain"}]}]}, "rules: gain tests on the newest rows, and needs [data] time"),
        ({"monitor": {"metric": "aucc"}}, "monitor: metric 'aucc' is not one of task binary; did you mean 'auc'?"),
        ({"monitor": {"metric": "rmse"}}, "monitor: metric 'rmse' is not one of task binary; known: auc, "),
    ):
        with pytest.raises(ValidationError) as caught:
            PipelineFile.model_validate(base | {"target": target} | extra)
        assert words in str(caught.value)


def test_a_rule_is_called_by_its_name_else_by_what_it_is() -> None:
    assert Rule(when="drift").label == "drift"
    assert Rule(when="drift", name="weather").label == "weather"
    assert Rule(all=[Rule(when="drift", name="weather"), Rule(any=[Rule(when="gain")])]).label == (
        "all(weather, any(gain))"
    )
