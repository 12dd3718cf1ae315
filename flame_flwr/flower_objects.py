"""The objects that Flower's messages are made of: pulled one by one, and put together.

A message that comes over a SuperLink is a tree of objects, each pulled by a call of its own, and
its sender may have pushed only some of them. Flower's own ``pull_messages`` waits for all of them,
however many and large they are, and meanwhile takes no other reply. Here each reply arrives at its
own pace and within a limit.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, Any

from flwr.app import Error, RecordDict

from flame_flwr.flower import message_like
from flame_flwr.flower_arrays import MessageTooLargeError, lean_arrays
from flame_flwr.flower_single_record import SINGLE, single_record
from flame_flwr.installed.versions import moved

try:
    from flwr.app.message import make_message
    from flwr.common.constant import ErrorCode
    from flwr.common.serde import message_from_proto
    from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
    from flwr.proto.runtime_pb2 import PullAppMessagesRequest
    from flwr.supercore.inflatable.inflatable_object import (
        get_object_type_from_object_content,
        iterate_object_tree,
    )
    from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
    from flwr.supercore.inflatable.inflatable_utils import (
        ObjectPullError,
        ObjectUnavailableError,
        inflate_object_from_contents,
    )
except ImportError as error:
    raise ImportError(moved(version("flwr")), name=error.name, path=error.path) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flwr.app import Message
    from flwr.serverapp import Grid

__all__ = [
    "SMALL",
    "TOO_LARGE",
    "UNREADABLE",
    "ArrivingReply",
    "is_remote",
    "pull_replies",
    "unreadable",
]

TOO_LARGE = 9002
"""Error code of the reply that stands for one with more bytes than a node may send."""

UNREADABLE = 9003
"""Error code of the reply that stands for one that cannot be put together."""

SMALL = 4 * 2**20
"""Bytes of a message's objects that are no arrays, and of what is said of arrays, at most."""

_LEAST_PART = 2**13
"""Bytes. A message may have as many objects as if each had this size: every one costs a call, and
a million tiny ones would keep the server busy for hours."""

_TIMES_NAMED = 4
"""How many times as long the list of their ids may be: equal arrays are one object, named often."""

_HELD = 64 * 2**20
"""Bytes of a reply that are held while the next of its objects is waited for."""

_AT_A_TIME = 2**24
_OBJECTS_AT_A_TIME = 32


def is_remote(grid: Grid) -> bool:
    """Tell whether a Grid asks nodes over a SuperLink, as on a deployment."""
    module = sys.modules.get("flwr.superlink.grid.http_grid")
    return module is not None and isinstance(grid, module.HttpGrid)


def pull_replies(grid: Any, message_ids: list[str], most: int) -> list[ArrivingReply]:
    """Return the replies that a SuperLink has since the last call; each is returned once.

    Parameters
    ----------
    grid : HttpGrid
        Flower's, to a SuperLink.
    message_ids : list of str
        The messages that they answer.
    most : int
        How many bytes each may have.
    """
    client = grid._runtime_client
    found = client.PullMessages(PullAppMessagesRequest(message_ids=message_ids))
    pairs = zip(found.messages_list, found.message_object_trees, strict=True)
    return [ArrivingReply(grid, envelope, tree, most) for envelope, tree in pairs]


