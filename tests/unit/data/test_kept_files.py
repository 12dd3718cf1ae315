"""The folders of a `state-dir`: what is in them is unpickled, so only this user may write there."""

import os
import stat

import pytest

from flame_flwr.data.kept_files import ANALYSES, LOCAL_STORAGE, FolderFiles
from flame_flwr.errors import ConfigError, DataError


def linked(root, kind):
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (root / kind).symlink_to(elsewhere)


def open_to_others(root, kind):
    (root / kind).mkdir()
    (root / kind).chmod(0o770)


def in_an_open_folder(root, kind):
    root.chmod(0o770)


def in_a_folder_for_all(root, kind):
    root.chmod(0o1777)


@pytest.mark.parametrize("kind", [ANALYSES, LOCAL_STORAGE])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (linked, "is a link, and none is followed"),
        (open_to_others, "then `chmod 700` it"),
        (in_an_open_folder, "`state-dir`.*then `chmod go-w` it"),
        (in_a_folder_for_all, "`state-dir`.*then `chmod go-w` it"),
    ],
)
def test_where_others_write_nothing_is_kept(tmp_path, kind, change, words):
    root = tmp_path / "state"
    root.mkdir(mode=0o700)
    change(root, kind)
    files = FolderFiles(root, kind, "project", "hospital-a")

    for use in (files.make, lambda: files.write("a", [b""]), lambda: files.read("a"), files.names):
        with pytest.raises(ConfigError, match=words) as error:
            use()
        assert str(root) not in error.value.message
    assert not list(tmp_path.rglob("project"))
    if change is linked:
        assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755


@pytest.mark.parametrize("which", ["parent", "folder"])
@pytest.mark.parametrize("deed", ["linked", "opened"])
def test_folders_within_are_nobody_elses(tmp_path, which, deed):
    files = FolderFiles(tmp_path / "state", LOCAL_STORAGE, "project", "hospital-a")
    files.make()
    folder = files.folder if which == "folder" else files.folder.parent
    if deed == "linked":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.chmod(0o777)
    for use in (files.make, lambda: files.write("a", [b""]), lambda: files.read("a"), files.names):
        with pytest.raises(ConfigError, match=r"is a link|may be written by others"):
            use()
    assert not list(tmp_path.rglob("a"))


def test_no_link_is_read(tmp_path):
    files = FolderFiles(tmp_path / "state", LOCAL_STORAGE, "project", "hospital-a")
    files.make()
    (tmp_path / "secret").write_bytes(b"another's")
    (files.folder / "a").symlink_to(tmp_path / "secret")

    with pytest.raises(DataError, match="cannot be read"):
        files.read("a")


def test_a_state_dir_may_lie_behind_a_link(tmp_path):
    """An administrator moves it to a larger disk so."""
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    files = FolderFiles(tmp_path / "state", LOCAL_STORAGE, "project", "hospital-a")
    files.make()
    files.write("a", [b"kept"])

    assert files.read("a") == b"kept"
    modes = {stat.S_IMODE(os.stat(folder).st_mode) for folder in files.folder.parents[:3]}
    assert modes == {0o700}
