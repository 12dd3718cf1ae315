"""The hospital's node: ``flame-flwr node start``, Flower's SuperNode with a process per message.

``start`` is what the command calls; ``message_host`` has messages answered by forked processes;
``fork_server`` forks them; ``message_process`` is what runs in one; ``wire`` is what they say to
each other. What leans on Flower's own parts is in :mod:`flame_flwr.flower_node`.
"""

__all__: list[str] = []
