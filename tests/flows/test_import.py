"""A model from elsewhere is data that somebody may have made to do harm: it is refused, or it is a model."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tui.adapters import trial
from mlops_tui.core import boosters
from mlops_tui.core.fitting import OBJECTIVES
from mlops_tui.errors import InvalidInput
from mlops_tui.flows.release import exchange
from mlops_tui.flows.workspace import Workspace, init
from mlops_tui.records import Feature, Signature, Task, Transform, digest

NAMES = ("f0", "f1", "f2")
TRANSFORM = Transform(tuple(Feature(name, "numeric", name) for name in NAMES))


@cache
def booster(task: Task, objective: str, boosting: str = "gbdt", leaf: int = 3) -> str:
    """Train six small trees on 400 rows with missing values, the last column categorical."""
    rng = np.random.default_rng(7)
    matrix = rng.random((400, 3))
    matrix[:, 2] = rng.integers(0, 40, 400)
    matrix[rng.random((400, 3)) < 0.1] = np.nan
    label = np.nan_to_num(matrix[:, 0]) * 0.4 + 0.1 + 0.4 * (np.nan_to_num(matrix[:, 2]) * 7 % 10 > 4)
    if task == "multiclass":
        label = np.floor(label * 3)
    elif task in ("binary", "ranking") and objective != "cross_entropy":
        label = (label > 0.5).astype(float)
    params = {"objective": objective, "boosting": boosting, "num_leaves": 6, "min_data_in_leaf": leaf, "verbosity": -1}
    params |= {"bagging_freq": 1, "bagging_fraction": 0.7, "min_data_per_group": 5, "num_threads": 1, "cat_smooth": 1}
    params |= {"num_class": 3} if task == "multiclass" else {}
    data = lgb.Dataset(
        pl.DataFrame(matrix, schema=list(NAMES)), label + 0.01 * (objective in ("gamma", "tweedie")),
        categorical_feature=[2], group=[100] * 4 if task == "ranking" else None,
    )  # fmt: skip
    return str(lgb.train(params, data, 6).model_to_string(num_iteration=4))


def signature(task: Task) -> Signature:
    """A signature of a task; multiclass has three classes."""
    classes = {"binary": ("0", "1"), "multiclass": ("0", "1", "2")}.get(task, ())
    return Signature(task, "y", "Int64", (), classes)


EVERY = [(task, objective) for task, objectives in OBJECTIVES.items() for objective in objectives]


@pytest.mark.parametrize(("task", "objective"), EVERY)
def test_every_model_that_can_be_trained_here_passes(task: Task, objective: str) -> None:
    for boosting in ("gbdt", "dart", "rf"):
        boosters.check(booster(task, objective, boosting), TRANSFORM, signature(task))
    boosters.check(booster(task, objective, leaf=400), TRANSFORM, signature(task))  # trees of one leaf
    assert "cat_threshold" in booster(task, objective) or "num_cat=0" in booster(task, objective)


def test_the_models_have_categorical_splits() -> None:
    assert "cat_threshold=" in booster("binary", "binary")
    assert "cat_threshold=" in booster("multiclass", "multiclass")


def test_a_model_of_another_kind_is_refused() -> None:
    pairs: list[tuple[Task, Task]] = [("binary", "regression"), ("multiclass", "binary"), ("ranking", "quantile")]
    for task, other in pairs:
        with pytest.raises(InvalidInput, match="not a LightGBM model"):
            boosters.check(booster(task, OBJECTIVES[task][0]), TRANSFORM, signature(other))
    with pytest.raises(InvalidInput, match="max_feature_idx"):
        boosters.check(booster("binary", "binary"), Transform(TRANSFORM.features[:2]), signature("binary"))
    linear = booster("regression", "regression").replace("is_linear=0", "is_linear=1", 1)
    with pytest.raises(InvalidInput, match="linear"):
        boosters.check(linear, TRANSFORM, signature("regression"))


def sized(text: str) -> str:
    """The text with tree_sizes as they are now."""
    head, mark, rest = text.partition("\n\nTree=")
    trees = re.split(r"(?=Tree=\d+\n)", (mark[2:] + rest).partition("end of trees")[0])[1:]
    return re.sub(r"tree_sizes=.*", "tree_sizes=" + " ".join(str(len(tree)) for tree in trees), head) + mark + rest


def line(text: str, key: str, change: Callable[[list[str]], list[str]]) -> str:
    """The text with the values of every line of a key changed, and its sizes put right."""
    pattern = re.compile(rf"^{key}=(.+)$", re.MULTILINE)
    return sized(pattern.sub(lambda found: f"{key}=" + " ".join(change(found[1].split())), text))


HARM: dict[str, Callable[[str], str]] = {
    "a circle": lambda text: line(text, "left_child", lambda was: ["0"] * len(was)),
    "a node that is its own child": lambda text: line(text, "right_child", lambda was: [*was[:-1], str(len(was) - 1)]),
    "a leaf twice": lambda text: line(text, "left_child", lambda was: ["-1"] * len(was)),
    "a child that is not there": lambda text: line(text, "left_child", lambda was: ["1000000"] * len(was)),
    "a leaf that is not there": lambda text: line(text, "left_child", lambda was: ["-1000000"] * len(was)),
    "a feature that is not there": lambda text: line(text, "split_feature", lambda was: ["3"] * len(was)),
    "a feature below none": lambda text: line(text, "split_feature", lambda was: ["-1"] * len(was)),
    "too few thresholds": lambda text: line(text, "threshold", lambda was: was[:-1]),
    "too many leaf values": lambda text: line(text, "leaf_value", lambda was: [*was, "1"]),
    "a leaf that is no number": lambda text: line(text, "leaf_value", lambda was: ["nan", *was[1:]]),
    "an endless leaf": lambda text: line(text, "leaf_value", lambda was: ["inf", *was[1:]]),
    "more leaves": lambda text: line(text, "num_leaves", lambda was: ["100"]),
    "leaves beyond 32 bits": lambda text: line(text, "num_leaves", lambda was: ["4294967297"]),
    "no leaves": lambda text: line(text, "num_leaves", lambda was: ["0"]),
    "all splits categorical": lambda text: line(text, "decision_type", lambda was: ["1"] * len(was)),
    "sets of categories past the end": lambda text: line(text, "cat_boundaries", lambda was: [*was[:-1], "90000"]),
    "sizes that are shifted": lambda text: re.sub(r"tree_sizes=(\d+) (\d+)", r"tree_sizes=1\1 \2", text),
    "one size less": lambda text: re.sub(r"tree_sizes=\d+ ", "tree_sizes=", text),
    "sizes that are negative": lambda text: text.replace("tree_sizes=", "tree_sizes=-"),
    "more classes": lambda text: text.replace("num_class=1", "num_class=9"),
    "more classes in the objective": lambda text: text.replace("binary sigmoid:1", "binary num_class:900 sigmoid:1"),
    "another objective": lambda text: text.replace("binary sigmoid:1", "multiclass num_class:900"),
    "a number of digits without end": lambda text: line(text, "shrinkage", lambda _: ["1" * 9999]),
    "a deep end": lambda text: text.replace("pandas_categorical:null", "pandas_categorical:" + "[" * 100_000),
    "a cut": lambda text: text[: len(text) // 2],
    "nothing": lambda text: "",
}


@pytest.mark.parametrize("what", HARM)
def test_a_text_that_would_do_harm_is_refused(what: str) -> None:
    text = booster("binary", "binary")
    changed = HARM[what](text)
    assert changed != text
    with pytest.raises(InvalidInput, match="not a LightGBM model"):
        boosters.check(changed, TRANSFORM, signature("binary"))


def test_a_tree_deeper_than_the_stack_is_refused() -> None:
    deep, inner = 2001, 2000
    arrays = {
        "split_feature": ["0"] * inner, "split_gain": ["1"] * inner, "threshold": ["0.5"] * inner,
        "decision_type": ["2"] * inner, "left_child": [str(-at) for at in range(1, deep)],
        "right_child": [*map(str, range(1, inner)), str(-deep)], "leaf_value": ["1"] * deep,
        "leaf_weight": ["1"] * deep, "leaf_count": ["1"] * deep, "internal_value": ["0"] * inner,
        "internal_weight": ["1"] * inner, "internal_count": ["2"] * inner,
    }  # fmt: skip
    lines = [f"Tree=0\nnum_leaves={deep}\nnum_cat=0", *(f"{key}={' '.join(of)}" for key, of in arrays.items())]
    tree = "\n".join([*lines, "is_linear=0\nshrinkage=1\n\n\n"])
    text = booster("binary", "binary")
    head, tail = text.partition("Tree=0\n")[0], text.partition("end of trees")[2]
    with pytest.raises(InvalidInput, match="deeper"):
        boosters.check(sized(f"{head}{tree}end of trees{tail}"), TRANSFORM, signature("binary"))


# ── whatever is changed: refused, or a model that answers ────────────────────────────────────────

OPEN_ALL = """\
import sys
import lightgbm as lgb, numpy as np
rows = np.array([[0.1, 0.9, 3.0], [np.nan, np.nan, np.nan], [1e300, -1e300, 77.0], [-1.0, 0.0, -5.0]])
for text in sys.stdin.read().split("\\0"):
    try:
        model = lgb.Booster(model_str=text)
        model.predict(rows, num_threads=1)
        model.predict(rows, pred_contrib=True, num_threads=1)
    except lgb.basic.LightGBMError:
        pass
