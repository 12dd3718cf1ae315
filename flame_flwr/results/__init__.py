"""The results of a run: final files, its record, its history."""

from flame_flwr.results.output_files import Outputs
from flame_flwr.results.run_folder import RunFolder
from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["Outputs", "RoundRecord", "RunFolder", "RunRecord"]
