"""Where a node's data comes from, by location or by registry; and what a node keeps."""

from flame_flwr.data.fhir_table import fhir_to_csv
from flame_flwr.data.local_store import LocalStore, clear_local_storage, open_store
from flame_flwr.data.open_source import open_data
from flame_flwr.data.source import (
    FolderSource,
    FunctionSource,
    NodeData,
    SourceData,
    SplitData,
    read_folder,
)

__all__ = [
    "FolderSource",
    "FunctionSource",
    "LocalStore",
    "NodeData",
    "SourceData",
    "SplitData",
    "clear_local_storage",
    "fhir_to_csv",
    "open_data",
    "open_store",
    "read_folder",
]
