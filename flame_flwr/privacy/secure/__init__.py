"""Secure sums: the server learns a sum over all hospitals, and nobody's part of it.

Each hospital's part leaves it masked, and the masks cancel in the sum. The construction is the
first half of Bonawitz et al. (2017), *Practical Secure Aggregation for Privacy-Preserving Machine
Learning*: one mask for every pair of nodes, for few nodes that know each other, and without
recovery of those who drop out. A round is of all nodes or of none.

It stops a server, or its operator, that reads everything, that relays false keys, or that tells
hospitals different things. It does not stop all hospitals but one that work together with the
server, and it does not hide what the sum itself tells.
"""

from flame_flwr.aggregation.grid import COUNTS, MODELS, STATISTICS, Grid, OffGridError
from flame_flwr.privacy.secure.encoding import encode_fields
from flame_flwr.privacy.secure.identities import Identities, SecretIdentity
from flame_flwr.privacy.secure.masks import PairKey, mask_words
from flame_flwr.privacy.secure.roster import Entry, Roster

__all__ = [
    "COUNTS",
    "MODELS",
    "STATISTICS",
    "Entry",
    "Grid",
    "Identities",
    "OffGridError",
    "PairKey",
    "Roster",
    "SecretIdentity",
    "encode_fields",
    "mask_words",
]
