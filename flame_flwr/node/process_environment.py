"""Which variables of the node's environment the processes of messages have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["allowed"]

_NAMES = (
    "CURL_CA_BUNDLE|FLAME_FLWR_SCRATCH|FLWR_DISABLE_UPDATE_CHECK|FLWR_TELEMETRY_ENABLED|HOME|LANG"
    "|LANGUAGE|LD_LIBRARY_PATH|LOGNAME|MPLBACKEND|NO_COLOR|PATH|POLARS_MAX_THREADS|SSL_CERT_DIR"
    "|SSL_CERT_FILE|TERM|TMPDIR|TZ|USER|VIRTUAL_ENV"
)
_PREFIXES = "BLIS|CUDA|GOMP|KMP|LC|MALLOC|MKL|NUMEXPR|NVIDIA|OMP|OPENBLAS|TORCH|VECLIB"
_ALLOWED = re.compile(f"{_NAMES}|({_PREFIXES})_[A-Z0-9_]+|PYTHON[A-Z]*")


def allowed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment a message's process may have: nobody keeps a secret there.

    That is where programs and libraries are, language and time zone, and how many threads
    numerical libraries start.

    Examples
    --------
    >>> allowed({"PATH": "/bin", "OMP_NUM_THREADS": "2", "LC_ALL": "C", "STUDY_PASSWORD": "x"})
    {'PATH': '/bin', 'OMP_NUM_THREADS': '2', 'LC_ALL': 'C'}
    """
    return {name: text for name, text in environment.items() if _ALLOWED.fullmatch(name)}
