"""Write the bundles of three invented hospitals: ``python make_hospitals.py OUT_DIR``.

They stand in ``hospitals/`` already; nobody in them is real. Every hospital answers all its
patients in one bundle, ``Patient.json``, as a server does with a search for ``Patient``.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

SIZES = (61, 38, 19)
SEED = 2024


def bundle(hospital: int) -> dict[str, object]:
    """Return one hospital's patients as FHIR's answer to a search."""
    draw = random.Random(SEED + hospital)  # noqa: S311  (invented patients, no secrets)
    patients = [
        {
            "resourceType": "Patient",
            "id": f"h{hospital}-{number}",
            "gender": draw.choice(["female", "male", "other"]),
            "birthDate": f"{draw.randint(1930, 2006)}-{draw.randint(1, 12):02}-15",
        }
        for number in range(SIZES[hospital])
    ]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(patients),
        "entry": [{"resource": patient, "search": {"mode": "match"}} for patient in patients],
    }


def main() -> None:
    """Write ``OUT_DIR/hospital-0/Patient.json`` and so on."""
    for hospital in range(len(SIZES)):
        path = Path(sys.argv[1], f"hospital-{hospital}", "Patient.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(bundle(hospital), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
