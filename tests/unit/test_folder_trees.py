"""What apps have left is removed and measured, and what they link to is not."""

import os
from contextlib import nullcontext, suppress

import pytest

from flame_flwr.folder_trees import entries_below, remove_tree, size_below


@pytest.fixture
def precious(tmp_path):
    """A folder that nobody has asked to remove: what it is at the end, it was at the beginning."""
    folder = tmp_path / "precious"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "file").write_text("of a person's own")
    (folder / "file").write_text("of a person's own")
    for each in (folder / "below", folder):
        each.chmod(0o500)
    before = seen(folder)
    yield folder
    assert seen(folder) == before


def seen(folder):
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (about.st_mode, about.st_ino, about.st_nlink) for path, about in found.items()}


def test_a_linked_folder_goes_alone(tmp_path, precious):
    (tmp_path / "link").symlink_to(precious)
    assert list(entries_below(tmp_path / "link")) == []
    remove_tree(tmp_path / "link")
    assert os.listdir(tmp_path) == ["precious"]


@pytest.mark.parametrize("use", [remove_tree, size_below])
@pytest.mark.parametrize("at", ["top", "top/inner", "top/inner/deep"])
def test_a_link_put_there_meanwhile_is_not_followed(tmp_path, precious, monkeypatch, use, at):
    """A folder is listed, and what is in it is another thing when it is looked into."""
    (tmp_path / "top" / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "top" / "inner" / "file").touch()
    scandir = os.scandir
    swapped = []

    def slow(folder):
        with scandir(folder) as entries:
            found = list(entries)
        if not swapped and (tmp_path / at).name in [*(each.name for each in found), "top"]:
            (tmp_path / at).rename(tmp_path / "away")
            (tmp_path / at).symlink_to(precious)
            swapped.append(at)
        return nullcontext(iter(found))

    monkeypatch.setattr(os, "scandir", slow)
    with suppress(OSError):
        use(tmp_path / "top")
    assert swapped


def test_what_is_odd_goes_with_its_folder(tmp_path):
    top = tmp_path / "top"
    (top / "closed" / "below").mkdir(parents=True)
    os.mkfifo(top / "closed" / "pipe")
    os.mknod(top / "socket", 0o140600)
    (tmp_path / "file").write_bytes(bytes(9000))
    os.link(tmp_path / "file", top / "linked")
    (top / "closed" / "below").chmod(0)
    (top / "closed").chmod(0)
    assert len(list(entries_below(top))) == 5
    assert size_below(top) >= 9000
    remove_tree(top)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").stat().st_nlink == 1
