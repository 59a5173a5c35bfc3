"""Every act of the screens: a key, what it is done to, what is asked first, and the CLI command that does it.

The screens have no acts of their own: a verb becomes a command line, which runs as a process of its own. So what is
done here can be copied, typed, scripted and cancelled, and the event loop never waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Noun = Literal[
    "workspace", "pipeline", "dataset", "run", "champion", "former", "model", "bento", "deployment", "report",
    "decision",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """What is under the cursor or on the page, what belongs to it (noun → reference), and which of them waits."""

    noun: Noun
    ref: str
    refs: Mapping[str, str] = field(default_factory=dict)
    waits: str = ""  # the noun whose acts are needed now

    def of(self, noun: str) -> str | None:
        """The reference of a noun that is here; None where there is none."""
        return self.ref if noun == self.noun else self.refs.get(noun)


WORKSPACE = Subject("workspace", "")


@dataclass(frozen=True, slots=True)
class Ask:
    """Something a verb must be told: a positional argument, or the value of a flag; an empty answer leaves it out."""

    label: str
    flag: str = ""
    required: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Verb:
    """An act: `command` is the CLI's, `words` what follows it; `warns` says what will happen, and asks first.

    `reads` marks an act that changes nothing: a read-only TUI allows it, and its text is shown; or, where `page` names
    one, that page is opened, by the reference and the answers, and starts the command itself.
    """

    key: str
    label: str
    command: str
    noun: Noun
    warns: str = ""
    asks: tuple[Ask, ...] = ()
    words: str = "{ref}"
    reads: bool = False
    yes: bool = False  # the command asks by itself: we have asked already
    page: str = ""

    def line(self, subject: Subject, answers: Sequence[str] = ()) -> list[str]:
        """Return the words of the command line, without `mlops`."""
        ref = subject.of(self.noun) or subject.ref
        refs = {**subject.refs, subject.noun: subject.ref, "ref": ref, "name": ref.partition(":")[0]}
        words = [*self.command.split(), *(word.format_map(_Blank(refs)) for word in self.words.split())]
        for ask, answer in zip(self.asks, answers, strict=False):
            if answer:
                words += [ask.flag, answer] if ask.flag else [answer]
        return [word for word in words if word] + (["--yes"] if self.yes else [])


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""


COMMENT = Ask("comment", "--comment", hint="why")
BY = Ask("by", "--by", hint="who signs; empty: the Unix user")
NAME = Ask("name", required=True)
PORT = Ask("port", "--port", hint="empty: that of [serve], else as before, else 3000")
SOURCE = Ask("source", required=True, hint="a file, a folder or a glob")
# fmt: off
VERBS: tuple[Verb, ...] = (
    # the cycle
    Verb("r", "run", "run", "pipeline", "Run every step of {ref} that is due: it may train, judge, build and deploy."),
    Verb("p", "plan", "plan", "pipeline", reads=True),
    # build
    Verb("f", "refresh", "datasets refresh", "dataset",
         "Read what is new in the source of {ref}; makes a new version if there is any.", words="{name}"),
    Verb("k", "check contract", "datasets check", "dataset", reads=True),
    Verb("w", "write to a file", "datasets export", "dataset",
         asks=(Ask("file", required=True, hint=".parquet .csv .jsonl .arrow"),), yes=True),
    Verb("K", "check file", "pipelines check", "pipeline", reads=True),
    Verb("N", "new pipeline", "pipelines new", "workspace", words="",
         asks=(NAME, SOURCE, Ask("target", "--target"))),
    Verb("D", "add a dataset", "datasets add", "workspace", words="",
         asks=(NAME, SOURCE, Ask("key", "--key"), Ask("time", "--time"))),
    Verb("h", "reproduce", "runs reproduce", "run",
         "Train {ref} again from what the catalogue holds and compare the bytes."),
    Verb("t", "stop training", "runs stop", "run", "Interrupt the training of {ref}; it ends as 'interrupted'."),
    # release
    Verb("a", "approve", "models approve", "model",
         "Approve {ref}; with the last missing approval it becomes champion.", asks=(COMMENT, BY)),
    Verb("x", "reject", "models reject", "model",
         "Reject {ref}; if it is the champion, the one before it is champion again.", asks=(COMMENT, BY)),
    Verb("s", "serve champion", "deployments start", "champion",
         "Serve {ref}: builds its Bento if it has none; what serves under its name is replaced.",
         words="{ref} {named}", asks=(PORT,)),  # a deployment's page says under which name
    Verb("s", "serve", "deployments start", "model",
         "Serve {ref}: builds its Bento if it has none; what serves under its name is replaced.",
         asks=(PORT, Ask("name", "--name", hint="empty: the model's"))),
    Verb("A", "alias", "models alias", "model", "Point an alias to {ref}; the champion is what the cycle serves.",
         asks=(Ask("alias", required=True, hint="as in champion"),)),
    Verb("e", "explain", "models explain", "model", reads=True,
         asks=(Ask("rows", hint="a file of rows; empty: the model as a whole"),)),
    Verb("u", "build Bento", "bentos build", "model", "Build a Bento of {ref} and prove it over HTTP."),
    Verb("C", "card", "models card", "model", reads=True),
    Verb("P", "predict a file", "models predict", "model",
         asks=(Ask("rows", required=True, hint="a file of rows"), Ask("to", required=True, hint="the file to write")),
         yes=True),
    Verb("w", "write to a file", "models export", "model", asks=(Ask("file", required=True, hint=".zip"),), yes=True),
    Verb("n", "canary", "deployments start", "model",
         "Put {ref} beside what serves: it answers a share of the requests, and is taken back where it breaks a bound.",
         asks=(Ask("share", "--canary", required=True, hint="of the requests, as in 10%"),
               Ask("beside", "--name", hint="a deployment; empty: the model's"))),
    Verb("S", "shadow", "deployments start", "model",
         "Put {ref} beside what serves: it scores the same requests and answers none, so that both can be compared.",
         asks=(Ask("beside", "--name", hint="a deployment; empty: the model's"),), words="{ref} --shadow"),
    Verb("I", "import a model", "models import", "workspace", words="",
         asks=(Ask("file", required=True, hint="a .zip"),)),
    Verb("w", "write to a file", "bentos export", "bento", yes=True,
         asks=(Ask("file", required=True, hint=".bento, or a .yaml"),
               Ask("as", "--as", hint="bento, compose or kubernetes; empty: bento"),
               Ask("image", "--tag", hint="in a .yaml; empty: the usual name"))),
    Verb("O", "make an image", "bentos containerize", "bento",
         "Build a container image of {ref}; the first one of a lock takes minutes.",
         asks=(Ask("name", "--tag", hint="empty: localhost/mlops/NAME:VERSION"),
               Ask("base", "--base", hint="empty: the official slim Python"),
               Ask("engine", "--engine", hint="podman, buildah or docker"),
               Ask("wheels", "--wheels", hint="a folder; nothing is fetched then"))),
    # serve and watch
    Verb("g", "monitor", "monitor run", "deployment",
         "Gather the predictions of {ref} and measure its newest windows, or those of a range, which no rule reads.",
         asks=(Ask("from", "--from", hint="as in 2013-05-01"), Ask("to", "--to", hint="up to this moment"),
               Ask("window", "--window", hint="as in 7d"))),
    Verb("l", "add labels", "labels add", "deployment",
         asks=(Ask("file", required=True, hint=".csv .parquet .jsonl"),)),
    Verb("z", "roll back", "deployments rollback", "former",
         "Make {ref} champion again, and serve it as {deployment}.", words="{deployment}",
         asks=(Ask("to", "--to", hint="another version"), COMMENT)),
    Verb("z", "roll back", "deployments rollback", "deployment",
         "Make an approved version champion again, and serve it as {ref}.",
         asks=(Ask("to", "--to", hint="as in flight-delay:3; empty: the champion before"), COMMENT)),
    Verb("t", "stop", "deployments stop", "deployment",
         "Stop {ref}; requests in flight are answered first, new ones are refused."),
    Verb("M", "promote", "deployments promote", "deployment",
         "Have the challenger beside {ref} answer all requests, and make it champion; no request is lost.",
         asks=(COMMENT,)),
    Verb("X", "take back", "deployments stop", "deployment",
         "Take the challenger beside {ref} back; what serves goes on as it is.", words="{ref} --challenger"),
    Verb("R", "send rows", "deployments call", "deployment",
         "Send the rows of a file to {ref}, as a client would; the monitor will read them too.",
         asks=(Ask("rows", "--rows", required=True, hint=".json .jsonl .csv .parquet .arrow"),)),
    Verb("U", "load test", "deployments bench", "deployment",
         "Put a load on {ref}, which its clients will feel, and measure how much it answers and how fast.",
         asks=(Ask("seconds", "--seconds", hint="empty: 5"), Ask("connections", "--connections", hint="empty: 8"),
               Ask("rows", "--rows", hint="of a request; empty: 1"), Ask("requests", "--requests", hint="at most"))),
    Verb("c", "check rules", "rules check", "pipeline", "Ask all rules of {ref} now; the decision is kept."),
    Verb("b", "backtest", "rules backtest", "pipeline", reads=True,
         asks=(Ask("step", "--step", hint="as in 7d or 1mo; empty: the pipeline's window"),
               Ask("from", "--from", hint="as in 2013-05-01"), Ask("to", "--to", hint="up to this moment"),
               Ask("policy", "--policy", hint="other rules: NAME=FILE")), page="backtest"),
    # keep
    Verb("V", "verify audit", "audit verify", "workspace", words="", reads=True),
    Verb("H", "doctor", "doctor", "workspace", words="", reads=True),
    Verb("B", "back up", "backup", "workspace", words="", asks=(Ask("file", required=True, hint="a .tar"),), yes=True),
    Verb("G", "collect garbage", "gc", "workspace", "Remove every object that nothing names, and old monitor reports.",
         words="", yes=True),
    Verb("W", "agent once", "agent run", "workspace",
         "Do one wake of the agent: refresh, monitor, ask the rules, run what is due.", words="--once"),
)
# fmt: on
"""In the order in which they are offered; of one key, the first whose noun is here is meant."""


def fitting(subject: Subject) -> list[Verb]:
    """Return all verbs that fit, some with the same key: its own, of what belongs to it, of the workspace."""
    own = [verb for verb in VERBS if verb.noun in _own(subject)]
    others = [verb for verb in VERBS if verb.noun in (*subject.refs, "workspace") and verb not in own]
    if subject.noun == "model":  # its training has ended
        others = [verb for verb in others if verb.command != "runs stop"]
    return [*own, *others]


def _own(subject: Subject) -> set[str]:
    """The nouns whose acts are a subject's own: a deployment's rollback is done to the champion before."""
    return {subject.noun, *({"former"} & subject.refs.keys() if subject.noun == "deployment" else ())}


def for_subject(subject: Subject) -> list[Verb]:
    """Return the verbs that fit, each key once: of what waits, its own, of what belongs to it, of the workspace."""
    found: dict[str, Verb] = {}
    for verb in fitting(subject):
        found.setdefault(verb.key, verb)
    last = len(VERBS)
    ranks = {
        "workspace": last,
        **{noun: at for at, noun in enumerate(subject.refs)},
        **dict.fromkeys(_own(subject), -1),
    }
    return sorted(found.values(), key=lambda verb: -2 if verb.noun == subject.waits else ranks.get(verb.noun, last))
