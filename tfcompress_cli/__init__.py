"""The command line: `tfcompress COMMAND ...`, or `python -m tfcompress COMMAND ...`.

It is a package of its own because `import tfcompress` imports TensorFlow, which takes seconds. Here
nothing but the standard library is imported until a command is known to be one.
"""

from __future__ import annotations

import importlib
import sys
from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

_MODEL = "a model that Keras 2 saved: a .keras or .h5 file"
_FILE = "a TFLite file, or the folder that export wrote"
_EPILOG = (
    "MODEL is " + _MODEL + "; FILE is " + _FILE + ". Every command has help of its own: "
    "tfcompress COMMAND --help. It ends with 0, with 1 where something is wrong with what it was "
    "given, and with 2 where it was called wrongly."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: the arguments; by default those of the process.

    Returns:
        The exit code: 0, or 1 after an error that was said on stderr.

    Raises:
        SystemExit: help was asked for (0), or the arguments are wrong (2).
    """
    asked = parser().parse_args(argv)
    run = importlib.import_module("tfcompress_cli.running").run  # imports TensorFlow
    return int(run(asked))


def parser() -> ArgumentParser:
    """What the command line takes."""
    made = ArgumentParser(
        "tfcompress",
        description="Makes Keras and TFRS search and recommendation models small and fast.",
        epilog=_EPILOG,
    )
    about = "print the version and end"
    made.add_argument("--version", action=_Version, nargs=0, default=SUPPRESS, help=about)
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_plan, _apply, _export, _inspect, _report, _compare):
        add(commands)
    return made


class _Version(Action):
    """Prints the installed version, which is looked up only then."""

    def __call__(self, parser: ArgumentParser, *_: Any, **__: Any) -> None:
        metadata = importlib.import_module("importlib.metadata")
        print(f"tfcompress {metadata.version('tfcompress')}")
        parser.exit()


def _command(commands: Any, name: str, about: str) -> ArgumentParser:
    made: ArgumentParser = commands.add_parser(name, help=about, description=f"{about}.")
    return made


def _option(command: ArgumentParser, name: str, metavar: str, about: str, **how: Any) -> None:
    command.add_argument(f"--{name}", metavar=metavar, help=about, **how)


def _add_model(command: ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help=_MODEL)
    about = "import this module first, for layers and models of your own; may be repeated"
    _option(command, "import", "MODULE", about, dest="modules", action="append", default=[])


def _add_json(command: ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_timing(command: ArgumentParser, name: str, default: int) -> None:
    about = f"rounds of measuring; 0 measures no times (default: {default})"
    _option(command, name, "N", about, type=int, default=default)
    _option(command, "threads", "N", "threads of LiteRT (default: 1)", type=int, default=1)


def _plan(commands: Any) -> None:
    command = _command(commands, "plan", "Shows what a spec does to each layer; changes nothing")
    _add_model(command)
    command.add_argument("spec", metavar="SPEC", help="a spec as JSON, open values allowed")
    _add_json(command)


def _apply(commands: Any) -> None:
    command = _command(commands, "apply", "Writes the model with the layers that a spec asks for")
    _add_model(command)
    command.add_argument("spec", metavar="SPEC", help="a spec as JSON")
    about = "the model to write: a .keras file; "
    about += "OUT.notes.json beside it tells export what was done"
    command.add_argument("out", metavar="OUT", help=about)
    command.add_argument("--force", action="store_true", help="write over an OUT that is there")


def _export(commands: Any) -> None:
    command = _command(commands, "export", "Writes a verified TFLite file, its report and a page")
    _add_model(command)
    command.add_argument("folder", metavar="DIR", help="the folder to write")
    about = "what apply noted (default: MODEL.notes.json, if it is there)"
    _option(command, "notes", "FILE", about)
    about = "the largest deviation of an output, as a share of its size"
    _option(command, "tolerance", "X", about, type=float)


def _inspect(commands: Any) -> None:
    command = _command(commands, "inspect", "Shows where a file's bytes and microseconds go")
    command.add_argument("file", metavar="FILE", help=_FILE)
    _option(command, "signature", "NAME", "the one to look at (default: all)")
    _add_timing(command, "repeats", 50)
    _add_json(command)


def _report(commands: Any) -> None:
    command = _command(commands, "report", "Writes report.html into a folder, from what is in it")
    command.add_argument("folder", metavar="DIR", help="of an export, or of a search")
    _add_timing(command, "repeats", 0)


def _compare(commands: Any) -> None:
    command = _command(commands, "compare", "Compares two files: sizes, latency, and outputs")
    command.add_argument("first", metavar="A", help=_FILE)
    command.add_argument("second", metavar="B", help="another one, held against A")
    _option(command, "inputs", "NPZ", "for each input an array of some calls (default: made up)")
    _add_timing(command, "rounds", 30)
    _add_json(command)


def arguments(asked: Namespace) -> dict[str, Any]:
    """What a command was given, by name.

    Example:
        >>> arguments(parser().parse_args(["report", "small"]))
        {'folder': 'small', 'repeats': 0, 'threads': 1}
    """
    return {name: value for name, value in vars(asked).items() if name != "command"}


if __name__ == "__main__":
    sys.exit(main())
