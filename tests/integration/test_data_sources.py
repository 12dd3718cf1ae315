"""One analysis, and every node's data somewhere else: object store, folder, FHIR server.

In process and on a deployment, where each round is a new process.
"""

import hashlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import obstore
import pytest
from fhir_server import OBSERVATIONS, RESOURCES, FhirServer
from flower_app import write_package
from s3_proxy import Proxy

from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.script.locations import open_sources

pytestmark = pytest.mark.simulation

QUERY = "Observation?_count=200&_include=Observation:subject"
CLASSES = f"""
from flame_flwr.data.expect import Column, Resources, Table
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Weights(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        found = [entry["resource"] for bundles in data for entry in bundles[{QUERY!r}]["entry"]]
        values = [r["valueQuantity"]["value"] for r in found if r["resourceType"] == "Observation"]
        return [len(values), sum(values), len(found) - len(values)]


class Sums(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        cells = [int(line) for files in data for key in sorted(files)
                 for line in files[key].decode().split()[1:]]
        return [len(cells), sum(cells), self.num_iterations]


class Together(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2
"""
FHIR_MODEL = f"""
model = StarModel(Weights, Together, "fhir", query={QUERY!r}, filename="r.txt",
                  expects=[Resources("Observation", at_least=10, unit="kg")])
"""
FILES_MODEL = """
model = StarModel(Sums, Together, "s3", simple_analysis=False, filename="r.txt",
                  expects=[Table("*.csv", {"n": Column("whole", low=0)})])
"""
TWICE = """
class Twice(Together):
    def has_converged(self, result, last_result):
        return self.num_iterations >= 1
"""
TOKEN = "token-of-the-tests"
APPS = "server_app = model.server_app\nclient_app = model.client_app\n"
KEYS = {"nodes": 2, "node-timeout": 60, "round-timeout": 200, "results": "", "tags": "pasc"}
KEYS |= {"project-id": "halta", "on-failure": "abort", "min-nodes": 1}


def weights():
    """Compute what a hospital with all of the server's observations returns, in a plain loop."""
    number = total = 0
    for each in RESOURCES["Observation"]:
        number += 1
        total += each["valueQuantity"]["value"]
    return [number, total, len({o["subject"]["reference"] for o in RESOURCES["Observation"]})]


def bundle_files(folder, pages):
    """Write the first observations as pages of a folder; return what its hospital returns."""
    folder.mkdir()
    observations = RESOURCES["Observation"][: 50 * pages]
    for page in range(pages):
        entries = [{"resource": each} for each in observations[50 * page : 50 * page + 50]]
        (folder / f"Observation-{page}.json").write_text(
            json.dumps({"resourceType": "Bundle", "entry": entries})
        )
    values = [each["valueQuantity"]["value"] for each in observations]
    return [len(values), sum(values), 0]


def write_app(folder, package, model):
    return write_package(folder, package, CLASSES + model + APPS, KEYS)


def classes(model):
    namespace = {}
    exec(CLASSES + model, namespace)
    return namespace


def test_fhir_in_process(tmp_path):
    expected = bundle_files(tmp_path / "folder", 3)
    with FhirServer() as server:
        model = classes(FHIR_MODEL)["model"]
        sources = open_sources([server.url, str(tmp_path / "folder")])
        with LocalGrid(model.plan, sources) as grid:
            made = model.strategy()
            made.simple_analysis = True
            record = made.start(grid).record
    assert OBSERVATIONS >= 3000
    assert record.result == [weights(), expected]


