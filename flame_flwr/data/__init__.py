"""Where a node's data comes from, by location or by registry; and what a node keeps."""

from flame_flwr.data.fhir_table import fhir_to_csv
from flame_flwr.data.folder_source import FolderSource, read_folder
from flame_flwr.data.function_source import FunctionSource
from flame_flwr.data.kept_values import KeptValues, clear_local_storage, open_kept_values
from flame_flwr.data.open_data import open_data
from flame_flwr.data.source import NodeData, SourceData, SplitData

__all__ = [
    "FolderSource",
    "FunctionSource",
    "KeptValues",
    "NodeData",
    "SourceData",
    "SplitData",
    "clear_local_storage",
    "fhir_to_csv",
    "open_data",
    "open_kept_values",
    "read_folder",
]
