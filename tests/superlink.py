"""A SuperLink in this process: what Flower's HttpGrid is given, object by object."""

from types import SimpleNamespace

from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import PullObjectResponse
from flwr.proto.runtime_pb2 import PullAppMessagesResponse
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.superlink.grid.http_grid import HttpGrid

from flame_flwr.flower import set_message_id


class SuperLink:
    """Keeps what nodes have pushed; a test may change, add or hold back an object."""

    def __init__(self):
        self.replies, self.objects, self.held, self.confirmed = {}, {}, set(), []
        self.pulled = 0
        self._client = SimpleNamespace(event_hooks={"response": []})

    def push(self, reply, tree=None, objects=None):
        """Take a node's reply; an object that is `held` has not been pushed yet."""
        set_message_id(reply, reply.object_id)
        found = {key: each.deflate() for key, each in get_all_nested_objects(reply).items()}
        envelope = message_to_proto(remove_content_from_message(reply))
        self.objects |= found if objects is None else objects
        key = reply.metadata.reply_to_message_id
        self.replies[key] = envelope, tree or get_object_tree(reply)
        return list(found)

    def PullMessages(self, request):  # noqa: N802
        found = [self.replies.pop(key) for key in request.message_ids if key in self.replies]
        messages, trees = ([pair[place] for pair in found] for place in (0, 1))
        return PullAppMessagesResponse(messages_list=messages, message_object_trees=trees)

    def PullObject(self, request):  # noqa: N802
        key = request.object_id
        there = key not in self.held
        content = self.objects.get(key) if there else None
        if content is not None:
            response = SimpleNamespace(headers={"content-length": str(len(content))}, close=int)
            for hook in self._client.event_hooks["response"]:
                hook(response)
            self.pulled += len(content)
        return PullObjectResponse(
            object_found=key in self.objects, object_available=there, object_content=content or b""
        )

    def ConfirmMessageReceived(self, request):  # noqa: N802
        self.confirmed.append(request.message_object_id)


class RemoteGrid(HttpGrid):
    """Flower's Grid on that SuperLink; it connects to nothing."""

    def __init__(self, link):
        super().__init__(token="none")
        self._client = link
