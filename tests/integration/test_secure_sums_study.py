"""The Long COVID study by secure sums alone gives its files, in every runtime."""

import json

import halta_study
import pytest
from summed_app import HOSPITALS

from flame_flwr.cli.submit import submit


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_a_stock_nodes_summed_study_gives_its_files(identified, halta, tmp_path):
    """The Long COVID study; one hospital masks in the app's process, as Flower's SuperNode does.

    The other nodes mask in their own process in ``test_secure_sums.py``. The study in this process
    is beside it.
    """
    files = [identified.parties / name / "node.toml" for name in HOSPITALS]
    before = [file.read_text() for file in files]
    for place, name in enumerate(HOSPITALS):
        party = identified.parties / name
        keys = {"identity_key": str(party / "own" / "identity.key")}
        keys |= {"peers": str(party / "peers.toml"), "secure": "require"}
        identified.configure(
            name, data=str(identified.folder / "data" / f"hospital-{place}"), **keys
        )
    app, results = halta_study.write_summed_app(tmp_path / "app"), tmp_path / "results"
    stock = identified.parties / "near" / "start-stock.sh"
    start = (identified.parties / "near" / "start.sh").read_text()
    stock.write_text(start.replace("flame-flwr node start ", "flame-flwr node start --stock "))
    for name in HOSPITALS[:-1]:
        identified.start_node(name)
    identified.start("near", "sh", stock)
    try:
        nodes = ",".join(HOSPITALS)
        ended, log = identified.run(app, nodes, results=str(results), data="")
        assert ended.succeeded, f"{log}\n{identified.logs()}"
    finally:  # as the modules after this one find them
        identified.stop("near")
        for file, text in zip(files, before, strict=True):
            file.write_text(text)
        for name in HOSPITALS[:-1]:
            identified.start_node(name)
    [folder] = results.glob("*")
    by = json.loads((folder / "run.json").read_text())["secure"]["masked by"]
    assert by == {"far": "the node", "hospital-a": "the node", "near": "the app's process"}
    assert_files(folder, halta_study.summed_in_process(halta))


@pytest.mark.simulation
@pytest.mark.exhaustive
def test_a_summed_study_simulated_gives_its_files(halta, federation, tmp_path):
    """With the test above, the study is seen in all three runtimes; no other simulation has it."""
    halta[1].main([str(tmp_path / "identified")])
    config = {
        "data": f"{tmp_path}/identified/hospital-{{partition-id}}",
        "results": str(tmp_path / "results"),
    }
    log = []
    app = halta_study.write_summed_app(tmp_path / "app")
    ended = submit(app, federation, config, on_line=log.append)
    assert ended.succeeded, "\n".join(log)
    [folder] = (tmp_path / "results").iterdir()
    assert_files(folder, halta_study.summed_in_process(halta))


def assert_files(folder, wanted):
    for name, content in wanted.items():
        assert (folder / name).read_bytes() == content, name