def registry(folder, *datasets):
    """Write a registry for the project halta, with credentials in files."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number, dataset in enumerate(datasets):
        lines += ["[[dataset]]", f'name = "d{number}"', 'tags = ["pasc"]', 'projects = ["halta"]']
        for key, value in dataset.items():
            if key in ("key-id", "secret", "token"):
                path = folder / f"{number}-{key}"
                path.write_text(value)
                path.chmod(0o600)
                lines.append(f'{key} = {{ file = "{path}" }}')
            else:
                lines.append(f'{key} = "{value}"')
    path = folder / "datasets.toml"
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def hospitals(deployment, tmp_path, s3_server):
    """Two nodes with registries: a store and a FHIR server; two folders."""
    objects = {f"part {i}.csv": f"n\n{i}\n{i * i}\n".encode() for i in range(40)}
    objects["large.csv"] = b"n\n" + b"7\n" * 300_000
    bucket = s3_server.bucket(objects)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "mine.csv").write_text("n\n5\n6\n")
    bundle_files(tmp_path / "bundles", 2)
    with FhirServer(token=TOKEN, style="blaze") as fhir, Proxy(s3_server.endpoint) as proxy:
        far = registry(
            tmp_path / "a",
            {
                "type": "s3",
                "url": f"s3://{bucket}",
                "endpoint": proxy.url,
                "key-id": s3_server.key_id,
                "secret": s3_server.secret,
            },
            {"type": "fhir", "url": fhir.url, "token": TOKEN},
        )
        near = registry(
            tmp_path / "b",
            {"type": "s3", "url": str(folder)},
            {"type": "fhir", "url": str(tmp_path / "bundles")},
        )
        cache = str(tmp_path / "cache")
        with (
            deployment.nodes("far", datasets=far, cache_dir=cache),
            deployment.nodes("near", datasets=near),
        ):
            secrets = (s3_server.secret, TOKEN)
            yield SimpleNamespace(objects=objects, proxy=proxy, secrets=secrets)


@pytest.mark.deployed
def test_one_analysis_reads_a_store_and_a_folder(deployment, hospitals, tmp_path):
    """Files at two hospitals of their own."""
    cells = [int(c) for content in hospitals.objects.values() for c in content.split()[1:]]
    model = FILES_MODEL.replace("Together", "Twice")
    app = write_app(tmp_path / "files-app", "filesapp", TWICE + model)
    ended, log = deployment.run(app, "far,near", results=str(tmp_path / "results"))
    assert ended.succeeded, log + deployment.logs()
    [result] = (tmp_path / "results").glob("*/r.txt")
    assert result.read_text() == str([[len(cells), sum(cells), 1], [2, 11, 1]])
    size = sum(map(len, hospitals.objects.values()))
    # of two rounds and hello, the contents once; what else is there are listings and headers
    assert size < hospitals.proxy.received < 1.5 * size
    table = log[log.index("before round 1:") :].splitlines()[1:4]
    assert [line.split()[-2:] for line in table[1:]] == [["far", "yes"], ["near", "yes"]]
    assert_no_secret_in(log, deployment, hospitals)


def assert_no_secret_in(log, deployment, hospitals):
    everything = log + "".join(deployment.log(name) for name in ("server", "far", "near"))
    assert not [secret for secret in hospitals.secrets if secret in everything]


@pytest.mark.exhaustive
def test_a_large_object_is_in_memory_once(s3_server, tmp_path):
    """Peak of a process that reads 1 GB: below 1.3 GB, all of Python and Flower included."""
    bucket = s3_server.bucket()
    content = os.urandom(2**20)
    obstore.put(s3_server.store(bucket), "large", (content for _ in range(1000)))
    code = f"""
import hashlib, resource, sys
from pathlib import Path
from flwr.app import Context, RecordDict
from flame_flwr.data import open_data
from flame_flwr.data.cache import Cache
cache = Cache(Path({str(tmp_path / "cache")!r}), 2e9)
cache.check()
context = Context(0, 0, {{}}, RecordDict(), {{}})
data = open_data("s3://{bucket}", context, cache if sys.argv[1] == "cache" else None)
[files] = data.load("s3", None)
assert len(files["large"]) == 1000 * 2**20
print(hashlib.sha256(files["large"]).hexdigest())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": s3_server.key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "AWS_ENDPOINT_URL": s3_server.endpoint,
    }
    expected = hashlib.sha256()
    for _ in range(1000):
        expected.update(content)
    for how in ("plain", "cache", "cache"):
        done = subprocess.run(
            [sys.executable, "-c", code, how],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        digest, peak = done.stdout.split()
        assert digest == expected.hexdigest()
        assert int(peak) < 1.3e9, how
