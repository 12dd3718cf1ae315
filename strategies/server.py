"""The ServerApp of a model: run the strategy, write the results, fail loudly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flwr.serverapp import ServerApp

from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, StoppedError
from flame_flwr.failure.hints import hint_relative
from flame_flwr.failure.scratch_folders import clear_scratch, working_in
from flame_flwr.flower import is_stop, on_exit
from flame_flwr.log import logger, show
from flame_flwr.results import RunFolder, RunRecord
from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.results.checkpoint import Checkpoint
from flame_flwr.results.extras import Extras
from flame_flwr.results.followed_lines import FolderLine, ResultsLine
from flame_flwr.run_reminder import ran

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flwr.app import Context
    from flwr.serverapp import Grid

    from flame_flwr.privacy import Laplace, UpdateFilter
    from flame_flwr.results import Outputs
    from flame_flwr.strategies.star import StarStrategy

__all__ = ["make_server_app"]


def make_server_app(
    strategy: Callable[[], StarStrategy],
    outputs: Outputs,
    *,
    simple_analysis: bool,
    privacy: Laplace | None = None,
    shown: tuple[str, ...] | None = None,
    filters: Sequence[UpdateFilter] = (),
    study: Mapping[str, str] | None = None,
    nodes_read_first: bool = False,
) -> ServerApp:
    """Return the ServerApp that runs a strategy and writes what its model declares.

    Parameters
    ----------
    strategy : callable
        Gives the strategy, when the app runs and not before.
    outputs : Outputs
        The final files.
    simple_analysis : bool
        One round and no more, where the strategy itself does not say.
    privacy : Laplace, optional
        Noises the final result. Then nothing exact is written, also not after a failure.
    shown : tuple of str, optional
        The metrics and scores that are shown, by name; all of them without it.
    filters : sequence of UpdateFilter
        What the model has nodes do to their results; their budget is accounted here.
    study : dict of str to str, optional
        What there is to know of the nodes' side, for ``run.json`` and the report.
    nodes_read_first : bool
        Whether nodes read their data before round 1, to see that it is what the model expects.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        ran()
        show()
        settings = RunSettings.from_config(context.run_config)
        extras = Extras.of(settings.report, settings.tensorboard)
        folder = RunFolder(settings.results, context.run_id, report=extras.report)
        logger.info("%s", FolderLine(folder.place))
        about = None if privacy is None else privacy.about()
        app_name = f"{grid.run.fab_id} {grid.run.fab_version}".strip()
        record = RunRecord(privacy=about, shown=shown, app=app_name)
        record.study |= study or {}
        once = threading.Lock()

        def fail(error: BaseException) -> None:
            if once.acquire(blocking=False):
                folder.write_failure(record, context.run_config, error)
                logger.error("the run failed; what there is of it is in %s", folder.place)

        try:
            if filters:
                from flame_flwr.privacy.budget import can_account

                can_account(filters)
            with working_in(folder.scratch), on_exit(lambda: fail(_stopped())):
                made, files = _selected(settings, strategy(), outputs, context.run_config)
                made.nodes_read_first = nodes_read_first
                checkpoint = _checkpoint(settings, made, grid, private=privacy is not None)
                with with_callbacks(record, *extras.callbacks(folder.path)):
                    made.start(
                        grid,
                        settings=settings,
                        record=record,
                        simple_analysis=simple_analysis,
                        checkpoint=checkpoint,
                    )
                record.release(privacy)
            paths = folder.write_success(files, record, context.run_config)
            if checkpoint is not None:
                checkpoint.clear()
        except BaseException as error:
            hint_relative(error)
            fail(_stopped() if is_stop(error) else error)
            raise
        finally:
            clear_scratch(context.run_id)
        folder.deliver()
        logger.info("%s", ResultsLine(folder.place))
        for path in paths:
            logger.info("  %s", folder.where(path))

    return app


def _selected(
    settings: RunSettings, own: StarStrategy, outputs: Outputs, run_config: Mapping[str, Any]
) -> tuple[StarStrategy, Outputs]:
    """Return the run's strategy and its files: the model's, or those of a plug-in it selects."""
    if not settings.strategy:
        return own, outputs
    from flame_flwr.results.outputs import files_of
    from flame_flwr.strategies.plugin import strategy

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
