"""Errors that end a run with one clear line and a documented exit code."""


class AuditError(Exception):
    """An error whose message says what, why and what to do. `exit_code` is what the CLI returns."""

    exit_code = 4


class InputError(AuditError):
    """The request, the configuration or the data can't be used as given."""

    exit_code = 2


class RunError(AuditError):
    """Something failed while the audit was running; finished cells are kept."""

    exit_code = 4
