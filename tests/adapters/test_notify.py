"""Webhooks and commands: real receivers on this machine, that answer, refuse, stall, redirect and drip."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tui.adapters import notify, units
from mlops_tui.adapters.notify import Command, Failure, Webhook
from mlops_tui.adapters.ports import free_port
from mlops_tui.config import NotifySettings
from mlops_tui.errors import InvalidInput
from tests.adapters.receiver import Receiver, receiver

KEY = b"a key of the team's"
BODY = b'{"kind":"fired"}'


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_a_post_carries_its_id_its_time_and_a_signature_that_a_receiver_can_check(there: Receiver) -> None:
    assert Webhook(f"{there.url}/in?team=a", KEY, 5).send("abc", 1_700_000_000, BODY) is None
    (got,) = there.got
    assert (got.path, got.body, got.headers["Content-Type"]) == ("/in?team=a", BODY, "application/json")
    assert (got.headers["X-Mlops-Id"], got.headers["X-Mlops-Timestamp"]) == ("abc", "1700000000")
    expected = hmac.new(KEY, b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert got.headers["X-Mlops-Signature"] == f"sha256={expected}"


def test_without_a_key_nothing_is_signed(there: Receiver) -> None:
    assert Webhook(there.url, None, 5).send("abc", 1, BODY) is None
    assert "X-Mlops-Signature" not in there.got[0].headers
    assert "Authorization" not in there.got[0].headers


def test_a_login_in_the_address_is_a_header_and_not_a_host(there: Receiver) -> None:
    url = there.url.replace("http://", "http://ada:p%40ss@")
    assert Webhook(url, None, 5).send("abc", 1, BODY) is None
    assert there.got[0].headers["Authorization"] == "Basic YWRhOnBAc3M="


@pytest.mark.parametrize(
    ("status", "final"), [(500, False), (503, False), (408, False), (429, False), (400, True), (404, True), (410, True)]
)
def test_what_is_tried_again_is_what_may_pass(there: Receiver, status: int, final: bool) -> None:
    there.answers = [status]
    assert Webhook(there.url, KEY, 5).send("abc", 1, BODY) == Failure(f"answered {status}", final)


def test_a_redirect_is_not_followed(there: Receiver) -> None:
    there.answers = [302]
    found = Webhook(there.url, KEY, 5).send("abc", 1, BODY)
    assert found is not None
    assert found.final
    assert len(there.got) == 1


def test_a_receiver_that_is_not_there_or_does_not_answer_costs_the_timeout_at_most(there: Receiver) -> None:
    url = f"http://127.0.0.1:{free_port()}/secret-path"
    gone = Webhook(url, KEY, 5).send("abc", 1, BODY)
    assert gone == Failure("cannot be reached: Connection refused")
    there.stall = True
    began = time.monotonic()
    assert Webhook(there.url, KEY, 0.3).send("abc", 1, BODY) is not None
    assert time.monotonic() - began < 3


def test_a_receiver_that_drips_is_cut_off() -> None:
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=[listener])
        thread.start()
        began = time.monotonic()
        Webhook(f"http://127.0.0.1:{listener.getsockname()[1]}", None, 0.4).send("abc", 1, BODY)
        took = time.monotonic() - began
        stop.set()
        thread.join()
    assert took < 3


def test_something_that_is_no_web_server_is_told_as_such() -> None:
    def babble(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=babble, args=[listener])
        thread.start()
        found = Webhook(f"http://127.0.0.1:{listener.getsockname()[1]}", None, 5).send("abc", 1, BODY)
        thread.join()
    assert found is not None
    assert "did not answer in HTTP" in found.error


def test_a_certificate_that_nobody_vouches_for_is_refused(there: Receiver) -> None:
    found = Webhook(there.url.replace("http:", "https:"), KEY, 5).send("abc", 1, BODY)
    assert found is not None
    assert "certificate" in found.error
    assert there.got == []


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def command(tmp_path: Path, program: str, timeout: float = 20) -> Command:
    return Command((sys.executable, "-c", program, "a word; $(with) 'signs'"), tmp_path, timeout)


def test_a_command_gets_the_notice_on_its_input_and_its_words_as_they_are(tmp_path: Path) -> None:
    program = "import sys; open('got', 'w').write(sys.stdin.read() + sys.argv[1])"
    assert command(tmp_path, program).send("abc", 1, BODY) is None
    assert (tmp_path / "got").read_text() == BODY.decode() + "a word; $(with) 'signs'"


def test_a_command_that_fails_or_is_not_there_says_so_and_nothing_of_its_words(tmp_path: Path) -> None:
    assert command(tmp_path, "exit(3)").send("abc", 1, BODY) == Failure("exit code 3")
    gone = Command(("/no/such/program", "secret"), tmp_path, 1).send("abc", 1, BODY)
    assert gone == Failure("cannot be run: No such file or directory")
    assert "secret" not in repr(Command(("secret",), tmp_path, 1))


def test_a_command_that_reads_nothing_is_no_failure(tmp_path: Path) -> None:
    assert command(tmp_path, "pass").send("abc", 1, b"x" * 1_000_000) is None


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('pids.new', 'w').write(str(child.pid)); import os; os.rename('pids.new', 'pids'); time.sleep(60)"
    )
    assert command(tmp_path, program, timeout=2).send("abc", 1, BODY) == Failure("still ran after 2 s")
    child, end = int((tmp_path / "pids").read_text()), time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < end
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


# ── settings ─────────────────────────────────────────────────────────────────────────────────────


def test_addresses_and_keys_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    settings = NotifySettings(webhook_env="HOOK", secret_file="key.txt", command=["true"])
    (tmp_path / "key.txt").write_bytes(KEY + b"\n")
    found = notify.channels(settings, tmp_path, {"HOOK": "https://hooks.example/T0/secret"})
    webhook = found["webhook"]
    assert isinstance(webhook, Webhook)
    assert (list(found), webhook.url, webhook.key) == (
        ["webhook", "command"], "https://hooks.example/T0/secret", KEY
    )  # fmt: skip
    assert "secret" not in repr(found)
    assert notify.channels(NotifySettings(), tmp_path, {}) == {}


@pytest.mark.parametrize(
    ("settings", "environment", "message"),
    [
        (NotifySettings(webhook_env="HOOK"), {}, "the variable HOOK"),
        (NotifySettings(webhook="http://a", secret_env="KEY"), {"KEY": ""}, "the variable KEY"),
        (NotifySettings(webhook="http://a", secret_file="no"), {}, "cannot be read: No such file"),
        (NotifySettings(webhook="http://a", secret_file="/dev/null"), {}, "is empty"),
        (NotifySettings(webhook_env="HOOK"), {"HOOK": "file:///secret"}, "is no address"),
        (NotifySettings(webhook_env="HOOK"), {"HOOK": "https://secret:99999/"}, "is no address"),
        (NotifySettings(webhook_env="HOOK"), {"HOOK": "https://secret/\r\nX: y"}, "is no address"),
        (NotifySettings(webhook_env="HOOK"), {"HOOK": "https://[secret/"}, "is no address"),
    ],
)
def test_what_is_missing_is_named_and_what_is_secret_is_not(
    tmp_path: Path, settings: NotifySettings, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as found:
        notify.channels(settings, tmp_path, environment)
    assert "secret/" not in str(found.value)


# ── the systemd unit ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["work", "my flights 100% $HOME", 'quote"s and \\ back'])
def test_systemd_understands_the_unit(tmp_path: Path, name: str) -> None:
    import shutil
    import subprocess

    root = tmp_path / name
    root.mkdir()
    text = units.unit_text(root, Path(sys.executable))
    assert "KillMode=process" in text
    file = tmp_path / units.unit_name(root)
    file.write_text(text, encoding="utf-8")
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd on this machine")
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(file)],
        capture_output=True, text=True, env=environment, timeout=60, check=False,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if file.name in line]
    assert told == []


def test_a_unit_is_named_after_its_folder_and_told_apart_by_its_path() -> None:
    one, other = units.unit_name(Path("/a/my flights")), units.unit_name(Path("/b/my flights"))
    assert one.startswith("mlops-agent-my-flights-")
    assert one != other
    with pytest.raises(InvalidInput, match="cannot stand in a systemd unit"):
        units.unit_text(Path("/a\n[Service]"), Path("/usr/bin/python"))
    assert "User=ml\n" in units.unit_text(Path("/a"), Path("/usr/bin/python"), "ml")


def test_the_body_of_a_signature_is_bytes_as_sent(there: Receiver) -> None:
    body = json.dumps({"text": "größer → besser"}, ensure_ascii=False).encode()
    assert Webhook(there.url, KEY, 5).send("abc", 7, body) is None
    assert there.got[0].headers["X-Mlops-Signature"] == notify.signature(KEY, 7, there.got[0].body)
