"""The ``perception`` command: a thin dispatcher, so that ``--help`` and light commands import nothing heavy."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from perception.errors import InputError

LIGHTNING = ("fit", "validate", "test", "predict")
COMMANDS = {
    "fit": "train a model from a YAML config",
    "validate": "measure a checkpoint on the validation split",
    "test": "measure a checkpoint on the test split",
    "predict": "write masks, overlays and boxes for a data set",
    "world": "write a nuScenes-format data set from the procedural driving world",
    "show": "draw a keyframe with its LiDAR points and boxes, or record a scene",
    "models": "list the models that can be built",
    "drive": "run a model over a source in the real-time loop and write a report",
    "calibrate": "measure how long each plan takes on this device",
    "export": "write a model as a file that other runtimes run, proved equal",
    "cutout": "the subject of a picture with soft edges, over another background",
    "check": "find what is broken in a data set, so that training leaves it out",
    "bench": "side-by-side timings with ratios",
}
SUBCOMMANDS = {
    ("bench", "compare"): "segmentation networks trained alike for the same time",
    ("bench", "domains"): "one model on several data sets, such as weathers",
    ("bench", "engines"): "every engine that runs a model on this device",
    ("bench", "export"): "every model of the zoo as a file, compared with the model",
    ("bench", "fusion"): "what camera features add to a LiDAR network, and what losing them costs",
    ("bench", "lidar"): "LiDAR networks on one sweep and on growing ones, and ways to scatter",
    ("bench", "loop"): "what the real-time loop costs besides the network",
    ("bench", "maps"): "masks projected from the map against dense labels",
    ("bench", "rungs"): "one set of weights for a ladder of resolutions against a model for each rung",
    ("bench", "stream"): "streaming perception of adaptive and fixed resolutions on labelled drives",
    ("bench", "zoo"): "whether every model trains, and its weights come back from a file",
}
"""Commands of two words with options of their own; the module's name joins the words."""
TRUTHS = ("true", "false", "yes", "no", "on", "off", "1", "0")
"""What may stand behind a switch."""


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: perception [--debug] COMMAND [options]\n\n"
        f"commands:\n{rows}\n\n"
        "perception COMMAND --help shows a command's options; --debug shows the traceback of an error.\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 where a check found something, or 2 for bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from perception import __version__

        print(f"perception {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; use one of {', '.join(COMMANDS)}"
        print(f"perception: error: unknown command {name!r}{hint}", file=sys.stderr)
        return 2
    try:
        if name in LIGHTNING:
            from perception.commands.lightning import run as run_lightning

            run_lightning(name, rest)
        else:
            return _run(name, rest)
    except (ValueError, OSError, ImportError) as error:
        if debug:
            traceback.print_exc()
        print(f"perception {name}: error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"perception {name}: interrupted", file=sys.stderr)
        return 130
    return 0


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def spelled(arguments: Sequence[str], function: Callable[..., Any]) -> list[str]:
    """Options as the parser knows them: underscores for the dashes in a name, and ``true`` behind a switch alone.

    Args:
        function: whose parameters the options are; those of type ``bool`` are switches.
    """
    parameters = inspect.signature(function).parameters.values()
    switches = {parameter.name for parameter in parameters if parameter.annotation in (bool, "bool")}
    found: list[str] = []
    for place, argument in enumerate(arguments):
        if argument.startswith("--") and len(argument) > 2:
            name, equals, value = argument[2:].partition("=")
            name = name.replace("-", "_")
            found.append(f"--{name}{equals}{value}")
            following = arguments[place + 1 : place + 2]
            if name in switches and not equals and not (following and following[0].lower() in TRUTHS):
                found.append("true")
        else:
            found.append(argument)
    return found


def _run(name: str, arguments: list[str]) -> int:
    """Parse by the signature of ``perception.commands.<name>.main``, print what it returns, and give the exit code that
    the command's ``exit_code`` makes of it, where it has one."""
    from jsonargparse import ArgumentError, ArgumentParser

    description = COMMANDS[name]
    words = (name, *arguments[:1])
    if words in SUBCOMMANDS:
        name, arguments, description = " ".join(words), arguments[1:], SUBCOMMANDS[words]
    command = importlib.import_module(f"perception.commands.{name.replace(' ', '_')}")
    parser = ArgumentParser(prog=f"perception {name}", description=description, exit_on_error=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, all else on stderr")
    parser.add_function_arguments(command.main, as_positional=True)
    try:
        values = vars(parser.instantiate(parser.parse_args(spelled(arguments, command.main))))
    except ArgumentError as error:
        raise InputError(f"{one_line(error)}; see perception {name} --help") from error
    as_json = values.pop("json")
    result: Any = command.main(**values)
    if as_json:
        print(json.dumps(result, indent=1, allow_nan=False))
    else:
        command.show(result)
    return int(command.exit_code(result)) if hasattr(command, "exit_code") else 0
