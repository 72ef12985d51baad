"""Errors as one line on stderr, with the documented exit code."""

from __future__ import annotations

import sys
import traceback
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from fcdd_audit.core.errors import AuditError, InputError

EXIT_FAILED, EXIT_INTERRUPTED = 4, 130

UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # typer doesn't export it


class OneLineErrors(TyperGroup):
    """Commands whose usage errors are one line on stderr."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)  # type: ignore[misc]
        try:
            code = super().main(*args, standalone_mode=False, **extra)  # type: ignore[misc]
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
            else:
                print_error(f"{error.format_message()} (see --help)")  # type: ignore[attr-defined]
            code = InputError.exit_code
        except typer.Abort:
            code = EXIT_INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


class ErrorsAsLines:
    """Inside it an error ends the command with one line on stderr; with `debug` with its traceback."""

    def __init__(self, debug: bool) -> None:
        self.debug = debug

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, SystemExit | typer.Exit):
            return
        said = _said(error)
        if said is None:
            return
        message, code = said
        if self.debug and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
            raise typer.Exit(code)
        _fail(message, code)


def _said(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit code of an error; None: it isn't ours to report."""
    if isinstance(error, AuditError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; finished cells are kept, the same command goes on", EXIT_INTERRUPTED
    if isinstance(error, Exception):
        reason = " ".join(str(error).split()) or "no message"
        return (
            f"unexpected {type(error).__name__}: {reason} (run with --debug for the traceback)",
            EXIT_FAILED,
        )
    return None


def print_error(message: str) -> None:
    """One line on stderr."""
    line = " ".join(message.split())  # names from outside may hold line breaks
    print(f"fcdd-audit: error: {line}", file=sys.stderr)


def _fail(message: str, code: int) -> NoReturn:
    print_error(message)
    raise typer.Exit(code)
