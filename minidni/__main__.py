"""The command line: `python -m minidni gradcheck NAME`, `experiment NAME` and `speedup`."""

import argparse
import sys

from .examples import EXAMPLES, example
from .gradcheck import check_gradients

EXAMPLES_OF_USE = """try:
  python -m minidni gradcheck LSTM --seed 3       is its backward the derivative of its forward?
  python -m minidni experiment --list             the claims that can be tried
  python -m minidni experiment two-lag --quick    one of them, in short
  python -m minidni speedup                       does it get faster with several workers, on this machine?

In Python, help(minidni) is the reading order of the library."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 if all is well, 1 if a check failed, 2 for unusable arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m minidni",
        description="Backpropagation with every line in sight: checks of gradients, and experiments that run.",
        epilog=EXAMPLES_OF_USE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    gradcheck = commands.add_parser(
        "gradcheck",
        help="check a layer's backward against differences of its forward",
        description=f"Check the gradients of a small random layer. NAME is one of {', '.join(EXAMPLES)}.",
    )
    gradcheck.add_argument("name", metavar="NAME", help="the layer or loss")
    gradcheck.add_argument("--seed", type=int, default=0, help="of the sizes, weights and inputs (default 0)")
    commands.add_parser("experiment", help="run an experiment over several seeds and print a table", add_help=False)
    commands.add_parser("speedup", help="time a step with one worker and with several", add_help=False)
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments[:1] == ["experiment"]:
        from .experiments import command

        return command.main(arguments[1:])  # which reads the rest itself
    if arguments[:1] == ["speedup"]:
        from .experiments import speedup_command

        return speedup_command.main(arguments[1:])
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        layer, *inputs = example(options.name, seed=options.seed)
    except ValueError as error:
        print(f"{parser.prog} gradcheck: {error}", file=sys.stderr)
        return 2
    report = check_gradients(layer, *inputs, seed=options.seed)
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
