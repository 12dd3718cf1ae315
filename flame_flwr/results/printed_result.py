"""The result of a local test that names no file: printed, and saved only where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ResultError
from flame_flwr.log import logger
from flame_flwr.results.final_files import keep_elsewhere
from flame_flwr.results.run_files import RunFiles
from flame_flwr.results.text_form import final_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.results.output_files import Outputs
    from flame_flwr.results.run_record import RunRecord

__all__ = ["PrintedResult"]


class PrintedResult(RunFiles):
    """Stands where files would be written, and writes none."""

    record_is_kept = False

    def __init__(self) -> None:
        super().__init__(Path())

    def begin(self) -> None:
        """Leave everything that is there."""

    def write_success(
        self, outputs: Outputs, record: RunRecord, parameters: Mapping[str, Any]
    ) -> list[Path]:
        """Print the result, after a look that it fits.

        Raises
        ------
        ResultError
            It does not; the message says where it is saved.
        """
        result = record.result
        try:
            outputs.check(result)
        except ResultError as error:
            raise ResultError(
                f"{error.message}; {keep_elsewhere(result)}", detail=error.detail
            ) from error
        if outputs.many:
            for i, value in enumerate(result, start=1):
                logger.info("%s", final_line(value, f"Final result_{i}"))
        else:
            logger.info("%s", final_line(result))
        return []

    def write_failure(
        self, record: RunRecord, parameters: Mapping[str, Any], error: BaseException
    ) -> None:
        """Write nothing: no place for it is named."""
