"""`--filter` on lists: the same language as on the screens."""

from __future__ import annotations

import pytest

from mlops_tui.flows.workspace import Workspace
from tests.cli.called import call


def test_lists_keep_what_the_filter_keeps(trained: Workspace) -> None:
    for noun, key in (("runs", "pipeline"), ("models", "model")):
        whole = call(trained.root, noun, "list", "--json").json["items"]
        assert [item[key] for item in whole] == ["flight-delay"]
        for text in ("", "auc>0.5 flight", "data:FLIGHTS -churn", "auc<=1"):
            assert call(trained.root, noun, "list", "--filter", text, "--json").json["items"] == whole
        for text in ("auc>1", "-flight", "by=nobody"):
            assert call(trained.root, noun, "list", "--filter", text, "--json").json == {"items": []}
        best = call(trained.root, "runs", "list", "--filter", "auc>0", "--sort", "auc", "--limit", 1, "--json")
        assert len(best.json["items"]) == 1
        printed = call(trained.root, noun, "list", "flight-delay", "--filter", "flight")
        assert printed.out == call(trained.root, noun, "list").out
        assert "fits the filter" in call(trained.root, noun, "list", "--filter", "zzz").out


@pytest.mark.parametrize("noun", ["runs", "models"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--filter", "auc>"), "auc> is half a term: a number is to follow"),
        (("--filter", "acu>1"), "no field 'acu'; did you mean 'auc'?"),
        (("flight-dlay", "--filter", "auc>1"), "did you mean 'flight-delay'?"),
    ],
)
def test_a_wrong_filter_is_bad_input(trained: Workspace, noun: str, words: tuple[str, ...], message: str) -> None:
    done = call(trained.root, noun, "list", *words, "--json")
    assert done.code == 2
    assert message in done.json["error"]["message"]
