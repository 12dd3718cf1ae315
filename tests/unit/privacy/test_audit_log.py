"""The file of the audit log: a chain that goes on, and in which every damage is found."""

import gzip
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hanging import HANGS

from flame_flwr import journald
from flame_flwr.errors import ConfigError
from flame_flwr.privacy import log_handles
from flame_flwr.privacy.audit_files import read_entries
from flame_flwr.privacy.audit_log import AuditLog
from flame_flwr.privacy.audit_verify import verify

OLD = '{"node": "a", "answer_to": "train"}\n'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit" / "audit.jsonl"


def add(path, *texts):
    return [AuditLog(str(path)).append({"text": text}) for text in texts]


def rewrite(path, change):
    """Change the lines of a log, each without its end."""
    lines = change(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))


def forged(lines, number):
    """Lines of which one was changed, and the hashes after it made to fit."""
    entries = [json.loads(line) for line in lines]
    entries[number - 1]["text"] = "another"
    done = lines[: number - 1]
    for entry in entries[number - 1 :]:
        if done:
            entry["previous"] = hashlib.sha256(done[-1].encode()).hexdigest()
        done.append(json.dumps(entry))
    return done


def test_each_line_has_the_hash_before_it(path):
    added = add(path, "one", "two", "three")
    before = ""
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        entry = json.loads(line)
        assert (entry["number"], entry["previous"]) == (number, before)
        before = hashlib.sha256(line).hexdigest()
    assert added[-1] == (3, before)
    found = verify(path)
    assert (found.lines, found.last, found.wrong, found.notes) == (3, (3, before), "", [])


