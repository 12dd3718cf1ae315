"""The ServerApp of an analysis: run the strategy, write the results, fail loudly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flwr.serverapp import ServerApp

from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, StoppedError
from flame_flwr.failure.brief_errors import show_errors_briefly
from flame_flwr.failure.hints import hint_relative
from flame_flwr.failure.scratch_folders import clear_scratch, working_in
from flame_flwr.flower import is_stop, on_exit
from flame_flwr.log import logger, show
from flame_flwr.processes.run_reminder import ran
from flame_flwr.results import RunFolder
from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.results.extra_files import Extras
from flame_flwr.results.followed_lines import FolderLine, ResultsLine
from flame_flwr.transport.approval_request import ask_for_approval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flwr.app import Context
    from flwr.serverapp import Grid

    from flame_flwr.results import Outputs, RunRecord
    from flame_flwr.strategies.declaration import Declaration
    from flame_flwr.strategies.star_strategy import StarStrategy

__all__ = ["make_server_app"]


def make_server_app(declaration: Declaration) -> ServerApp:
    """Return the ServerApp that runs an analysis and writes what it declares.

    Parameters
    ----------
    declaration : Declaration
        The analysis. Its strategy is made when the app runs and not before.

    Examples
    --------
    ``model.server_app`` is made by this; call it for an app whose ClientApp is your own:

    >>> from flame_flwr.star import StarAnalyzer, StarModel
    >>> from flame_flwr.strategies import MergeStatistics
    >>> from flame_flwr.statistics import Total
    >>> class Ages(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return {"age": Total.from_data(data)}
    >>> model = StarModel(Ages, MergeStatistics(), "s3")
    >>> server_app = make_server_app(model.declaration)  # for pyproject.toml
    >>> type(server_app).__name__
    'ServerApp'
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        ran()
        show()
        show_errors_briefly()
        settings = RunSettings.from_config(context.run_config)
        if settings.approval_within is not None:
            ask_for_approval(grid, settings)
            return
        extras = Extras.of(settings.report, settings.tensorboard)
        folder = RunFolder(settings.results, context.run_id, report=extras.report)
        logger.info("%s", FolderLine(folder.place))
        record = declaration.new_record(f"{grid.run.fab_id} {grid.run.fab_version}".strip())
        record.heading = record.heading.completed(declaration.plan.analyzer)
        once = threading.Lock()

        def fail(error: BaseException) -> None:
            # `flwr stop` may come from another thread, while this one is failing already.
            if once.acquire(blocking=False):
                folder.write_failure(record, context.run_config, error)
                place = folder.record_elsewhere or folder.place
                logger.error("the run failed; what there is of it is in %s", place)

        with with_callbacks(record, *folder.live()):  # also while its files are brought to a store
            try:
                with (
                    working_in(folder.scratch),
                    on_exit(lambda: fail(_stopped())),
                    with_callbacks(record, *extras.callbacks(folder.path)),
                ):
                    outputs, checkpoint = _run(
                        declaration, grid, settings, record, context.run_config
                    )
                paths = folder.write_success(outputs, record, context.run_config)
                if checkpoint is not None:
                    checkpoint.clear()
            except BaseException as error:  # Flower ends a stopped run by SystemExit, too
                hint_relative(error)
                fail(_stopped() if is_stop(error) else error)
                raise
            finally:
                clear_scratch(context.run_id)
            folder.deliver()
        logger.info("%s", ResultsLine(folder.place))
        for path in paths:
            logger.info("  %s", folder.address(path))

    return app


def _run(
    declaration: Declaration,
    grid: Grid,
    settings: RunSettings,
    record: RunRecord,
    run_config: Mapping[str, Any],
) -> tuple[Outputs, Checkpoint | None]:
    """Run the analysis; return its files, and the checkpoint that is of no use any more."""
    from flame_flwr.strategies.start_run import settings_for

    filters = declaration.plan.filters
    if filters:
        from flame_flwr.privacy.budget import can_account

        can_account(filters)
    own = declaration.strategy()  # a new one: Flower may run the app's `main` again in a process
    strategy, outputs = _selected(settings, own, declaration.outputs, run_config)
    strategy.check_analyzer(declaration.plan.analyzer, declaration.plan.analyzer_kwargs)
    strategy.nodes_read_first = bool(declaration.plan.expects)
    settings = settings_for(strategy, settings, None)  # before the checkpoint notes what is summed
    private = declaration.privacy is not None
    checkpoint = _checkpoint(settings, strategy, grid, private=private)
    strategy.start(
        grid,
        settings=settings,
        record=record,
        simple_analysis=declaration.simple_analysis,
        checkpoint=checkpoint,
    )
    record.release(declaration.privacy)
    return outputs, checkpoint


def _selected(
    settings: RunSettings, own: StarStrategy, outputs: Outputs, run_config: Mapping[str, Any]
) -> tuple[StarStrategy, Outputs]:
    """Return the run's strategy and its files: the model's, or those of a plug-in it selects."""
    if not settings.strategy:
        return own, outputs
    from flame_flwr.results.output_files import files_of
    from flame_flwr.strategies.strategy_plugin import strategy

    made = strategy(settings.strategy, own, run_config)
    return made, files_of(made) or outputs


def _stopped() -> StoppedError:
    return StoppedError(
        "the run was stopped (flwr stop, or Ctrl-C in submit), or the SuperLink no longer knows it"
    )


def _checkpoint(
    settings: RunSettings, strategy: StarStrategy, grid: Grid, *, private: bool
) -> Checkpoint | None:
    if not settings.checkpoint:
        return None
    if private:
        raise ConfigError(
            "a differentially private analysis keeps no `checkpoint`: it would hold exact results"
        )
    return Checkpoint(
        settings.checkpoint,
        {
            "analysis-id": settings.analysis_id,
            "app": grid.run.fab_id,
            "app version": grid.run.fab_version,
            **strategy.about(),
        },
    )