class ArrivingReply:
    """A reply of which a SuperLink may have a part only.

    Parameters
    ----------
    grid : HttpGrid
        Flower's, to a SuperLink.
    envelope : object
        The reply without its content, as the SuperLink has checked it.
    tree : object
        The ids of its objects.
    most : int
        How many bytes it may have.

    Attributes
    ----------
    parts : int
        How many objects it has; of one with too many, how many were looked at.
    received, held : int
        How many of its bytes have been pulled, and how many of them are here.
    moving : bool
        Whether more of it may be there already.
    """

    def __init__(self, grid: Any, envelope: Any, tree: Any, most: int) -> None:
        self._grid, self._most = grid, most
        self._bare: Message = message_from_proto(envelope)
        self._id: str = envelope.metadata.message_id
        self._pull: Callable[[str], bytes] = make_pull_object_fn_protobuf(
            pull_object_protobuf=grid._runtime_client.PullObject,
            node=grid.node,
            run_id=grid.run.run_id,
        )
        # The records first: what is too large is known soon, and few bytes are pulled for it.
        most_parts = most // _LEAST_PART + 100
        parts = islice(iterate_object_tree(tree), _TIMES_NAMED * most_parts + 1)
        named = [part.object_id for part in parts]
        self._single = single_record(tree)
        ids = dict.fromkeys(named if self._single is None else [self._single])
        self._too_many = len(ids) > most_parts or len(named) > _TIMES_NAMED * most_parts
        self._pending = deque(reversed(ids))
        self._contents: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self.parts = len(ids)
        self.received = self.held = 0
        self.moving = True

    @property
    def answers(self) -> str:
        """The id of the message that it answers, as the SuperLink has checked it."""
        return self._bare.metadata.reply_to_message_id

    @property
    def missing(self) -> int:
        """How many of its objects have not been seen yet."""
        return self.parts - len(self._sizes)

    def take(self) -> Message | None:
        """Pull what is there, up to 16 MB at a time; return the reply once it is complete.

        Returns
        -------
        Message or None
            With an error in place of a content that cannot be had; ``None`` where more is to come.

        Raises
        ------
        MessageTooLargeError
            It has more, or would have when it is put together.
        """
        try:
            return self._put_together() if self._gather() else None
        except ObjectPullError:
            # its sender's time to push is over: what Flower, too, says of an answer that is lost
            return self.failed(ErrorCode.MESSAGE_UNAVAILABLE, "its answer has not come whole")

    def failed(self, code: int, reason: str) -> Message:
        """Return an error that stands for the reply, and let the SuperLink forget its objects."""
        self._contents, self._pending, self.held = {}, deque(), 0
        self._confirm()
        return make_message(metadata=self._bare.metadata, error=Error(code, reason))

    def _gather(self) -> bool:
        """Pull some objects; return whether all are there."""
        if self._too_many:
            raise MessageTooLargeError
        # A part at a time, so that one large reply does not keep the others waiting.
        pulled = count = 0
        while self._pending and pulled < _AT_A_TIME and count < _OBJECTS_AT_A_TIME:
            key = self._pending[0]
            try:
                with _bounded_responses(self._grid, self._most - self.received + SMALL):
                    content = self._pull(key)
            except ObjectUnavailableError:
                self.moving = False
                if self.held > _HELD:
                    self.let_go()
                return False
            self.moving = True
            self._pending.popleft()
            self.held += len(content)
            # Counted once, also where it was let go and is pulled a second time.
            self.received += len(content) - self._sizes.get(key, 0)
            self._contents[key], self._sizes[key] = content, len(content)
            pulled, count = pulled + len(content), count + 1
            if self.received > self._most:
                raise MessageTooLargeError
        return not self._pending

    def let_go(self) -> None:
        """Let go of the bytes of a reply that may stay incomplete: they can be pulled again."""
        self._pending.extend(self._contents)
        self._contents.clear()
        self.held = 0

    def _put_together(self) -> Message:
        self._confirm()  # all is here, so the SuperLink need hold nothing while it is put together
        contents, self._contents = self._contents, {}
        try:
            _check_records(contents)
            with lean_arrays(self._most):
                whole: Any = inflate_object_from_contents(self._single or self._id, contents)
            if self._single is not None:
                whole = message_like(self._bare, RecordDict({SINGLE: whole}))
            content = whole.content if whole.has_content() else None
            said = None if content is not None else whole.error
        except MessageTooLargeError:
            raise
        except Exception as error:  # of any type and depth: the bytes are the node's
            return self.failed(UNREADABLE, unreadable(error))
        # What a message says of itself nobody has checked, its envelope the SuperLink has.
        return make_message(metadata=self._bare.metadata, content=content, error=said)

    def _confirm(self) -> None:
        request = ConfirmMessageReceivedRequest(
            node=self._grid.node, run_id=self._grid.run.run_id, message_object_id=self._id
        )
        self._grid._runtime_client.ConfirmMessageReceived(request)


def unreadable(error: Exception) -> str:
    """Say that an answer could not be put together, and what to do about it."""
    return (
        f"its answer cannot be put together ({type(error).__name__}): it was changed on its way, "
        "or the node does not run flame-flwr; install the server's version there"
    )


def _check_records(contents: dict[str, bytes]) -> None:
    """Check, before anything is built, that only arrays are large."""
    bulk = described = other = 0
    for content in contents.values():
        kind = get_object_type_from_object_content(content)
        if kind == "ArrayChunk":
            bulk += len(content)
        elif kind in ("Array", "ArrayRecord"):
            described += len(content)
        else:
            other += len(content)
    if other > SMALL or described > SMALL + bulk // 8:
        raise MessageTooLargeError


@contextmanager
def _bounded_responses(grid: Any, most: int) -> Iterator[None]:
    """Within the block, refuse what the SuperLink sends if the size that it announces is larger."""
    # httpx calls a response's hooks when its head is there and its body has not been read.
    client = grid._runtime_client._client
    hooks = client.event_hooks

    def check(response: Any) -> None:
        if int(response.headers.get("content-length", 0)) > most:
            response.close()
            raise MessageTooLargeError

    client.event_hooks = {**hooks, "response": [*hooks["response"], check]}
    try:
        yield
    finally:
        client.event_hooks = hooks
