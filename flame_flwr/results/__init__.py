"""What a run leaves behind: final files, the run's record, history."""

from flame_flwr.results.folder import RunFolder
from flame_flwr.results.outputs import Outputs
from flame_flwr.results.record import RoundRecord, RunRecord

__all__ = ["Outputs", "RoundRecord", "RunFolder", "RunRecord"]
