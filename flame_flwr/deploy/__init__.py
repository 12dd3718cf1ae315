"""What a federation across hospitals needs before its first run: keys, scripts, instructions."""

from flame_flwr.deploy.federation import Federation
from flame_flwr.deploy.federation_file import EXAMPLE, read_federation
from flame_flwr.deploy.folders import add_hospital, provision, renew, rotate, with_wheel
from flame_flwr.deploy.identities import collect_identities
from flame_flwr.deploy.proxy import with_proxy

__all__ = [
    "EXAMPLE",
    "Federation",
    "add_hospital",
    "collect_identities",
    "provision",
    "read_federation",
    "renew",
    "rotate",
    "with_proxy",
    "with_wheel",
]
