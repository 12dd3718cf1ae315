"""``StarClient``: an analyzer as a Flower ``NumPyClient``.

Flower makes a client for every message. It reads the round, restores the analyzer as it entered
that round, runs it, saves it, and answers.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr import __version__
from flame_flwr.clients.analyzer_state import NodeState
from flame_flwr.clients.audit import audit_log_of
from flame_flwr.clients.checked_client import CheckedClient
from flame_flwr.clients.node import Node, rules_of
from flame_flwr.clients.node_data import load_once, node_rules, node_subject, open_node_data
from flame_flwr.clients.node_name import name_of, name_or_address
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data import open_kept_values, served_data
from flame_flwr.data.cleaning import expire
from flame_flwr.data.kept_files import FolderFiles, analysis_files
from flame_flwr.flower import Client, NumPyClient, Scalar, runtime
from flame_flwr.identity import Identity
from flame_flwr.installed.versions import installed
from flame_flwr.log import logger
from flame_flwr.payload import WIRE_VERSION, from_arrays, to_arrays

if TYPE_CHECKING:
    import numpy as np
    from flwr.app import Context

    from flame_flwr.clients.node import NodePlan
    from flame_flwr.data import KeptValues, NodeData
    from flame_flwr.privacy.study_declaration import Study

__all__ = ["StarClient"]


class StarClient(NumPyClient):
    """One node's client, for one message.

    Subclasses may override :meth:`fit` and :meth:`evaluate` and call the base class's. What they
    raise is answered as a failure without its text, like an analyzer's own exception.

    Parameters
    ----------
    plan : NodePlan
        The model's part for nodes.
    context : Context
        Flower's, of this node and run.

    Examples
    --------
    >>> class Timed(StarClient):
    ...     def fit(self, parameters, config):
    ...         arrays, examples, metrics = super().fit(parameters, config)
    ...         return arrays, examples, {**metrics, "milliseconds": 1000 * metrics["seconds"]}
    """

    def __init__(self, plan: NodePlan, context: Context) -> None:
        self.plan = plan
        self.context = context
        self._ran: Node | None = None

    def get_properties(self, config: dict[str, Scalar]) -> dict[str, Scalar]:
        """Say hello: who this node is, after a look at its config and its data source.

        Returns
        -------
        dict
            ``name``, ``framework``, ``wire``, ``versions`` of the packages that matter, as JSON;
            ``evaluates``, ``partitions`` (0 outside a simulation), ``keeps-state`` (on disk),
            ``states``: the rounds after which it has a state of this analysis on disk, as JSON;
            and ``findings`` where the analysis says what it expects of the data.

        Raises
        ------
        ConfigError, DataError
            A wrong node config; a data source that is missing or empty; a `state-dir` or
            `audit-log` that cannot be written; disclosure rules that the analyzer cannot keep.
        """
        data = self.open_data()
        if data is not None:
            data.check(self.plan.data_type, self._plan_here().asked)  # type: ignore[arg-type]
        files = self._check_folders(config)
        self._check_protection()
        return {
            **self._findings(data),
            "name": self._name(),
            "framework": __version__,
            "wire": WIRE_VERSION,
            "versions": json.dumps(installed()),
            "evaluates": self.plan.evaluates,
            "partitions": self._settings.num_partitions,
            "keeps-state": files is not None,
            "states": json.dumps(NodeState(self.context, files).take_over()),
        }

    def fit(
        self, parameters: list[np.ndarray], config: dict[str, Scalar]
    ) -> tuple[list[np.ndarray], int, dict[str, Scalar]]:
        """Run one round of the analyzer.

        Parameters
        ----------
        parameters : list of ndarray
            The last aggregate as :func:`flame_flwr.payload.to_arrays` gives it.
        config : dict
            ``round`` (from 1); ``after``, the node's last round that was counted, 0 for none;
            ``session``, the analysis's own id; in the node's first round of a run ``analyzers``:
            all ids, as JSON.

        Returns
        -------
        parameters : list of ndarray
            The result, in the same form.
        num_examples : int
            1: nodes count alike to strategies of Flower's that weigh by it.
        metrics : dict
            ``seconds`` of analysis; what the analyzer reported with ``report_metrics``. Numbers
            that a subclass adds travel, too, unless the node is strict.

        Notes
        -----
        The result has yet to pass the node's gate, which applies disclosure rules and filters, and
        says beside it what was done to it and, if the node lets it be known, how much data it has.
        """
        number = int(config["round"])
        after = _last_counted(config, number - 1)
        state = NodeState(self.context, self._state_files(config))
        node = self._node(config, state, number, after)
        state.restore(node, after)
        # Without parameters the first round has no aggregate; a strategy may bring initial ones.
        aggregate = from_arrays(parameters) if parameters or number > 1 else None
        if "analyzers" in config:  # the node's first round of the run: its data stays what it is
            node.weigh_data()
        started = time.perf_counter()
        payload = node.round(number, aggregate)
        seconds = time.perf_counter() - started
        # Before the answer leaves: a round that was counted must not be without its state.
        state.save(node, number, after)
        metrics: dict[str, Scalar] = {**node.metrics, "seconds": seconds}
        return to_arrays(payload), 1, metrics

    def evaluate(
        self, parameters: list[np.ndarray], config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Score the last aggregate with the analyzer's ``evaluation_method``.

        Returns
        -------
        loss : float
            0.0: a STAR analysis has no loss of its own.
        num_examples : int
            1.
        metrics : dict
            The numbers that ``evaluation_method`` returned.
        """
        number = int(config["round"])
        after = _last_counted(config, number)
        state = NodeState(self.context, self._state_files(config))
        node = self._node(config, state, number + 1, after)
        state.restore(node, after)  # and nothing is saved: scoring changes no state
        scores = node.evaluate(from_arrays(parameters), number)
        return 0.0, 1, dict(scores)

    def open_data(self) -> NodeData | None:
        """Return where this node's data comes from: what its config names. A hook for subclasses.

        Raises
        ------
        ConfigError
            Neither `data` nor `datasets` in the node config, or an analyst's `data` on a
            deployment.
        DataError
            The node's registry has nothing for the analysis's tags and project.
        """
        return open_node_data(self.plan, self._settings, self._run, self.context)

    def to_client(self) -> Client:
        """Return the Flower client that checks what arrives and answers failures safely."""
        return CheckedClient(self)

    def node_name(self) -> str:
        """Return this node's name, or Flower's node id where its config is wrong."""
        return name_or_address(self.context)

    @property
    def study(self) -> Study:
        """What the node's gate must know of the analysis: what it declares, and has done."""
        # Of hello and of what failed before the analyzer: no node has run, the plan says the same.
        node = self._ran or Node(self.plan, Identity(self.node_name(), (), "", ""), None)
        return node.study()

    @cached_property
    def _settings(self) -> NodeSettings:
        return NodeSettings.from_config(self.context.node_config)

    @cached_property
    def _run(self) -> RunSettings:
        return RunSettings.from_config(self.context.run_config)

    def _name(self) -> str:
        return name_of(self._settings, self.context)

    # ---- hello ---------------------------------------------------------------------------

    def _check_folders(self, config: dict[str, Scalar]) -> FolderFiles | None:
        """See that what this node keeps can be written; return where its analyzer's state goes."""
        kept_values = self._kept_values()
        if kept_values is not None:
            kept_values.check()
        files, settings = self._state_files(config), self._settings
        if files is not None:
            if not settings.name:
                logger.warning(
                    "this node has a `state-dir` and no `name` in its config: without a name that "
                    "stays, it finds nothing there when its SuperNode starts again"
                )
            if not served_data.is_served():  # else the node does, which sees other analyses' states
                expire(Path(settings.state_dir), settings.state_days)
        return files

    def _check_protection(self) -> None:
        """See that what the node's answers go through can be had, and goes with the analyzer."""
        self._settings.update_filters()
        if (log := audit_log_of(self.context.node_config)) is not None:
            log.check()
        rules_of(self.plan, node_rules(self._settings, self._run))

    def _findings(self, data: NodeData | None) -> dict[str, Scalar]:
        """Look whether the data is what the analysis expects, where it says."""
        if data is None or not self.plan.expects:
            return {}
        from flame_flwr.clients.expectation_limit import EXPECTED, digests_of
        from flame_flwr.transport.hello_findings import write_findings

        node = Node(self._plan_here(), Identity(self._name(), (), "", ""), data)
        node.use_data(load_once(node, self.context))
        asked = digests_of(self.plan.expects)
        return {"findings": write_findings(node.findings()), EXPECTED: asked}

    # ---- a round -------------------------------------------------------------------------

    def _node(self, config: dict[str, Scalar], state: NodeState, number: int, after: int) -> Node:
        analyzers = config.get("analyzers")
        if analyzers is not None:
            state.save_partners(tuple(json.loads(str(analyzers))))
        run = self._run
        identity = Identity(self._name(), state.load_partners(), run.analysis_id, run.project_id)
        kept_values = self._kept_values()
        if kept_values is not None:
            kept_values.enter_round(str(config.get("session", "")), number, after)
        node = Node(
            self._plan_here(),
            identity,
            self.open_data(),
            kept_values,
            node_rules=node_rules(self._settings, run),
        )
        self._ran = node
        node.use_data(load_once(node, self.context))
        return node

    def _plan_here(self) -> NodePlan:
        """Return the plan; whom a row is about, the hospital says first."""
        # An app that names a column of its own could have each row count as a person.
        subject = node_subject(self._settings, self._run) or self.plan.subject
        return replace(self.plan, subject=subject)

    def _state_files(self, config: dict[str, Scalar]) -> FolderFiles | None:
        """Return the analysis's folder in the ``state-dir``; ``None`` without one."""
        folder, session = self._settings.state_dir, config.get("session")
        if not folder or not session or runtime() == "process":
            return None
        return analysis_files(Path(folder), str(session), self._run.project_id, self._name())

    def _kept_values(self) -> KeptValues | None:
        """Return where this node keeps data across analyses; ``None`` for in this process."""
        where, run, settings = runtime(), self._run, self._settings
        if where == "process" and not run.state_dir:
            return None
        simulated = where != "deployment"
        return open_kept_values(
            run.state_dir if simulated else settings.state_dir,
            run.project_id,
            self._name(),
            where="the run config" if simulated else "this node's config",
            lasting=simulated or bool(settings.name),
        )


def _last_counted(config: dict[str, Scalar], last: int) -> int:
    """Return the round to go on after; a strategy that does not say means the last one."""
    return int(config.get("after", 0 if "analyzers" in config else last))
