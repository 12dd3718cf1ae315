"""The live state that a run has written."""

from flame_flwr.results.live_file import LIVE
from flame_flwr.watch.parsed_runs import parse_live


def written(folder):
    return parse_live((folder / LIVE).read_bytes())
