"""Whether the Flower that is installed is one whose non-public parts are known."""

from __future__ import annotations

import hashlib
import inspect
import pkgutil

__all__ = ["unknown_parts"]

_KNOWN = {
    "supernode.start_client_internal:start_client_internal": "f507e976ec84",
    "supernode.start_client_internal:_pull_and_store_message": "0352223c09ee",
    "supernode.start_client_internal:_push_messages": "719c745486a1",
    "supernode.start_client_internal:_insert_message": "6a88dfd416ff",
    "supernode.start_client_internal:_verify_fab": "d2a79f7909b5",
    "supernode.fleet_http_connection:http_request_response": "fffebd0bebdf",
    "supercore.heartbeat:HeartbeatSender": "8ae2fe818424",
    "supernode.node_auth_http_interceptor:NodeAuthHttpInterceptor": "f1bf50416f4a",
    "supernode.cli.flower_supernode:flower_supernode": "16452b502e81",
    "supernode.cli.flower_supernode:_parse_supernode_lifespan_config": "994cf6b59517",
    "supernode.cli.flower_supernode:_start_supernode_http_api": "35e6d19ba88c",
    "supernode.nodestate.nodestate_factory:NodeStateFactory": "08bcdeb038ba",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState": "36596b184334",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.claim_task": "6658020c2ab5",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.activate_task": "0ed21ee936d3",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.finish_task": "385aac966640",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.get_tasks": "e23ed690b261",
    "supernode.nodestate.in_memory_nodestate:InMemoryNodeState.create_task": "21d25c395846",
    "cli.install:install_from_fab": "efe346a9184a",
    "clientapp.utils:get_load_client_app_fn": "ca0e29e5ed74",
    "common.config:get_fused_config_from_fab": "95d7e30e55bc",
    "common.config:parse_config_args": "4da22a878eda",
    "supercore.protobuf.client:ProtobufClient._unary_unary": "bcd99dac0428",
    "supercore.retry.http_retry:make_simple_http_retry_invoker": "73b7188eedec",
    "supercore.inflatable.inflatable_utils:pull_and_inflate_object_from_tree": "86586b9e6a24",
    "supercore.inflatable.inflatable_utils:push_objects": "b5ef731f4524",
    "superlink.grid.http_grid:HttpGrid._try_push_messages": "17b31d3f2cda",
    "supercore.corestate.in_memory_corestate:InMemoryCoreState.get_object": "78680e594115",
    "supercore.corestate.in_memory_corestate:InMemoryCoreState.store_object": "6433f3345aab",
    "supercore.corestate.sql_corestate:SqlCoreState.get_object": "3c2cd3de34b6",
    "supercore.corestate.sql_corestate:SqlCoreState.store_object": "8f5d3ac21c07",
}
"""What the node's two modules lean on, with its fingerprints in flwr 1.41 and 1.42; last, what a
message leans on that travels as one object, also at the server, which then has the same flwr."""


def unknown_parts() -> list[str]:
    """Return the parts of the installed Flower that are not as they were when this was written."""
    return [name for name, known in _KNOWN.items() if _fingerprint(name) != known]


def _fingerprint(name: str) -> str:
    """Return what the source of a function or class is known by, without its comments."""
    try:
        source = inspect.getsource(pkgutil.resolve_name(f"flwr.{name}"))
    except (ImportError, AttributeError, OSError):
        return "missing"
    # By the text: dumps of the syntax tree differ from one Python to the next.
    lines = (line.partition("  #")[0].rstrip() for line in source.splitlines())
    text = "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
