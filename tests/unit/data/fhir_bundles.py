"""Bundles of FHIR resources."""

NEXT = [{"relation": "next", "url": "https://example.org/fhir?page=2"}]


def bundle(*entries, **more):
    return {"resourceType": "Bundle", "type": "searchset", "entry": list(entries), **more}
