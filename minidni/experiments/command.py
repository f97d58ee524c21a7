"""The command `python -m minidni experiment NAME [--seeds 1 2 3] [--quick] [--json FILE] [key=value ...]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .registry import as_text, find, listing
from .rows import Row
from .table import as_json, document, number, table, write

PROG = "python -m minidni experiment"


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status: 0, 2 for unusable arguments, or 130 if it was interrupted."""
    parser = _parser()
    options = parser.parse_intermixed_args(list(arguments))
    texts = _words_behind_seeds(options)
    names = [text for text in texts if "=" not in text]
    if options.list:
        print(listing())
        return 0
    if not names:
        print(f"{parser.format_help()}\nexperiments:\n{listing()}")
        return 0
    try:
        experiment = find(names[0])
        if options.help:
            print(experiment.description)
            return 0
        if names[1:]:
            raise ValueError(f"got {' and '.join(names)}, expected one experiment and settings of the form key=value")
        if not options.seeds:
            raise ValueError("--seeds is followed by no whole number, expected one or more, such as --seeds 1 2 3")
        settings = experiment.settings((text for text in texts if "=" in text), quick=options.quick)
        experiment.beside(**settings)  # what does not fit together shows before the first run
        _expect_writable(options.json)
    except (ValueError, OSError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2

    rows: list[Row] = []
    interrupted = False
    try:
        for row in experiment.rows(options.seeds, settings):
            rows.append(row)
            print(f"{experiment.name}: {_line(row)}", file=sys.stderr)
    except FileNotFoundError as error:  # a set of data that is not on this machine: only the first run looks for it
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        interrupted = True
    results = document(experiment, settings, rows)
    print(table(results), file=sys.stderr if options.json == "-" else sys.stdout)
    if options.json == "-":
        print(as_json(results), end="")
    elif options.json is not None and rows:
        write(Path(options.json), as_json(results))
    if interrupted:
        print(f"{PROG}: interrupted; the table holds the {len(rows)} runs that were finished", file=sys.stderr)
    return 130 if interrupted else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        usage=f"{PROG} NAME [--seeds 1 2 3] [--quick] [--json FILE] [key=value ...]",
        description="Run an experiment and print a table over its seeds. NAME --help tells its claim and settings.",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="NAME, key=value", help="the experiment, and settings to change")
    parser.add_argument(
        "--seeds",
        nargs="+",
        default=["1", "2", "3"],
        metavar="SEED",
        help="the seeds themselves, not their number (default 1 2 3)",
    )
    parser.add_argument("--quick", action="store_true", help="small settings that take seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON; - writes them to standard output")
    parser.add_argument("--list", action="store_true", help="name the experiments, with a line each")
    parser.add_argument("--help", "-h", action="store_true", help="this text or, with NAME, the experiment's")
    return parser


def _words_behind_seeds(options: argparse.Namespace) -> list[str]:
    """All words that are no seeds: those behind `--seeds 1 2` belong to the command again."""
    count = next((i for i, text in enumerate(options.seeds) if not text.isdecimal()), len(options.seeds))
    behind, options.seeds = options.seeds[count:], [int(text) for text in options.seeds[:count]]
    return [*options.words, *behind]


def _expect_writable(path: str | None) -> None:
    """Raise before the first run, not after the last, if the file's folder is not there or the file is a folder."""
    if path is None or path == "-":
        return
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"--json is {path!r}, expected a file in a folder that exists, or - for standard output")
    if Path(path).is_dir():
        raise ValueError(f"--json is {path!r}, which is a folder, expected a file, or - for standard output")


def _line(row: Row) -> str:
    return " ".join(
        f"{name}={number(value) if isinstance(value, float) else as_text(value)}" for name, value in row.items()
    )
