"""The champion's answers to the challenger's rows, so that both can be measured alike; or why they cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mlops_tui.core.metrics import Answers, Rival
from mlops_tui.core.requests import frame_for
from mlops_tui.core.scoring import Floats, Scorer, label_values, score
from mlops_tui.core.target import labelled
from mlops_tui.errors import InvalidInput
from mlops_tui.records import Signature

if TYPE_CHECKING:
    from mlops_tui.config import Target


def rival(champion: Scorer, challenger: Scorer, test: Answers, frame: pl.DataFrame, settings: Target) -> Rival:
    """Return the champion's answers to the rows that `test`, the challenger's answers, are of.

    Both are judged by the challenger's truth and quantile; each keeps its own threshold, which is part of the model.
    """
    old, new = champion.signature, challenger.signature
    differs = _differs(old, new)
    if differs:
        return Rival(remark=f"the champion {differs}; give the new model another name, or drop this gate for one run")
    rows, _, _ = labelled(frame, settings)
    try:
        scores = score(champion, frame_for(old, rows))
    except InvalidInput as error:
        return Rival(remark=f"the champion cannot read these rows: {error.message}; drop this gate for one run")
    remark = ""
    if new.task == "multiclass":
        scores, remark = _among_all(old, new, scores)
    return Rival(replace(test, score=scores, threshold=old.threshold), remark=remark)


def _differs(old: Signature, new: Signature) -> str:
    """What the champion answers that the challenger does not, in words; "" if the answers can be compared."""
    if old.task != new.task:
        return f"is of task {old.task}, this model of {new.task}"
    if old.target != new.target:
        return f"predicts '{old.target}', this model '{new.target}'"
    if old.task == "quantile" and old.quantile != new.quantile:
        return f"predicts the quantile {old.quantile:g}, this model {new.quantile:g}"
    if old.task == "binary" and label_values(old) != label_values(new):
        return (
            f"tells '{old.classes[1]}' from '{old.classes[0]}', this model '{new.classes[1]}' from '{new.classes[0]}'"
        )
    return ""


def _among_all(old: Signature, new: Signature, scores: Floats) -> tuple[Floats, str]:
    """The champion's scores in the order of the challenger's classes, then its own others; one unknown to it has 0."""
    of_old, of_new = label_values(old), label_values(new)
    every = [*of_new, *(label for label in of_old if label not in of_new)]
    known = [at for at, label in enumerate(every) if label in of_old]
    spread = np.zeros((len(scores), len(every)))
    spread[:, known] = scores[:, [of_old.index(every[at]) for at in known]]
    unknown = [repr(str(label)) for label in of_new if label not in of_old]
    if not unknown:
        return spread, ""
    named = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
    return spread, f"the champion does not know {named}, to which it gives the probability 0"