print("done")
"""
VALUES = ["0", "-1", "1", "2", "5", "-6", "-7", "99", "4294967296", "inf", "-inf", "nan", "1e309", "", " ", "x", "0.5"]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Signature]:
    """A real model's text with up to three changes, its sizes put right or left as they were."""
    task: Task = draw(st.sampled_from(["binary", "multiclass", "regression"]))
    text = booster(task, OBJECTIVES[task][0])
    for _ in range(draw(st.integers(1, 3))):
        tokens = [found.span() for found in re.finditer(r"[^\s=:\[\]]+", text[: text.index("\nparameters:")])]
        start, end = draw(st.sampled_from(tokens))
        how = draw(st.sampled_from(["value", "value", "value", "another", "line gone", "line twice", "byte"]))
        after = text.index("\n", end) + 1
        match how:
            case "value":
                text = text[:start] + draw(st.sampled_from(VALUES)) + text[end:]
            case "another":
                low, high = draw(st.sampled_from(tokens))
                text = text[:start] + text[low:high] + text[end:]
            case "line gone":
                text = text[: text.rfind("\n", 0, start) + 1] + text[after:]
            case "line twice":
                text = text[:after] + text[text.rfind("\n", 0, start) + 1 : after] + text[after:]
            case _:
                text = text[:start] + chr(draw(st.integers(1, 255))) + text[start + 1 :]
    return sized(text) if draw(st.booleans()) else text, signature(task)


