"""The tests' own FHIR server: a small real HTTP server that pages in the styles in the wild.

It is not a FHIR server that stores or validates anything: it answers searches by type from a list,
with ``_count``, ``_summary=count`` and ``_include=Observation:subject``.
"""

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote

import uvicorn
from ports import free_port
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PATIENTS, OBSERVATIONS = 600, 3000


def patient(i):
    return {
        "resourceType": "Patient",
        "id": f"p{i}",
        "gender": "female" if i % 3 else "male",
        "birthDate": f"{1930 + i % 70}-05-12",
    }


def observation(i):
    return {
        "resourceType": "Observation",
        "id": f"o{i}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": f"Patient/p{i % PATIENTS}"},
        "valueQuantity": {"value": 50 + i % 60, "unit": "kg", "code": "kg"},
    }


RESOURCES = {
    "Patient": [patient(i) for i in range(PATIENTS)],
    "Observation": [observation(i) for i in range(OBSERVATIONS)],
}


@dataclass
class FhirServer:
    """A running server; the attributes may be changed while it runs.

    ``style`` is how it pages: ``hapi``, ``blaze`` or ``offset``. ``token`` or ``user`` are what it
    wants to see. ``trouble`` maps the number of a page to what goes wrong there.
    """

    style: str = "offset"
    token: str = ""
    user: str = ""
    trouble: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    authorizations: list = field(default_factory=list)
    searches: dict = field(default_factory=dict)
    busy: int = 0
    port: int = 0
    certificates: Path | None = None

    @property
    def base(self):
        scheme = "https" if self.certificates else "http"
        return f"{scheme}://127.0.0.1:{self.port}/fhir"

    @property
    def url(self):
        return f"fhir+{self.base}"

    def __enter__(self):
        self.port = self.port or free_port()
        routes = [
            Route("/fhir", self.answer),
            Route("/fhir/{path:path}", self.answer),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host="127.0.0.1",
            port=self.port,
            log_level="error",
            ws="none",
            ssl_certfile=self.certificates and self.certificates / "server.crt",
            ssl_keyfile=self.certificates and self.certificates / "server.key",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the FHIR server of the tests did not start")
            time.sleep(0.01)
        return self

    def __exit__(self, *error):
        self._server.should_exit = True
        self._thread.join(timeout=20)

    def answer(self, request):
        raw = request.scope["raw_path"].decode() + "?" + request.scope["query_string"].decode()
        self.requests.append(raw)
        self.authorizations.append(request.headers.get("authorization", ""))
        path = request.path_params.get("path", "")
        if path == "metadata":
            return resource({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
        if self.busy:
            self.busy -= 1
            return Response("busy", 503, {"retry-after": "0"})
        if not self._is_known(self.authorizations[-1]):
            return outcome(401, "login", "Maria Muster is not logged in")
        query = parse_qs(request.scope["query_string"].decode(), keep_blank_values=True)
        if path == "__page" or "_getpages" in query:
            key = query.get("_getpages", query.get("__token", [""]))[0]
            kind, searched = self.searches[key]
            number = int(query["_page"][0])
        else:
            kind, searched, number = path, query, int(query.get("_page", ["1"])[0])
        if kind not in RESOURCES:
            return outcome(404, "not-supported", "Maria Muster asks for an unknown type")
        return self.page(kind, searched, number)

    def page(self, kind, query, number):
        trouble = self.trouble.get(number)
        if isinstance(trouble, Response):
            return trouble
        found = RESOURCES[kind]
        if "gender" in query:
            found = [each for each in found if each.get("gender") == query["gender"][0]]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        if query.get("_summary") == ["count"]:
            return resource(bundle)
        count = int(query.get("_count", ["100"])[0])
        chosen = found[(number - 1) * count : number * count]
        entries = [
            {"fullUrl": f"{self.base}/{kind}/{each['id']}", "resource": each, "search": MATCH}
            for each in chosen
        ]
        if "_include" in query:
            there = dict.fromkeys(each["subject"]["reference"] for each in chosen)
            for reference in there:
                included = RESOURCES["Patient"][int(reference.split("/p")[1])]
                entries.append({"resource": included, "search": INCLUDE})
        links = [{"relation": "self", "url": f"{self.base}/{kind}"}]
        if number * count < len(found):
            links.append({"relation": "next", "url": self.next_url(kind, query, number + 1)})
        if isinstance(trouble, str):
            links = [{"relation": "next", "url": trouble}]
        if number > 1:
            del bundle["total"]  # as servers do that count once
        return resource({**bundle, "link": links, "entry": entries})

    def next_url(self, kind, query, number):
        key = f"{kind},{'|'.join(sorted(query))} {len(self.searches)}"
        self.searches[key] = (kind, query)
        if self.style == "hapi":
            return (
                f"{self.base}?_getpages={quote(key, safe='')}&_page={number}&_bundletype=searchset"
            )
        if self.style == "blaze":
            return f"{self.base}/__page?__token={quote(key, safe='|,')}&_page={number}"
        pairs = [f"{name}={quote(value[0], safe='')}" for name, value in query.items()]
        pairs = [pair for pair in pairs if not pair.startswith("_page=")] + [f"_page={number}"]
        return f"{kind}?{'&'.join(pairs)}"  # relative, as the standard allows

    def _is_known(self, authorization):
        if self.token:
            return authorization == f"Bearer {self.token}"
        if self.user:
            return authorization == "Basic " + base64.b64encode(self.user.encode()).decode()
        return True


MATCH, INCLUDE = {"mode": "match"}, {"mode": "include"}


def resource(content, status=200):
    return JSONResponse(content, status, media_type="application/fhir+json")


def outcome(status, code, text):
    """Return an OperationOutcome that names a patient where servers do."""
    issue = {"severity": "error", "code": code, "diagnostics": text}
    return resource({"resourceType": "OperationOutcome", "issue": [issue]}, status)


def main():
    """Serve until the process is ended: ``python fhir_server.py PORT [TOKEN]``."""
    import sys

    with FhirServer(port=int(sys.argv[1]), token="".join(sys.argv[2:3])):
        print(json.dumps({"port": int(sys.argv[1])}), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
