"""The part of the handle that keeps data on a node, for later analyses of the same project.

Calls and answers are those of FLAME's SDK. Of its two locations a STAR analysis has ``local``;
what would be ``global`` travels as results and aggregates do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.data.kept_values import KeptValues
    from flame_flwr.identity import Identity

__all__ = ["KeptData"]

_TAG = re.compile(r"[a-z0-9-]{1,32}")


class KeptData:
    """The data that a participant keeps by calls of :class:`flame_flwr.star.handle.FlameHandle`.

    Parameters
    ----------
    identity : Identity
        Who the participant is.
    kept : KeptValues, optional
        Where it keeps data; without one, in this process.
    """

    def __init__(self, identity: Identity, kept: KeptValues | None = None) -> None:
        self._identity = identity
        self._kept_values = kept

    def save_intermediate_data(
        self,
        data: Any,
        location: str,
        remote_node_ids: Sequence[str] | None = None,
        tag: str | None = None,
    ) -> dict[str, str]:
        """Keep a copy of `data` on this node, for this project, also across analyses.

        Parameters
        ----------
        data : Any
            What a result may be; anything else is pickled.
        location : {'local'}
            ``'global'`` is not available.
        remote_node_ids : None
            What is kept locally is for this node alone.
        tag : str, optional
            1 to 32 lowercase letters, digits and hyphens; one tag may have many values.

        Returns
        -------
        dict
            ``status`` (``'success'``), ``url``, and the ``id`` to get the value by.

        Raises
        ------
        UnavailableError, ModelError
            ``'global'``, remote nodes; a wrong location or tag.
        ConfigError
            Under Flower: there is no `state-dir` in the node's config (the aggregator's, and a
            simulation's, stands in the run config). ``flame-flwr run`` has a folder for it. In a
            ``StarModelTester`` nothing is written: values live as long as the process, or until
            :func:`flame_flwr.data.clear_local_storage`.
        """
        _check_location("save_intermediate_data", location)
        if remote_node_ids:
            raise UnavailableError(
                "flame.save_intermediate_data: what is kept on the node is for this node alone, "
                f"without remote_node_ids. {_WAY}"
            )
        key = self._storage().save(data, None if tag is None else _checked_tag(tag))
        return {"status": "success", "url": f"/local/{key}", "id": key}

    def get_intermediate_data(
        self,
        location: str,
        id: str | None = None,
        query: str | None = None,
        tag: str | None = None,
        tag_option: str | None = "all",
        sender_node_id: str | None = None,
    ) -> Any:
        """Return a copy of what this node has kept, in this analysis or an earlier one.

        Parameters
        ----------
        location : {'local'}
            ``'global'`` is not available.
        id, query : str, optional
            The id that saving returned, in either spelling.
        tag : str, optional
            Get what has this tag instead.
        tag_option : {'all', 'first', 'last'}
            A list of all values, oldest first; or the first or last value itself.
        sender_node_id : str, optional
            This node's own id at most.

        Raises
        ------
        DataError
            Nothing is kept under the id, or there is no first or last value. (All values of an
            unknown tag are an empty list.)
        UnavailableError, ModelError, ConfigError
            As in :meth:`save_intermediate_data`.
        """
        _check_location("get_intermediate_data", location)
        if sender_node_id not in (None, self._identity.id):
            raise UnavailableError(
                "flame.get_intermediate_data: what another node keeps is for that node alone. "
                + _WAY
            )
        option = "all" if tag_option is None else tag_option
        if option not in ("all", "first", "last"):
            raise ModelError("tag_option is 'all', 'first' or 'last'", detail=repr(tag_option))
        if tag is not None:
            return self._storage().load_tag(_checked_tag(tag), option)
        key = query if id is None else id
        if key is None:
            raise ModelError(
                "flame.get_intermediate_data needs a tag, or the id that saving returned"
            )
        return self._storage().load(key)

    def get_local_tags(self, filter: str | None = None) -> list[str]:
        """Return the tags of what this node has kept; with `filter`, those that contain it."""
        return [tag for tag in self._storage().tags() if filter is None or filter in tag]

    def _storage(self) -> KeptValues:
        if self._kept_values is None:
            from flame_flwr.data.kept_values import kept_in_memory

            self._kept_values = kept_in_memory(self._identity.project_id, self._identity.id)
        return self._kept_values


def _check_location(call: str, location: str) -> None:
    if location == "global":
        raise UnavailableError(
            f"flame.{call}: location='global' is not available in a STAR analysis. {_WAY}"
        )
    if location != "local":
        raise ModelError(f"flame.{call}: location is 'local'", detail=repr(location))


def _checked_tag(tag: Any) -> str:
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise ModelError(
            "a tag is 1 to 32 lowercase letters, digits and hyphens",
            detail=repr(tag),
        )
    return tag


_WAY = (
    "Instead: return the value from analysis_method: the framework sends it to the aggregator, and "
    "the aggregate back to every node."
)
