"""Text that an attacker chose is shown as text: no markup, no control character, no link."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from batch.files import follow as follow_module
from stack.commands import explain as explain_module
from stack.commands.explain import explain_command
from stack.plain_text import plain
from streaming.contracts.settings import Settings
from tests.stack.detect_runs import START, access, run

pytestmark = pytest.mark.unit

HOSTILE: Final = {
    "closing tag": "[/b]",
    "bold": "[bold]x[/bold]",
    "link": "[link=http://evil.example]y[/link]",
    "colour": "\x1b[31mred\x1b[0m",
    "link of the terminal": "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
    "title": "\x1b]0;owned\x07",
    "one character": "\x9b31m",
    "bidirectional": "\u202egnp.exe\u2066",
    "line separators": "a\u2028b\u2029c\u0085d",
    "emoji": ":skull:",
    "invisible": "a\ufeffb\u200ec",
}
FORBIDDEN: Final = {
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
} - {"\n"}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_plain_text_has_one_line_and_no_controls(text: str) -> None:
    assert not FORBIDDEN & set(plain(text + "\n"))
    assert "\n" not in plain(text + "\n")
    assert plain("[b]ü × 日本[/b]") == "[b]ü × 日本[/b]"
    assert plain("a\udcffb") == "a\ufffdb"


def hostile_logs(home: Path, text: str) -> list[Path]:
    """Return logs with the text in a path, an agent, an error message and a server's name."""
    name = text.replace("/", "∕").replace("\x00", "")
    logs = [home / f"{name}.log", home / f"error{name}.log"]
    lines = "".join(access(START, "203.0.113.9", f"/{n}{text}", 404, agent=text) for n in range(15))
    logs[0].write_bytes(
        lines.replace("\n", "").replace("203.0.113.9 -", "\n203.0.113.9 -").encode()
    )
    said = f'2026/01/05 08:00:00 [crit] 7#7: *1 open() "/srv/{text}" failed {text}\n'
    logs[1].write_bytes(said.encode() * 70)
    return logs


def shown(text: str) -> None:
    assert not FORBIDDEN & set(text), sorted(FORBIDDEN & set(text))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_shown_as_text(tmp_path: Path, text: str) -> None:
    logs = hostile_logs(tmp_path, text)
    table = run(tmp_path, *logs, "--baselines", "none")
    assert table.exit_code == 0, table.stderr
    shown(table.stdout)
    assert "path_scan" in table.stdout
    visible = plain(text.replace("/", "∕"))
    # The table may cut a long line; the server's name is whole.
    assert visible in table.stdout

    rows = [json.loads(line) for line in run(tmp_path, *logs, "--json").stdout.splitlines()]
    assert {row["kind"] for row in rows} >= {"path_scan"}
    shown(run(tmp_path, *logs, "--json").stdout)


class FakeTime:
    """Lets `follow` look once more; the next time it would wait, Ctrl-C is pressed."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = iter((happens,))

    def time(self) -> float:
        return float(START)

    def sleep(self, _seconds: float) -> None:
        for happens in self._happens:
            happens()
            return
        raise KeyboardInterrupt


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_shown_as_text_when_following(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    logs = hostile_logs(tmp_path, text)
    contents = [log.read_bytes() for log in logs]
    for log in logs:
        log.write_bytes(b"")
    # Which kind a log is can only be told from its lines.
    logs[1].write_bytes(b"2026/01/05 08:00:00 [notice] 7#7: started\n")

    def append() -> None:
        for log, content in zip(logs, contents, strict=True):
            with log.open("ab") as stream:
                stream.write(content + b"\n")

    monkeypatch.setattr(follow_module, "time", FakeTime(append))
    done = run(tmp_path, *logs, "--baselines", "none", "--follow", "--exit-code")
    assert done.exit_code == 1, done.stderr
    shown(done.stdout)
    first, *told = done.stdout.splitlines()
    assert first == "No incidents."
    assert any(line.startswith("path_scan on ") and "203.0.113.9" in line for line in told)
    assert plain(text.replace("/", "∕")) in done.stdout


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_explain_shows_hostile_text_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    from batch.jobs import explain as job

    found = {
        "sentence": f"path_scan of {text}",
        "incident": {"evidence": [text]},
        "evaluations": [{"kind": "path_scan", "entity": text, "observed": 12}],
    }
    monkeypatch.setattr(job, "explain", lambda *_: found)
    out = tmp_path / "out"
    with out.open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(explain_module.console, "file", stream)
        done = CliRunner().invoke(explain_command, ["0123"], obj=Settings(home=tmp_path))
    assert done.exit_code == 0, done.output
    content = out.read_text(encoding="utf-8")
    shown(content)
    assert content.count(plain(text)) == 3
