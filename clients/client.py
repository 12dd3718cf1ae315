"""``StarClient``: an analyzer as a Flower ``NumPyClient``.

Flower makes a client for every message. It reads the round, restores the analyzer as it entered
that round, runs it, saves it, and answers.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr import __version__
from flame_flwr.clients.audit import AuditLog
from flame_flwr.clients.checked_client import CheckedClient
from flame_flwr.clients.node import Node, rules_of
from flame_flwr.clients.state import NodeState
from flame_flwr.config import NodeSettings, RunSettings
from flame_flwr.data import open_data, open_kept_values
from flame_flwr.data.cleaning import expire
from flame_flwr.data.kept_files import ANALYSES, FolderFiles
from flame_flwr.data.source import NODE_OPTION
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.flower import (
    Client,
    NumPyClient,
    Scalar,
    runtime,
)
from flame_flwr.identity import Identity
from flame_flwr.log import logger
from flame_flwr.payload import WIRE_VERSION, from_arrays, to_arrays
from flame_flwr.versions import installed

if TYPE_CHECKING:
    import numpy as np
    from flwr.app import Context

    from flame_flwr.clients.node import NodePlan
    from flame_flwr.data import KeptValues, NodeData
    from flame_flwr.data.cache import Cache
    from flame_flwr.data.registry import Dataset
    from flame_flwr.privacy import DisclosureRule

__all__ = ["StarClient"]

_LOADED: dict[tuple[int, int], Any] = {}
"""Data that this process has loaded, by run and node: of one run at a time."""


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
    """

    def __init__(self, plan: NodePlan, context: Context) -> None:
        self.plan = plan
        self.context = context

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
            data.check(self.plan.data_type, self.plan.query)  # type: ignore[arg-type]
        store = self._store(RunSettings.from_config(self.context.run_config))
        if store is not None:
            store.check()
        files, settings = self._state_files(config), self._settings()
        if files is not None:
            if not settings.name:
                logger.warning(
                    "this node has a `state-dir` and no `name` in its config: without a name that "
                    "stays, it finds nothing there when its SuperNode starts again"
                )
            expire(Path(settings.state_dir), settings.state_days)
        for each in settings.own_filters():
            logger.info("this node's own filter: %s", each)
        if settings.audit_log:
            AuditLog(settings.audit_log).check()
        rules = rules_of(self.plan, self._own_rules())
        for rule in rules.rules if rules else ():
            logger.info("disclosure rule at this node: %s", rule)
        findings = {} if data is None else self._findings(data)
        return {
            **findings,
            "name": self._name(),
            "framework": __version__,
            "wire": WIRE_VERSION,
            "versions": json.dumps(installed()),
            "evaluates": self.plan.evaluates,
            "partitions": settings.num_partitions,
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
            ``seconds`` of analysis; what the analyzer reported with ``report_metrics``; where
            results are filtered, ``filters``, what was done, and where disclosure rules hold,
            ``disclosure``, their names, both as JSON; in the first round, if the node lets it be
            known, ``size``, how much data it has.
        """
        number = int(config["round"])
        after = _after(config, number - 1)
        state = self._state(config)
        node = self._node(config, state, number, after)
        state.restore(node, after)
        aggregate = from_arrays(parameters) if parameters or number > 1 else None
        started = time.perf_counter()
        payload = node.round(number, aggregate)
        seconds = time.perf_counter() - started
        state.save(node, number, after)
        metrics: dict[str, Scalar] = {**node.metrics, "seconds": seconds}
        if "analyzers" in config and self._shares_size() and (size := node.size()):
            metrics["size"] = size
        if node.filters is not None:
            metrics["filters"] = json.dumps(state.count_filtered(node.filters.report()))
        if node.disclosure is not None:
            metrics["disclosure"] = json.dumps(node.disclosure.names)
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
        after = _after(config, number)
        state = self._state(config)
        node = self._node(config, state, number + 1, after)
        state.restore(node, after)
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
        if self.plan.data_type == "none":
            return None
        settings = self._settings()
        run = RunSettings.from_config(self.context.run_config)
        if run.data and runtime() == "deployment":
            raise ConfigError(
                "`data` in the run config is for simulations: on a deployment each hospital "
                "names its data in its own node config"
            )
        cache = _cache(settings)
        if settings.datasets:
            from flame_flwr.data.open_source import open_datasets

            return open_datasets(self._datasets(run), self.context, cache)
        if run.tag_list() and runtime() == "deployment":
            raise DataError(
                "the analysis names tags, and this node has no registry: set `datasets` in its "
                "config"
            )
        locations = settings.data or run.data
        if not locations:
            raise ConfigError(
                "this node's config has neither `data` nor `datasets`: they name what it reads"
            )
        option = NODE_OPTION if settings.data else "`data` in the run config"
        return open_data(locations, self.context, cache, option=option)

    def to_client(self) -> Client:
        """Return the Flower client that checks what arrives and answers failures safely."""
        return CheckedClient(self)

    def called(self) -> str:
        """Return this node's name, or Flower's node id where its config is wrong."""
        try:
            return self._name()
        except ConfigError:
            name = self.context.node_config.get("name")
            return name if isinstance(name, str) and name else str(self.context.node_id)

    def _datasets(self, run: RunSettings) -> list[Dataset]:
        """Return what of this node's registry the analysis may use."""
        from flame_flwr.data.registry import choose, read_registry

        datasets = read_registry(Path(self._settings().datasets))
        return choose(datasets, self.plan.data_type, run.tag_list(), run.project_id)

    def _own_rules(self) -> tuple[DisclosureRule, ...]:
        """Return the disclosure rules of this node, and those of the datasets that are read."""
        settings = self._settings()
        rules = settings.own_rules()
        if not settings.datasets or self.plan.data_type == "none":
            return rules
        from flame_flwr.privacy.config_text import read_rules

        run = RunSettings.from_config(self.context.run_config)
        for dataset in self._datasets(run):
            if dataset.disclosure:
                rules += read_rules(dataset.disclosure, "`disclosure` in this node's registry")
        return rules

    def _settings(self) -> NodeSettings:
        return NodeSettings.from_config(self.context.node_config)

    def _shares_size(self) -> bool:
        """Tell whether it may be known how much data there is; by default in a simulation only."""
        said = self._settings().share_size
        return runtime() != "deployment" if said is None else said

    def _name(self) -> str:
        settings = self._settings()
        if settings.name:
            return settings.name
        if settings.partition_id is not None:
            return f"node-{settings.partition_id}"
        return str(self.context.node_id)

    def _state(self, config: dict[str, Scalar]) -> NodeState:
        return NodeState(self.context, self._state_files(config))

    def _state_files(self, config: dict[str, Scalar]) -> FolderFiles | None:
        """Return the analysis's folder in the ``state-dir``; ``None`` without one."""
        folder, session = self._settings().state_dir, config.get("session")
        if not folder or not session or runtime() == "process":
            return None
        return FolderFiles(Path(folder), ANALYSES, str(session), self._name())

    def _node(self, config: dict[str, Scalar], state: NodeState, number: int, after: int) -> Node:
        partners = config.get("analyzers")
        if partners is not None:
            state.save_partners(tuple(json.loads(str(partners))))
        analyzers = state.load_partners()
        run = RunSettings.from_config(self.context.run_config)
        identity = Identity(self._name(), analyzers, run.analysis_id, run.project_id)
        settings, store = self._settings(), self._store(run)
        if store is not None:
            store.enter_round(str(config.get("session", "")), number, after)
        node = Node(
            self.plan,
            identity,
            self.open_data(),
            store,
            own_rules=self._own_rules(),
            own_filters=settings.own_filters(),
        )
        node.use_data(self._loaded(node))
        return node

    def _store(self, run: RunSettings) -> KeptValues | None:
        """Return where this node keeps data across analyses; ``None`` for in this process."""
        where, settings = runtime(), self._settings()
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

    def _findings(self, data: NodeData) -> dict[str, Scalar]:
        """Look whether the data is what the analysis expects, where it says."""
        if not self.plan.expects:
            return {}
        from flame_flwr.transport.participation import write_findings

        identity = Identity(self._name(), (), "", "")
        node = Node(self.plan, identity, data)
        node.use_data(self._loaded(node))
        return {"findings": write_findings(node.findings())}

    def _loaded(self, node: Node) -> Any:
        """Return the node's data, loaded by the first message of the run in this process."""
        key = (self.context.run_id, self.context.node_id)
        if key not in _LOADED:
            for other in [other for other in _LOADED if other[0] != key[0]]:
                del _LOADED[other]
            _LOADED[key] = node.data()
        return _own_containers(_LOADED[key])


def _cache(settings: NodeSettings) -> Cache | None:
    """Return the node's `cache-dir`, made; ``None`` without one."""
    if not settings.cache_dir:
        return None
    from flame_flwr.data.cache import Cache

    cache = Cache(Path(settings.cache_dir), settings.cache_gb * 1e9)
    cache.check()
    return cache


def _after(config: dict[str, Scalar], last: int) -> int:
    """Return the round to go on after; a strategy that does not say means the last one."""
    return int(config.get("after", 0 if "analyzers" in config else last))


def _own_containers(data: Any) -> Any:
    """Return new lists and dicts around the same files: a round may change its own only."""
    if isinstance(data, list) and all(isinstance(files, dict) for files in data):
        return [dict(files) for files in data]
    return data
