"""An app's archive is read within limits, and what is no app of this framework never runs."""

import io
import tracemalloc
import zipfile
import zlib

import pytest

from flame_flwr.node.app_archive import AppArchive, ArchiveError

from .approvals import PYPROJECT, approve, approved, archive, asked, refused


def compressed(content, says=None):
    """Return an archive with one file, of another size where `says` gives one."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("pyproject.toml", content)
        if says is not None:
            file.filelist[0].file_size, file.filelist[0].CRC = says, zlib.crc32(content[:says])
    return made.getvalue()


AGENT = PYPROJECT.replace("serverapp", 'agentapp = "app:agent"\nserverapp')


@pytest.mark.parametrize("settings", [{}, {"approval": "none"}])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(**{"pyproject.toml": AGENT}), "has agentapp"),
        (b"no archive", "cannot be read"),
        (archive(**{"../out.py": ""}), "outside itself"),
        (archive(**{"./app.py": "other"}), "in two ways"),
        (compressed(bytes(4 * 2**20)).replace(bytes(4), b"\xff\xff\xff\xff"), "cannot be read"),
        (compressed(bytes(4 * 2**20), says=10), "cannot be read"),
        (archive().replace(b"clientapp", b"clientapq"), "cannot be read"),
    ],
    ids=["agent", "none", "outside", "twice", "broken", "larger", "another key"],
)
def test_other_kinds_of_app_never_run(tmp_path, content, words, settings):
    approve(tmp_path, approved(content))
    config = {"name": "hospital-a", "state-dir": str(tmp_path), **settings}
    error = refused(asked(content, tmp_path, config=config))
    assert error.state == "kind"
    assert words in error.message


def test_a_bomb_is_not_unpacked():
    bomb = compressed(bytes(300 * 2**20), says=10)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError):
            AppArchive.read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
