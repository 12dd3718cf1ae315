"""Where a node's data comes from: a folder of files, a function, a local split."""

from flame_flwr.data.source import (
    FolderSource,
    FunctionSource,
    NodeData,
    SourceData,
    SplitData,
    open_data,
    read_folder,
)

__all__ = [
    "FolderSource",
    "FunctionSource",
    "NodeData",
    "SourceData",
    "SplitData",
    "open_data",
    "read_folder",
]
