"""The whole study in this process, from nothing to its files.

``python run.py`` takes some seconds. ``python run.py --data A B C`` runs it on your own hospitals:
each folder holds a ``train.csv`` and a ``test.csv``, or what ``--files`` says. All of them are on
this machine then, which is for trying it out; between hospitals it is a Flower app, see README.md.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy, compare_columns  # noqa: E402
from cross_site.hospitals import HOSPITALS, MEASUREMENTS, hospital_files  # noqa: E402
from cross_site.naming import as_named, names_in_messages  # noqa: E402
from cross_site.settings import COMPARISON, filters  # noqa: E402
from cross_site.table import LABEL, TEST, TRAIN, expected  # noqa: E402
from flame_flwr.errors import ConfigError, DataError, FlameError  # noqa: E402
from flame_flwr.star import StarModelTester  # noqa: E402

NAMED = (TRAIN, TEST)


def run(
    splits: list[list[dict[str, bytes]]],
    columns: list[str] | None,
    results: Path,
    files: str = "",
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
    files : str
        How hospitals call what is ``train.csv`` and ``test.csv`` in `splits`, for messages.
    """
    return StarModelTester(
        splits,
        CrossSiteAnalyzer,
        CrossSiteStrategy(COMPARISON, columns),
        "s3",
        analyzer_kwargs={"columns": columns, "settings": COMPARISON},
        filters=filters(COMPARISON),
        expects=expected(columns, files, renamed=True),
        filename=str(results),
    )


def folder_files(folders: Sequence[Path], files: str = "") -> dict[Path, dict[str, bytes]]:
    """Return every hospital's files, those that are there; called as here, whatever they are there.

    Raises
    ------
    ConfigError
        There is no such folder, or one is given twice.
    """
    seen: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"--data: there is no folder {folder}")
        same = seen.setdefault(folder.resolve(), folder)
        if same is not folder:
            raise ConfigError(
                f"--data: {folder} is the same folder as {same}, and a hospital takes part once."
            )
    found = {}
    for folder in folders:
        names = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
        read = {name: (folder / name).read_bytes() for name in names if files or name in NAMED}
        try:
            [found[folder]] = as_named([read], files)
        except DataError as error:
            raise DataError(f"{folder}: {error.message}", detail=error.detail) from None
    return found


def measurements(folders: Mapping[Path, Mapping[str, bytes]], files: str = "") -> list[str] | None:
    """Return what all hospitals call their measurements; ``None``: no folder has any.

    Raises
    ------
    DataError
        Hospitals have different ones, and nobody is blamed; or a first line has no ``label``. It
        may be a patient's, so it is not shown.
    """
    found: dict[str, list[str]] = {}
    called, _ = names_in_messages(files)
    for number, (folder, contents) in enumerate(folders.items()):
        if TRAIN in contents:
            header = contents[TRAIN].decode("utf-8-sig", "replace").splitlines()[:1]
            names = [name.strip() for name in next(csv.reader(header), [])]
            if LABEL not in names:
                raise DataError(
                    f"{folder / called}: its first line must have the names of the columns, "
                    f"separated by commas, and {LABEL!r} must be one of them."
                )
            found[f"node-{number}"] = [name for name in names if name != LABEL]
    _compare(found, list(folders))
    return next(iter(found.values()), None) or None


def _compare(found: Mapping[str, list[str]], folders: Sequence[Path]) -> None:
    """Compare names before anybody reads numbers, and say which of them are not everywhere."""
    try:
        compare_columns({node: (len(each), ",".join(sorted(each))) for node, each in found.items()})
    except DataError as error:
        sets = [set(each) for each in found.values()]
        odd = sorted(sets[0].union(*sets) - sets[0].intersection(*sets))
        error.add_note(f"columns that not every hospital has: {', '.join(map(repr, odd[:5]))}")
        for number, folder in enumerate(folders):
            error.add_note(f"node-{number} is {folder}")
        raise


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", type=Path, metavar="FOLDER", help="one per hospital")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument(
        "--files",
        default="",
        help="how a hospital's files are called, to train and to test with, such as "
        "'site-*.csv, site-*_test.csv' or 'Xtrain.csv + ytrain.csv, Xtest.csv + ytest.csv'",
    )
    options = parser.parse_args()
    try:
        if options.data:
            folders = folder_files(options.data, options.files)
            splits = [[files] for files in folders.values()]
            columns = measurements(folders, options.files)
            for number, folder in enumerate(folders):
                print(f"node-{number} is {folder}")
        else:
            splits = [[hospital_files(number)] for number in range(len(HOSPITALS))]
            columns = MEASUREMENTS
        run(splits, columns, options.results.resolve(), options.files)
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