def test_no_text_that_passes_ends_or_hangs_lightgbm() -> None:
    passed: list[str] = []

    @settings(max_examples=600)
    @given(mutated())
    def collect(made: tuple[str, Signature]) -> None:
        try:
            boosters.check(made[0], TRANSFORM, made[1])
        except InvalidInput:
            return
        passed.append(made[0])

    collect()
    assert len(passed) > 20, "nearly all is refused: this would prove nothing"
    done = subprocess.run(
        [sys.executable, "-c", OPEN_ALL], input="\0".join(passed), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.endswith("done\n")


# ── through the front door ───────────────────────────────────────────────────────────────────────


def contents(trained: Workspace) -> dict[str, bytes]:
    """What an export of the trained model holds, by name."""
    path = trained.root / "model.zip"
    exchange.export(trained, "flight-delay:1", path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def refused(there: Path, content: dict[str, bytes], words: str) -> None:
    """Import a file with these contents, every hash put right, and see it refused without a trace."""
    record = msgspec.json.decode(content["model.json"])
    record |= {name: digest(content[name]) for name in exchange.PIECES if name in content and record[name]}
    with zipfile.ZipFile(there / "bad.zip", "w") as archive:
        for name, data in (content | {"model.json": msgspec.json.encode(record)}).items():
            archive.writestr(name, data)
    workspace, _ = init(there / "there")
    with pytest.raises(InvalidInput, match=words) as error:
        exchange.take_in(workspace, there / "bad.zip")
    assert str(there / "bad.zip") in error.value.message
    assert list(workspace.objects.all()) == []


def changed(content: dict[str, bytes], name: str, **values: object) -> dict[str, bytes]:
    """The contents with keys of a JSON record changed."""
    return content | {name: msgspec.json.encode(msgspec.json.decode(content[name]) | values)}


def test_an_import_that_would_never_answer_is_refused(trained: Workspace, tmp_path: Path) -> None:
    content = contents(trained)
    circle = HARM["a circle"](content["booster"].decode())
    refused(tmp_path, content | {"booster": circle.encode()}, "do not form")


def test_an_import_that_answers_otherwise_is_refused(trained: Workspace, tmp_path: Path) -> None:
    content = contents(trained)
    other = re.sub(r"leaf_value=\S+", "leaf_value=0.25", content["booster"].decode())
    refused(tmp_path, content | {"booster": sized(other).encode()}, "golden answers")


def test_a_record_that_is_out_of_all_bounds_is_refused(trained: Workspace, tmp_path: Path) -> None:
    content = contents(trained)
    refused(tmp_path, changed(content, "model.json", signature=""), "signature does not have")
    refused(tmp_path, changed(content, "model.json", booster=None), "no exported model")
    refused(tmp_path, changed(content, "model.json", dataset_version=2**31), "out of range")
    refused(tmp_path, changed(content, "run.json", seed=-1), "out of range")
    refused(tmp_path, changed(content, "model.json", task="regression"), "task")
    for name in ("model.json", "run.json", "signature", "details"):
        deep = content | {name: b'{"a":' * 100_000}
        with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
            for piece, data in deep.items():
                archive.writestr(piece, data)
        with pytest.raises(InvalidInput, match=r"deep\.zip"):
            exchange.take_in(trained, tmp_path / "deep.zip")


def test_a_zip_that_is_damaged_or_locked_is_refused(trained: Workspace, tmp_path: Path) -> None:
    contents(trained)
    whole = (trained.root / "model.zip").read_bytes()
    for at in range(60, len(whole), len(whole) // 40):
        (tmp_path / "bad.zip").write_bytes(
            whole[:at] + bytes(byte ^ 0x5A for byte in whole[at : at + 9]) + whole[at + 9 :]
        )
        with pytest.raises(InvalidInput, match=r"bad\.zip"):
            exchange.take_in(trained, tmp_path / "bad.zip")
    locked = bytearray(whole)
    for mark, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        for found in re.finditer(re.escape(mark), whole):
            locked[found.start() + flags] |= 1
    (tmp_path / "bad.zip").write_bytes(locked)
    with pytest.raises(InvalidInput, match="encrypted"):
        exchange.take_in(trained, tmp_path / "bad.zip")


def test_the_process_aside_takes_what_gets_past_the_check(trained: Workspace) -> None:
    """The second line: a text that the check would refuse ends or hangs that process, and not this one."""
    content = contents(trained)
    files = {"booster.txt": HARM["a circle"](content["booster"].decode()).encode(), "model.json": b'{"model":"a:1"}'}
    files |= {f"{name}.json": content[name] for name in ("transform", "signature", "golden")}
    with pytest.raises(InvalidInput, match="did not answer"):
        trial.open_aside(files, seconds=6)
    files["booster.txt"] = HARM["sizes that are shifted"](content["booster"].decode()).encode()
    with pytest.raises(InvalidInput, match="model"):
        trial.open_aside(files)
