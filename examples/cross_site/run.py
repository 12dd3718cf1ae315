"""The whole study in this process, from nothing to its files.

``python run.py`` takes some seconds. ``python run.py --data A B C`` runs it on your own hospitals:
each folder holds a ``train.csv`` and a ``test.csv``. All of them are on this machine then, which
is for trying it out; between hospitals it is a Flower app, see README.md.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy  # noqa: E402
from cross_site.hospitals import HOSPITALS, MEASUREMENTS, hospital_files  # noqa: E402
from cross_site.settings import COMPARISON, filters  # noqa: E402
from cross_site.table import LABEL, TEST, TRAIN, expected  # noqa: E402
from flame_flwr.errors import DataError, FlameError  # noqa: E402
from flame_flwr.star import StarModelTester  # noqa: E402


def run(
    splits: list[list[dict[str, bytes]]], columns: list[str] | None, results: Path
) -> StarModelTester:
    """Run the study and write its files.

    Parameters
    ----------
    splits : list
        Every hospital's data: ``[{"train.csv": bytes, "test.csv": bytes}]``.
    columns : list of str or None
        What the measurements are called.
    results : Path
        The folder for the files.
    """
    return StarModelTester(
        splits,
        CrossSiteAnalyzer,
        CrossSiteStrategy(COMPARISON, columns),
        "s3",
        analyzer_kwargs={"columns": columns, "settings": COMPARISON},
        filters=filters(COMPARISON),
        expects=expected(columns),
        filename=str(results),
    )


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return a hospital's files, those that are there."""
    return {
        name: (folder / name).read_bytes() for name in (TRAIN, TEST) if (folder / name).exists()
    }


def measurements(folders: dict[Path, dict[str, bytes]]) -> list[str] | None:
    """Return what all hospitals call their measurements, or ``None`` where they do not agree.

    In that case round 1 compares them, and blames nobody.

    Raises
    ------
    DataError
        A first line has no ``label``. It may be a patient's, so it is not shown.
    """
    found = []
    for folder, files in folders.items():
        if TRAIN in files:
            header = files[TRAIN].decode("utf-8-sig", "replace").splitlines()[:1]
            names = [name.strip() for name in next(csv.reader(header), [])]
            if LABEL not in names:
                raise DataError(
                    f"{folder / TRAIN}: its first line must have the names of the columns, "
                    f"separated by commas, and {LABEL!r} must be one of them."
                )
            found.append([name for name in names if name != LABEL])
    if not found or any(sorted(each) != sorted(found[0]) for each in found):
        return None
    return found[0] or None


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", type=Path, metavar="FOLDER", help="one per hospital")
    parser.add_argument("--results", type=Path, default=Path("results"))
    options = parser.parse_args()
    try:
        if options.data:
            folders = {folder: folder_files(folder) for folder in options.data}
            splits = [[folders[folder]] for folder in options.data]
            columns = measurements(folders)
        else:
            splits = [[hospital_files(number)] for number in range(len(HOSPITALS))]
            columns = MEASUREMENTS
        run(splits, columns, options.results.resolve())
    except FlameError as error:
        print(
            "\n".join([f"error: {error.message}", *getattr(error, "__notes__", [])]),
            file=sys.stderr,
        )
        return 1
    print("\n" + (options.results / "summary.txt").read_text(encoding="utf-8"))
    print(f"The files are in {options.results.resolve()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