DAMAGES = {
    "changed": (
        lambda lines: [line.replace("three", "zero") for line in lines],
        "line 3 (audit.jsonl:3) was changed",
    ),
    "hash": (
        lambda lines: [re.sub('(?<="previous": ").', "x", line) if '"three"' in line else line
                       for line in lines],
        "line 3 (audit.jsonl:3) was changed",
    ),
    "unreadable": (
        lambda lines: [line.replace('"text": "three"', "") for line in lines],
        "before line 4 (audit.jsonl:4) stands a line that cannot be read",
    ),
    "missing": (lambda lines: lines[:1] + lines[3:], "lines 2 to 3 are missing before line 4"),
    "moved": (
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        "line 2 is not in its place, where line 3 stands",
    ),
    "twice": (lambda lines: [*lines[:2], *lines[1:]], "line 2 stands behind line 2"),
    "added": (lambda lines: [*lines[:2], OLD[:-1], *lines[2:]], "before line 3 (audit.jsonl:4)"),
    "cut": (lambda lines: lines[:3], "lines 4 to 5 are missing at the end"),
    "emptied": (lambda lines: [], "lines 1 to 5 are missing at the end"),
    "last": (
        lambda lines: [line.replace("five", "zero") for line in lines],
        "line 5, the last one, was changed",
    ),
    "appended": (lambda lines: [*lines, OLD[:-1]], "after line 5, stands a line that cannot be"),
    "forged": (lambda lines: forged(lines, 3), "line 5, the last one, was changed"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_line_is_named(path, damage):
    add(path, "one", "two", "three", "four", "five")
    change, said = DAMAGES[damage]
    rewrite(path, change)
    assert said in verify(path).wrong


@pytest.mark.parametrize("damage", ["missing", "cut", "last", "unreadable"])
def test_damage_shows_also_after_more_lines(path, damage):
    add(path, "one", "two", "three", "four", "five")
    rewrite(path, DAMAGES[damage][0])
    add(path, "six", "seven")
    assert verify(path).wrong


def test_a_hash_noted_elsewhere_shows_new_lines(path):
    noted = add(path, "one", "two", "three")[-1].sha256
    add(path, "four")
    assert verify(path, expect=noted).wrong == ""
    rewrite(path, lambda lines: forged(lines, 2))
    Path(f"{path}.chain").unlink()
    assert verify(path, is_copy=True).wrong == ""
    assert (
        f"no line has the expected hash {noted}" in verify(path, expect=noted, is_copy=True).wrong
    )


@pytest.mark.parametrize("moved_to", ["audit.jsonl.1", "audit.jsonl-20261129.gz"])
def test_the_chain_goes_on_after_rotation(path, moved_to):
    add(path, "one", "two")
    moved = path.with_name(moved_to)
    if moved.suffix == ".gz":
        moved.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    else:
        path.rename(moved)
    assert verify(path).lines == 2
    add(path, "three")
    found = verify(path)
    assert (found.lines, found.last.number, found.wrong, found.notes) == (3, 3, "", [])
    assert [entry["text"] for entry in read_entries(path)] == ["one", "two", "three"]
    moved.unlink()
    found = verify(path)
    assert found.wrong == ""
    assert found.notes == [
        "it begins with line 3: lines 1 to 2 are in files that are no longer here"
    ]
    assert "lines 1 to 2 are missing at the beginning" in verify(path, first=1).wrong
    assert verify(path, first=3).wrong == ""


@pytest.mark.parametrize("removed", [1, 2])
def test_a_missing_beginning_is_found(path, removed):
    add(path, "one", "two", "three", "four")
    rewrite(path, lambda lines: lines[removed:])
    found = verify(path)
    assert f"it begins with line {removed + 1} (audit.jsonl:1), and no node" in found.wrong
    assert found.sound == 0
    accepted = verify(path, first=removed + 1)
    assert accepted.wrong == ""
    gone = "line 1 is in" if removed == 1 else "lines 1 to 2 are in"
    assert f"it begins with line {removed + 1}: {gone} files" in accepted.notes[0]
    assert f"{gone[:-3]} missing at the beginning" in verify(path, first=1).wrong


@pytest.mark.parametrize("how", ["emptied", "removed", "another"])
def test_an_emptied_log_is_no_rotation(path, how):
    add(path, "one")
    path.rename(f"{path}.1")
    add(path, "two", "three")
    path.write_text("") if how == "emptied" else path.unlink()
    if how == "another":
        Path(f"{path}.2").write_text(OLD)
    add(path, "four")
    found = verify(path)
    assert "lines 2 to 3 are missing before line 4" in found.wrong
    Path(f"{path}.1").unlink()
    assert "it begins with line 4" in verify(path).wrong


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (None, "its .chain file is not here"),
        (b"", "line 1 and those after it were not added by a node"),
        (b"0 abc\n", "its .chain file holds what no node writes"),
    ],
)
def test_a_chains_file_must_be_there(path, chain, words):
    add(path, "one", "two")
    file = Path(f"{path}.chain")
    file.unlink() if chain is None else file.write_bytes(chain)
    assert words in verify(path).wrong
    assert verify(path).sound == 0


def test_a_crash_before_the_first_link_is_none(path):
    add(path, "one")
    Path(f"{path}.chain").write_bytes(b"")
    assert verify(path).wrong == ""
    add(path, "two")
    assert (verify(path).wrong, verify(path).last.number) == ("", 2)


@pytest.mark.parametrize("number", [1, 2, 4, 5])
def test_lines_before_a_changed_one_are_sound(path, number):
    texts = ["one", "two", "three", "four", "five"]
    add(path, *texts)
    path.write_text(path.read_text().replace(texts[number - 1], "zero"))
    found = verify(path)
    assert f"line {number}" in found.wrong
    assert found.sound == number - 1


def test_the_first_line_seals_older_logs(path, caplog):
    path.parent.mkdir()
    path.write_text(OLD * 3)
    assert "not chained yet: an older log" in verify(path).notes[0]
    add(path, "one")
    assert "text that is not of its chain before line 1" in caplog.text
    found = verify(path)
    assert (found.wrong, found.lines) == ("", 1)
    assert "before line 1 (audit.jsonl:4)" in found.notes[0]
    assert len(list(read_entries(path))) == 4
    rewrite(path, lambda lines: lines[1:])
    assert "text before line 1 (audit.jsonl:3) that is not of the chain" in verify(path).wrong


