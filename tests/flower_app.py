"""Flower apps as tests write them: a package with one module, and its ``pyproject.toml``."""

import io
import json
import zipfile

_PYPROJECT = """
[project]
name = "{name}"
version = "{version}"
description = "An app of the tests."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "tests"

[tool.flwr.app.components]
serverapp = "{server}"
clientapp = "{client}"

[tool.flwr.app.config]
{config}
"""


def pyproject(name, config=None, version="1.0.0", server="", client=""):
    """Return the ``pyproject.toml`` of an app whose package has its name."""
    return _PYPROJECT.format(
        name=name,
        version=version,
        server=server or f"{name}.app:server_app",
        client=client or f"{name}.app:client_app",
        config="\n".join(f"{key} = {json.dumps(value)}" for key, value in (config or {}).items()),
    )


def write_package(folder, name, source, config=None, version="1.0.0"):
    """Write an app whose module ``app`` has both components, and return its folder."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / name / "app.py").write_text(source)
    (folder / "pyproject.toml").write_text(pyproject(name, config, version))
    return folder


def archive(files):
    """Return an app's archive of these files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()
