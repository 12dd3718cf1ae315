"""The two commands of docs/deployment.md that install without internet, run as they stand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from snippets import block

# A minute of downloading and installing; what the wheel holds is .ci/run's to see.
pytestmark = pytest.mark.exhaustive
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "deployment.md"


def shell(script, where, **environment):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_QUIET": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=where,
        env={**clean, **quiet, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_installing_from_a_wheelhouse(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(
        ROOT,
        source,
        symlinks=True,
        ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "examples", "tests"),
    )
    shell(block(PAGE, "wheelhouse"), source)
    [wheel] = (source / "wheelhouse").glob("flame_flwr-*.whl")
    assert wheel.stat().st_size > 100_000

    (tmp_path / "hospital").mkdir()
    (source / "wheelhouse").rename(tmp_path / "hospital" / "wheelhouse")
    script = block(PAGE, "offline").replace("/opt/", f"{tmp_path}/opt/")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_NO_COMPILE": "1"} | nowhere
    said = shell(script, tmp_path / "hospital", **offline)
    assert "Federated analyses on Flower" in said

    check = """
    python -c 'import flame_flwr.star, flame_flwr.clients.app as app; print(app.__file__)'
    flame-flwr provision --example > federation.toml
    flame-flwr provision federation.toml
    """
    path = f"{tmp_path}/opt/flame-flwr/bin:{os.environ['PATH']}"
    said = shell(check, tmp_path / "hospital", PATH=path)
    assert f"{tmp_path}/opt/flame-flwr/lib" in said
    assert (tmp_path / "hospital" / "federation" / "hospital-b" / "start.sh").is_file()