def test_a_line_cut_by_a_crash_is_said(path):
    add(path, "one", "two")
    with path.open("a") as file:
        file.write('{"number": 3, "previous": "')
    assert verify(path).wrong == ""
    assert "a line that was cut off, as by a crash" in verify(path).notes[0]
    add(path, "three")
    found = verify(path)
    assert (found.wrong, found.last.number) == ("", 3)
    assert "before line 3 (audit.jsonl:4)" in found.notes[0]


def test_a_crash_before_the_chains_file_is_mended(path):
    add(path, "one")
    before = Path(f"{path}.chain").read_bytes()
    add(path, "two")
    Path(f"{path}.chain").write_bytes(before)
    assert verify(path).wrong == ""
    add(path, "three")
    assert (verify(path).wrong, verify(path).lines) == ("", 3)


def test_processes_share_one_log(path):
    code = (
        "import sys; from flame_flwr.privacy.audit_log import AuditLog\n"
        "for each in range(40): AuditLog(sys.argv[1]).append({'text': str(each)})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(3)]
    assert [process.wait(timeout=HANGS) for process in processes] == [0, 0, 0]
    found = verify(path)
    assert (found.wrong, found.lines) == ("", 120)


def test_a_lock_held_by_another_ends_the_wait(path, monkeypatch):
    add(path, "one")
    monkeypatch.setattr(log_handles, "_LOCK_LIMIT", 0.05)
    with open(f"{path}.chain") as chain, log_handles.locked(chain.fileno()):  # noqa: SIM117
        with pytest.raises(ConfigError, match="Connection timed out: `audit-log`"):
            add(path, "two")


def test_long_lines_are_read_from_the_end(path):
    add(path, "x" * 200_000, "y", "z" * 70_000)
    add(path, "four")
    assert verify(path).lines == 4


def received(journal):
    """The fields of one entry, as journald reads them: of a datagram, or of a file's handle."""
    data, handles, _, _ = socket.recv_fds(journal, 1 << 20, 1)
    if handles:
        with os.fdopen(handles[0], "rb") as file:
            file.seek(0)
            data = file.read()
    return dict(line.split("=", 1) for line in data.decode().splitlines())


@pytest.mark.parametrize("length", [10, 2_000_000])
def test_the_journal_gets_the_same_line(path, tmp_path, monkeypatch, length):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        journal.settimeout(5)
        monkeypatch.setattr(journald, "SOCKET", str(tmp_path / "socket"))
        AuditLog(str(path), journal=True).append({"text": "x" * length})
        fields = received(journal)
    assert fields["MESSAGE"] == path.read_text().rstrip("\n")
    assert fields["FLAME_AUDIT_LOG"] == str(path)
    assert fields["SYSLOG_IDENTIFIER"] == "flame-flwr-audit"


def test_without_the_journal_no_answer_leaves(path, tmp_path, monkeypatch):
    monkeypatch.setattr(journald, "SOCKET", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="systemd's journal does not take the line"):
        AuditLog(str(path), journal=True).append({})


def open_to_others(path):
    path.write_text("")
    path.chmod(0o666)


def linked(path):
    (path.parent / "elsewhere").write_text("")
    path.symlink_to(path.parent / "elsewhere")


def piped(path):
    os.mkfifo(path, 0o600)


def named_twice(path):
    (path.parent / "elsewhere").write_text("")
    path.hardlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    ("name", "where"),
    [("audit.jsonl", "^`audit-log`"), ("audit.jsonl.chain", "^the .chain file of `audit-log`")],
)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (open_to_others, "may be written by others.*`chmod 640` it"),
        (linked, "is a link.*in its place"),
        (piped, "is no file.*in its place"),
        (named_twice, "has a second name: copy it"),
    ],
)
def test_a_log_that_others_could_change(path, name, where, make, words):
    path.parent.mkdir()
    make(path.with_name(name))
    log = AuditLog(str(path))
    for use in (log.check, lambda: log.append({"text": "one"})):
        with pytest.raises(ConfigError, match=f"{where}.*{words}"):
            use()
    assert [each.name for each in path.parent.iterdir() if each.stat().st_size] == []


def test_a_log_may_be_a_groups_to_read(path):
    add(path, "one")
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o644)
    assert add(path, "two")[0].number == 2
