"""Bentos: what they carry, and that they answer as their model does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import bentoml
import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tui import golden, names
from mlops_tui.adapters import bento, ports, processes, proof
from mlops_tui.errors import External, InvalidInput, NotFound, Refused
from mlops_tui.records import Golden
from mlops_tui.service.bento import PASSED_BY
from tests.adapters import served

FORBIDDEN = ("duckdb", "typer", "textual", "mlops_tui.config", "mlops_tui.flows", "mlops_tui.cli", "mlops_tui.adapters")
WALK = """
import sys
sys.path.insert(0, sys.argv[1])
import service
from mlops_tui.service.model import load
from pathlib import Path
served = load(Path(sys.argv[1], "model"))
print("\\n".join(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def home() -> Path:
    return served.store()[1]


@pytest.fixture(scope="module")
def built() -> bento.Built:
    return served.store()[2]


def walk(source: Path) -> list[str]:
    """Import and load a Bento's code with nothing of the checkout in reach; returns the modules it took."""
    command = [sys.executable, "-P", "-c", WALK, str(source)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd="/", env={"BENTOML_DO_NOT_TRACK": "true"}
    )
    return done.stdout.split()


def test_a_bento_carries_exactly_the_modules_that_it_needs(built: bento.Built) -> None:
    loaded = walk(built.folder / "src")
    ours = {name for name in loaded if name.split(".")[0] == "mlops_tui"}
    carried = {
        f"mlops_tui/{name}".removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in bento.CARRIED
    }
    assert ours == carried
    assert not [name for name in loaded if name.startswith(FORBIDDEN)]


def test_a_bento_names_nothing_of_this_machine(built: bento.Built, home: Path) -> None:
    paths = (str(home), str(bento.PACKAGE.parent), str(Path.home() / ""))
    for path in built.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not [text for text in paths if len(text) > 5 and text.encode() in data], path


def test_a_bento_is_marked_locked_and_compiled(built: bento.Built, home: Path) -> None:
    source = built.folder / "src"
    assert (built.tag, built.model, built.approved) == ("tiny:3", "tiny:3", False)
    about = msgspec.json.decode((source / "model" / "model.json").read_bytes())
    assert (about["bento"], about["approved"], about["model"]) == ("tiny:3", False, "tiny:3")
    assert "  approved: 'false'" in (built.folder / "bento.yaml").read_text()
    assert len(list(source.rglob("*.pyc"))) == len(list(source.rglob("*.py")))
    locked = (built.folder / "env" / "python" / "requirements.txt").read_text()
    assert "bentoml==1.4.39" in locked
    assert all("--hash=sha256:" in block for block in locked.split("\n\n") if "==" in block)
    assert "index-url" not in locked
    assert list((home / "tmp").iterdir()) == []


def test_a_bento_answers_as_its_model_does(home: Path, tmp_path: Path) -> None:
    parity = proof.prove(home, "tiny:3", served.golden(served.booster()), tmp_path)
    assert (parity.rows, parity.max_difference) == (16, 0.0)
    assert 0 < parity.latency_ms_p50 <= parity.latency_ms_p99 < 1000


def test_a_bento_that_answers_otherwise_is_refused_with_row_and_field(home: Path, tmp_path: Path) -> None:
    right = served.golden(served.booster())
    wrong = [*right.answers[:4], right.answers[4] | {"probability": 0.5}, *right.answers[5:]]
    with pytest.raises(Refused, match=r"Bento tiny:3 does not answer .* row 5, probability: expected 0\.5, found"):
        proof.prove(home, "tiny:3", Golden(right.rows, tuple(wrong)), tmp_path)
    with pytest.raises(InvalidInput, match="no golden rows"):
        proof.prove(home, "tiny:3", Golden((), ()), tmp_path)


def test_a_model_that_fails_its_own_golden_rows_does_not_become_ready(tmp_path: Path) -> None:
    right = served.golden(served.booster())
    first = right.answers[0] | {"probability": 2.0}
    damaged = served.contents(
        golden_json=msgspec.json.encode({"rows": right.rows, "answers": (first, *right.answers[1:])})
    )
    bento.build(tmp_path, damaged, "damaged", "1")
    with pytest.raises(External, match=r"died while starting(.|\n)*does not give its golden answers here: row 1, prob"):
        proof.prove(tmp_path, "damaged:1", right, tmp_path / "work")


def test_list_replace_find_and_remove(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bentos" / "tiny"
    copy.mkdir(parents=True)
    source = home / "bentos" / "tiny" / "3"
    for version in ("3", "4"):
        subprocess.run(["cp", "-r", str(source), str(copy / version)], check=True)
    assert {item.tag for item in bento.list_bentos(tmp_path)} == {"tiny:3", "tiny:4"}
    with pytest.raises(NotFound, match="no Bento 'tiny:5'; did you mean 'tiny:"):
        bento.find(tmp_path, "tiny:5")
    bento.remove(tmp_path, "tiny:4")
    assert (copy / "latest").read_text() == "3"
    bento.remove(tmp_path, "tiny:3")
    assert bento.list_bentos(tmp_path) == []
    assert not copy.exists()


def test_an_export_is_the_same_bytes_twice_and_bentoml_imports_it(home: Path, tmp_path: Path) -> None:
    first, second = (bento.export(home, "tiny:3", tmp_path / name) for name in ("a.bento", "b.bento"))
    assert first.read_bytes() == second.read_bytes()
    packed = bento.export(home, "tiny:3", tmp_path / "c.tar.gz")
    with tarfile.open(packed) as archive:
        assert {"bento.yaml", "src/service.py", "src/model/booster.txt"} <= set(archive.getnames())
    command = [sys.executable, "-m", "bentoml", "import", str(first)]
    subprocess.run(command, env=processes.environment(tmp_path / "other"), check=True, capture_output=True)
    assert [item.tag for item in bento.list_bentos(tmp_path / "other")] == ["tiny:3"]
    with pytest.raises(InvalidInput, match=r"exported as \.bento or \.tar\.gz"):
        bento.export(home, "tiny:3", tmp_path / "d.zip")
    with pytest.raises(External, match="cannot write"):
        bento.export(home, "tiny:3", tmp_path / "nowhere" / "d.bento")


def test_a_failed_build_tells_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(External, match=r"BentoML did not build Not A Name:1; its last words:\n"):
        bento.build(tmp_path, served.contents(), "Not A Name", "1")
    assert bento.list_bentos(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


leaf = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3)
answer = st.dictionaries(st.text("ab", max_size=2), leaf | st.dictionaries(st.text("ab", max_size=2), leaf), max_size=3)


@given(st.lists(answer, max_size=4))
def test_answers_equal_themselves(answers: list[dict[str, object]]) -> None:
    assert golden.compare(answers, answers) == golden.Difference(0.0, None)


@pytest.mark.parametrize("found", [{"p": 1.0 + 1e-9}, {"p": "1.0"}, {"p": True}, {"p": None}, {}, {"p": 1.0, "q": 1}])
def test_any_other_answer_is_found_out(found: dict[str, object]) -> None:
    assert golden.compare([{"p": 1.0}], [found]).where is not None
    assert golden.compare([{"p": 1.0}], [{"p": 1.0}, found]).where == "expected 1 answers, found 2"


@given(st.sampled_from(["flight-delay", "a.b", "x" * 63]) | st.from_regex(names.NAME, fullmatch=True))
def test_every_name_of_a_model_gives_a_tag_of_its_own(name: str) -> None:
    name = name[:63].rstrip("-_.")
    tag = bento.tag_name(names.check_name(name))
    assert re.fullmatch(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?", tag)
    assert len(tag) <= 63
    others = {name.lower(), name.upper(), name.swapcase(), tag} - {name}
    assert tag not in {bento.tag_name(other) for other in others}
    assert (tag == name) == (name == name.lower() and not bento.HASHED.fullmatch(name))


def test_another_version_of_bentoml_answers_by_its_mounted_path_and_says_so(built: bento.Built, tmp_path: Path) -> None:
    folder = tmp_path / "bento"
    shutil.copytree(built.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    place = folder / "src" / "mlops_tui" / "service" / "bento.py"
    code = place.read_text()
    place.write_text(code.replace(f'PASSED_BY = "{PASSED_BY}"', 'PASSED_BY = "0.1"'))
    assert place.read_text() != code
    server = processes.Server(folder, tmp_path / "home", tmp_path / "log", port=ports.free_port())
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        answer = httpx.post(f"{server.url}/predict", json=list(served.ROWS), trust_env=False)
        assert answer.json()["predictions"] == list(served.golden(served.booster()).answers)
        assert httpx.post(f"{server.url}/predict", json=[{"a": "x"}], trust_env=False).status_code == 422
        assert "mlops_requests_total" in httpx.get(f"{server.url}/metrics", trust_env=False).text
    finally:
        processes.stop(process.pid, process.born)
    assert f"BentoML {bentoml.__version__} is not the 0.1 that this service knows" in server.log.read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no list of what a process has loaded")
def test_a_worker_loads_nothing_that_lightgbm_only_imports_because_it_is_there(
    built: bento.Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")  # it hides scikit-learn from all that tests start
    found = "import lightgbm; print('/sklearn/' in open('/proc/self/maps').read())"
    command = [sys.executable, "-c", found]
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout == "True\n"
    server = processes.Server(built.folder, tmp_path / "home", tmp_path / "log", port=ports.free_port())
    process = processes.start(server)
    try:
        processes.wait_ready(server, process, "tiny:3")
        pid = httpx.get(f"{server.url}/metadata", trust_env=False).json()["pid"]
        loaded = Path(f"/proc/{pid}/maps").read_text()
    finally:
        processes.stop(process.pid, process.born)
    assert "lib_lightgbm" in loaded
    assert "/sklearn/" not in loaded


def test_the_pinned_version_of_bentoml_is_the_one_whose_way_in_is_known() -> None:
    assert bentoml.__version__ == PASSED_BY, "read its to_asgi and its worker again before this changes"
