"""A hospital changes its key, as its page says: both are good until the old one is ended.

``tests/unit/deploy`` has the files and ``test_provision.py`` a registration, in ``make test``.
"""

import json
import shutil

import pytest
from ports import free_port

pytestmark = [pytest.mark.deployed, pytest.mark.exhaustive]


def statuses(deployment):
    """The status of every node by its id, also of those that were shut out."""
    listed = deployment.analyst("flwr", "supernode", "list", "study", "--format", "json")
    return {str(each["node-id"]): each["status"] for each in json.loads(listed)["nodes"]}


def test_both_keys_hold_until_one_is_ended(deployment):
    parties, keys = deployment.parties, deployment.parties / "server" / "keys"
    register, end = (parties / "server" / f"{n}.sh" for n in ("register", "end-old-key"))
    deployment.add("changing", deployment.folder / "data" / "hospital-0")
    deployment.provision(deployment.file, "--add", "changing")
    deployment.provision(deployment.file, "--rotate", "changing")
    [made] = parties.glob("changing+*")
    said = deployment.command("sh", register, "changing").splitlines()
    assert [line.partition(" as node ")[0] for line in said] == [
        "changing: registered",
        f"{made.name}: registered",
    ]
    old, new = ((keys / f"{name}.id").read_text().strip() for name in ("changing", made.name))

    # The new key is in use on one host while the old one still is on another.
    earlier = shutil.copytree(parties / "changing", deployment.folder / "earlier")
    more = {"FLAME_PORT": f"{free_port()}", "FLAME_HOME": f"{deployment.folder / 'var/earlier'}"}
    deployment.start("earlier", earlier / "start.sh", **more)
    said = deployment.command("sh", end, "changing", expect=1)
    assert "not online with its new key, so its old one stays good" in said
    for file in ("node.key", "node.pub"):
        shutil.copy(made / file, parties / "changing" / file)
    try:
        with deployment.nodes("changing"):
            for name in ("changing", "earlier"):
                deployment.wait_for_log(name, "SuperNode ID")
            said = deployment.command("sh", end, "changing")
            assert "changing: this key is shut out for good" in said
            after = statuses(deployment)
            assert (after[old], after[new]) == ("unregistered", "online")
    finally:
        deployment.stop("earlier")
    assert {file.name for file in (keys / "ended").iterdir()} == {"changing.id", "changing.pub"}
