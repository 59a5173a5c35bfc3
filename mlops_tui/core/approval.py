"""Whether a model version may go live: pure, from its gate report and what people said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlops_tui.records import Approval, GateReport, ModelVersion

State = Literal["new", "failed", "waiting", "approved", "rejected", "lapsed", "undecided"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model version stands, who approved it, how many reviewers are missing, and why in one sentence."""

    state: State
    approvers: tuple[str, ...]
    missing: int
    sentence: str
    rejecters: tuple[str, ...] = ()


def is_settled(version: ModelVersion, now: Standing) -> bool:
    """Return whether an approval has been written down: what a pipeline approves by itself waits for its word too."""
    return now.state == "approved" and (version.approval == "manual" or bool(now.approvers))


def is_outdated(report: GateReport, champion: int | None) -> bool:
    """Return whether a report compared its version with a champion that is not the champion any more."""
    return report.versus and champion not in (None, report.version, report.champion)


def among(now: Standing, version: ModelVersion, newest: int) -> Standing:
    """Return where a version stands beside its model's newest: nobody is waited for where there is a newer one."""
    if now.state != "waiting" or version.version >= newest:
        return now
    return replace(now, state="undecided", sentence=f"not decided on: :{newest} is newer")


def tenures(moves: Iterable[int | None]) -> list[int]:
    """Return the champions that led to the newest one, oldest first; `moves` are where the alias went, oldest first.

    They are a stack: a new champion is put on top, one that was in it already takes it back to where it was. So
    going back twice leads two champions back, and not to the one that was left.

    >>> tenures([1, 2, 3, 2])
    [1, 2]
    """
    found: list[int] = []
    for number in moves:
        if number in found:
            del found[found.index(number) + 1 :]
        elif number is not None:
            found.append(number)
    return found


def standing(version: ModelVersion, approvals: Sequence[Approval]) -> Standing:
    """Return where a version stands; `approvals` are all that was said of it, oldest first.

    A word counts if it was said of the content as it is now; of each person the last word counts; whoever
    started the run counts only where the pipeline asks for no reviewer.
    """
    subject = version.subject()
    last = {approval.name: approval for approval in approvals if approval.subject == subject}
    names = tuple(sorted(name for name, word in last.items() if word.verdict == "approved"))
    rejected = tuple(sorted(name for name, word in last.items() if word.verdict == "rejected"))
    independent = [name for name in names if name.casefold() != version.author.casefold()]
    if version.gates_passed is None:
        return Standing("new", names, version.reviewers, "no gate has judged it yet")
    if rejected:
        return Standing("rejected", names, version.reviewers, f"rejected by {', '.join(rejected)}", rejected)
    if not version.gates_passed:
        return Standing("failed", names, version.reviewers, "a gate failed")
    if version.approval == "auto":
        return Standing("approved", names, 0, "every gate passed, and the pipeline approves what does")
    if names and len(independent) >= version.reviewers:
        return Standing("approved", names, 0, f"approved by {', '.join(names)}")
    missing = max(version.reviewers - len(independent), 1)
    if any(approval.verdict == "approved" and approval.subject != subject for approval in approvals) and not names:
        return Standing("lapsed", names, missing, "approved once, but what was approved has changed since")
    who = "anyone" if version.reviewers == 0 else f"someone other than {version.author}, who started the run"
    return Standing("waiting", names, missing, f"waits for {missing} more approval by {who}")
