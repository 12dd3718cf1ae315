"""What gets into the wheel, and which of flwr's modules the framework may know."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import flame_flwr
from flame_flwr import clients, strategies
from flame_flwr.cli import new_app

HERE = Path(__file__).resolve()
CHECKOUT = next((p for p in HERE.parents if (p / "pyproject.toml").is_file()), None)
FOLDERS = {
    "flame_flwr": Path(flame_flwr.__path__[0]).resolve(),
    "flame_flwr.clients": Path(clients.__path__[0]).resolve(),
    "flame_flwr.strategies": Path(strategies.__path__[0]).resolve(),
}
TEMPLATES = FOLDERS["flame_flwr"] / "app-templates"  # data: whole apps, which are copied
PUBLIC_FLWR = {
    "flwr.app",
    "flwr.clientapp",
    "flwr.serverapp",
    "flwr.serverapp.strategy",
    "flwr.client",
}

in_the_checkout = pytest.mark.skipif(CHECKOUT is None, reason="runs without the checkout")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def files():
    """Every Python file of the framework by its dotted package, without the links' doubles."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            if path.is_relative_to(TEMPLATES):
                continue
            parts = path.relative_to(folder).parent.parts
            found.setdefault(path.resolve(), ".".join((package, *parts)))
    return found


@in_the_checkout
def test_every_folder_with_code_is_in_the_wheel(project):
    listed = project["tool"]["setuptools"]["packages"]
    assert set(files().values()) == set(listed)
    assert listed == sorted(listed)


@in_the_checkout
def test_every_listed_folder_has_an_init_file(project):
    folders = project["tool"]["setuptools"]["package-dir"]
    for package in project["tool"]["setuptools"]["packages"]:
        root = max((name for name in folders if package.startswith(name)), key=len)
        rest = package.removeprefix(root).strip(".").replace(".", "/")
        assert (CHECKOUT / folders[root] / rest / "__init__.py").is_file(), package


@in_the_checkout
@pytest.mark.parametrize("name", ["clients", "strategies"])
def test_the_two_folders_are_flat_and_linked(name):
    folder, link = CHECKOUT / name, CHECKOUT / "flame_flwr" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name
    assert link.resolve() == folder
    assert [path for path in folder.rglob("*.py") if path.parent != folder] == []


@in_the_checkout
def test_the_installed_version_is_the_projects(project):
    assert flame_flwr.__version__ == project["project"]["version"]


@in_the_checkout
def test_type_information_goes_with_the_package(project):
    assert (FOLDERS["flame_flwr"] / "py.typed").is_file()
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["flame_flwr"]


def test_the_package_has_the_templates():
    assert {path.name for path in TEMPLATES.iterdir()} == set(new_app.TEMPLATES)
    assert all(list(path.glob("*/analysis.py")) for path in TEMPLATES.iterdir())


@in_the_checkout
def test_the_templates_are_listed_as_data(project):
    data = project["tool"]["setuptools"]["package-data"]["flame_flwr"]
    assert "app-templates/**/*" in data


def test_the_package_has_the_manual():
    docs = FOLDERS["flame_flwr"] / "docs"
    assert {"index.md", "own-csv.md", "failures.md"} <= {path.name for path in docs.glob("*.md")}
    assert (docs / "reference" / "config.md").is_file()


@in_the_checkout
def test_every_file_that_the_project_names_is_there(project):
    assert (CHECKOUT / project["project"]["readme"]).is_file()
    assert all((CHECKOUT / name).is_file() for name in project["project"]["license-files"])


@in_the_checkout
def test_every_test_that_the_wheels_check_names_exists():
    named = re.findall(r"tests/\w[\w/]*\.py", (CHECKOUT / ".ci" / "run").read_text())
    assert named
    assert [name for name in named if not (CHECKOUT / name).is_file()] == []


@pytest.fixture(scope="module")
def imports():
    """Give every module that each file imports, wherever in it."""
    found = {}
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.setdefault(path, set()).update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.setdefault(path, set()).add(node.module)
    return found


def test_five_modules_touch_flwrs_non_public_ones(imports):
    private = {
        (path.name, module)
        for path, modules in imports.items()
        for module in modules
        if module.partition(".")[0] == "flwr" and module not in PUBLIC_FLWR
    }
    assert {name for name, _ in private} == {
        f"flower{part}.py" for part in ("", "_arrays", "_objects", "_node", "_node_state")
    }


def test_no_module_imports_folders_by_wrong_names(imports):
    tops = {module.partition(".")[0] for modules in imports.values() for module in modules}
    assert not tops & {"clients", "strategies"}
    assert "flame_flwr" in tops


def test_flwr_is_imported_by_its_modules(imports):
    assert not [path for path, modules in imports.items() if "flwr" in modules]
