"""The command line of the language: one small file for each command, loaded when it is called.

A mistake of the person who calls ends a command with status 2, one message for each mistake on
stderr, and no traceback.
"""

from __future__ import annotations

import os
import signal
import sys

from cyclopts import App, CycloptsError

from augspec import __version__

COMMANDS = {
    "check": "Check specs, and print every mistake with its place.",
    "show": "Print a spec after `extends`, `let` and assignments.",
    "plan": "Show what a spec compiles into.",
    "layout": "Show the columns of every view's code.",
    "diff": "Show what differs between two specs in meaning.",
    "preview": "Draw what a spec makes of images.",
    "explain": "Write a page that explains a spec's codes on one image.",
    "record": "Write a file with views that can be rendered again.",
    "replay": "Render the views of such a file again, and compare.",
    "ops": "List the ops, or explain one.",
    "new": "Begin a spec from a published recipe.",
    "schema": "Print the JSON Schema of specs, for editors.",
    "migrate": "Bring specs of earlier versions of the language to this one.",
}
"""The commands in the order of the help; each is the function of this name in a module of it.

The words are for the list, for which no command is loaded.
"""

app = App(name="augspec", help="Typed augmentation specs.", version=__version__)
for _place, (_name, _help) in enumerate(COMMANDS.items()):
    app.command(f"augspec.cli.{_name}:{_name}", name=_name, help=_help, sort_key=_place)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line, and ends the process with the command's status."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Runs the command line, and returns the status: 2 after a mistake of the person who calls."""
    from augspec.language.diagnostics import SpecError

    try:
        status = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
    except SpecError as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:
        # whoever read the output wants no more of it; nor must the interpreter's exit complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (CycloptsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    else:
        return status or 0
    return 2
