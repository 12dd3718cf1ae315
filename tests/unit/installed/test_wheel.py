"""The wheel that all parties install, and the pages that say which it is."""

import base64
import csv
import hashlib
import io
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flame_flwr
from flame_flwr.cli import commands
from flame_flwr.cli.new_app import TEMPLATES, create
from flame_flwr.deploy import EXAMPLE, provision, read_federation
from flame_flwr.errors import ConfigError
from flame_flwr.installed.wheel import installed_wheel, read_wheel

CHECKOUT = next(
    (p for p in Path(__file__).resolve().parents if (p / "pyproject.toml").is_file()), None
)
MORE = '[[hospitals]]\nname = "hospital-c"\ndata = "/srv/c"\n'


@pytest.fixture
def wheel(tmp_path):
    """The wheel of what is installed here, as a file."""
    made = installed_wheel()
    (tmp_path / made.name).write_bytes(made.content)
    return tmp_path / made.name


def opened(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_is_the_same_each_time(wheel):
    installed_wheel.cache_clear()
    assert installed_wheel().content == wheel.read_bytes()
    assert installed_wheel().version == flame_flwr.__version__


@pytest.mark.skipif(CHECKOUT is None, reason="runs without the checkout")
def test_it_has_the_projects_files_only(wheel):
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]
    wanted = set()
    for package in project["packages"]:
        given = project["package-dir"].get(package, package.replace(".", "/"))
        wanted |= {
            f"{package.replace('.', '/')}/{path.name}" for path in (CHECKOUT / given).glob("*.py")
        }
    for pattern in project["package-data"]["flame_flwr"]:
        wanted |= {
            path.relative_to(CHECKOUT).as_posix()
            for path in (CHECKOUT / "flame_flwr").glob(pattern)
            if path.is_file() and "__pycache__" not in path.parts
        }
    info = f"flame_flwr-{flame_flwr.__version__}.dist-info"
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert set(opened(wheel)) == wanted | {f"{info}/{name}" for name in about}


def test_its_record_is_that_of_its_files(wheel):
    files = opened(wheel)
    [record] = [name for name in files if name.endswith("/RECORD")]
    rows = list(csv.reader(io.StringIO(files[record].decode())))
    assert {name for name, _, _ in rows} == set(files)
    for name, digest, size in rows:
        if name != record:
            found = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).decode()
            assert digest == f"sha256={found.rstrip('=')}"
            assert int(size) == len(files[name])


def test_pip_installs_it(wheel, tmp_path):
    command = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"]
    subprocess.run([sys.executable, "-m", *command, tmp_path / "here", wheel], check=True)
    [info] = (tmp_path / "here").glob("*.dist-info")
    assert info.name == f"flame_flwr-{flame_flwr.__version__}.dist-info"
    assert (tmp_path / "here" / "bin" / "flame-flwr").is_file()
    assert (tmp_path / "here" / "flame_flwr" / "strategies" / "run_state.py").is_file()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("numpy-2.0.0-py3-none-any.whl", b"", "is not a wheel of flame-flwr"),
        ("flame_flwr-1.0.tar.gz", b"", "is not a wheel of flame-flwr"),
        ("flame_flwr-1.0-py3-none-any.whl", b"cut", "it is not a zip file, or was cut"),
        ("flame_flwr-1.0-py3-none-any.whl", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_wheel_is_refused(tmp_path, name, content, why):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        read_wheel(tmp_path / name)


# ---- what the pages say ----------------------------------------------------------------------


def provisioned(tmp_path, *arguments):
    """Run the command on the example; return the folder."""
    (tmp_path / "study.toml").write_text(EXAMPLE + (MORE if "--add" in arguments else ""))
    command = ["provision", str(tmp_path / "study.toml"), *map(str, arguments)]
    done = CliRunner().invoke(commands._app, command)
    assert done.exit_code == 0, done.output
    return tmp_path / "study"


def says(page, wheel):
    """Tell whether a page names this wheel, its version and its checksum, and no other."""
    text = page.read_text()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    version = wheel.name.split("-")[1]
    return (
        wheel.name in text
        and f"flame-flwr {version}" in text
        and set(re.findall(r"\b[0-9a-f]{64}\b", text)) == {digest}
    )


def test_every_page_names_the_wheel(tmp_path):
    folder = provisioned(tmp_path)
    [wheel] = folder.glob("*.whl")
    pages = sorted(folder.rglob("README.md"))
    assert len(pages) == 5
    assert all(says(page, wheel) for page in pages)


def test_the_commands_that_check_it_are_right(tmp_path):
    folder = provisioned(tmp_path)
    [wheel] = folder.glob("*.whl")
    page = (folder / "hospital-a" / "README.md").read_text()
    [check] = re.findall(r"^echo .*sha256sum.*$", page, re.M)
    done = subprocess.run(["bash", "-c", check], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{wheel.name}: OK\n")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert subprocess.run(["bash", "-c", check], cwd=folder, capture_output=True).returncode == 1


def test_an_added_hospital_gets_the_same_wheel(tmp_path, wheel):
    older = wheel.with_name("flame_flwr-0.0.9-py3-none-any.whl")
    wheel.rename(older)
    folder = provisioned(tmp_path, "--wheel", older)
    assert [path.name for path in folder.glob("*.whl")] == [older.name]
    assert says(folder / "server" / "README.md", older)
    provisioned(tmp_path, "--add", "hospital-c")
    assert says(folder / "hospital-c" / "README.md", older)


def test_from_python_no_wheel_is_written(tmp_path, wheel):
    (tmp_path / "study.toml").write_text(EXAMPLE)
    provision(read_federation(tmp_path / "study.toml"), tmp_path / "study")
    assert list((tmp_path / "study").rglob("*.whl")) == []
    assert says(tmp_path / "study" / "hospital-b" / "README.md", wheel)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_apps_page_names_it(tmp_path, wheel, template):
    assert says(create("ward_stays", template, tmp_path) / "README.md", wheel)
