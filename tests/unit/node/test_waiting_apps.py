"""Apps that wait for approval take up a bounded room, and none pushes another out."""

import pytest

from flame_flwr.node import gate_folder, waiting_apps
from flame_flwr.node.app_archive import digest_of
from flame_flwr.node.gate_folder import GateFolder

from .approvals import asked, refused


def test_waiting_apps_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting_apps, "MOST_PENDING", 4)
    monkeypatch.setattr(waiting_apps, "MOST_OF_ONE_APP", 2)
    folder = GateFolder(tmp_path)

    def come(name, number):
        content = f"{name} {number}".encode()
        message = asked(content, tmp_path, run_id=number)
        message.run.fab_id = name
        return refused(message), digest_of(content)

    newest = [come("tests/one", number)[1] for number in range(1, 5)][-2:]
    others = [come(f"tests/{name}", 1)[1] for name in ("two", "three")]
    assert set(folder.requests()) == {*newest, *others}
    error, digest = come("tests/four", 1)
    assert error.title == "no room for apps that wait at hospital-a"
    assert folder.archive_path(digest) is None
    message = asked(bytes(gate_folder.LARGEST + 1), tmp_path)
    assert "larger than 10 MB" in refused(message).message
    assert set(folder.requests()) == {*newest, *others}


@pytest.mark.parametrize(
    ("limit", "why", "has_room"),
    [
        ({"MOST_OF_ONE_PROJECT": 2}, "2 apps of the project copd wait already", True),
        ({"MOST_BYTES": 2 * 2**20}, "the apps that wait take up 2 MB", False),
    ],
)
def test_what_waits_is_pushed_out_by_nobody(tmp_path, monkeypatch, limit, why, has_room):
    """Not by whoever fills the list, either; other projects have some room of their own."""
    monkeypatch.setattr(waiting_apps, *limit.popitem())
    folder = GateFolder(tmp_path)

    def come(number, project):
        message = asked(bytes([number]) * 2**20, tmp_path, run_id=number, project_id=project)
        message.run.fab_id = f"tests/{number}"
        return refused(message)

    for number in (1, 2):
        assert folder.full() == []
        assert come(number, "copd").title == "waits for approval at hospital-a"
    kept = [*folder.requests()]
    error = come(3, "copd")
    assert error.title == "no room for apps that wait at hospital-a"
    assert why in error.message
    assert folder.full() == [why]
    assert [*folder.requests()] == kept
    assert ("waits for approval" in come(4, "sepsis").title) == has_room


def test_asking_again_is_noted_once_a_run(tmp_path):
    for run in (1, 1, 2, 2, 2):
        refused(asked(b"x", tmp_path, run_id=run))
    [request] = GateFolder(tmp_path).requests().values()
    assert [each["run"] for each in request.asked] == ["1", "2"]
