"""A client that says that it has the analyzer of a round, as one with a `state-dir` does."""

from flame_flwr.clients import StarClient


def keeps(number=2):
    """Return the class of such a client."""

    class Keeps(StarClient):
        def get_properties(self, config):
            kept = {"keeps-state": True, "states": f"[{number}]"}
            return {**super().get_properties(config), **kept}

    return Keeps
