"""What a federation across hospitals needs before its first run: keys, scripts, instructions."""

from flame_flwr.deploy.federation import Federation
from flame_flwr.deploy.federation_file import EXAMPLE, read_federation
from flame_flwr.deploy.folders import add_hospital, provision, renew, with_wheel

__all__ = [
    "EXAMPLE",
    "Federation",
    "add_hospital",
    "provision",
    "read_federation",
    "renew",
    "with_wheel",
]
