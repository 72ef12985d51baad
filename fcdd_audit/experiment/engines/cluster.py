"""Ray itself: importing it, starting it on this machine, connecting to it elsewhere."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from fcdd_audit.core.errors import InputError, RunError
from fcdd_audit.experiment.devices import cores

RETRIES = 3  # of a task whose process or machine is lost
OBJECTS = 80 << 20  # bytes of Ray's own store, which needs 75 MiB; what tasks share is in files
PATIENCE = 5.0  # seconds for a cluster to answer
AUTO = "auto"
ENVIRONMENT = {  # unless the user has them otherwise
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # says so with each task on the CPU else
    "RAY_task_oom_retries": str(RETRIES),  # else a task that needs too much memory is tried for ever
}


def import_ray() -> Any:
    """The package. InputError where it can't be imported."""
    try:
        with _environment(ENVIRONMENT):
            return import_module("ray")
    except ImportError as error:
        raise InputError(
            f"--engine ray needs Ray, which can't be imported ({error}): pip install 'fcdd-audit[ray]'"
        ) from None


def connect(ray: Any, address: str | None, workers: int | None) -> bool:
    """Connect this process to Ray, unless it is; returns whether that is to be ended, too.

    address: HOST:PORT of a cluster, or auto; None: Ray is started on this machine, with as many cores as
    `workers` says. InputError where the cluster can't be reached, or this process is connected to another;
    RunError where Ray doesn't start.
    """
    if ray.is_initialized():
        found = ray.get_runtime_context().gcs_address
        if address not in (None, AUTO, found):
            raise InputError(
                f"this process is connected to Ray at '{found}' already, and not at '{address}'; drop "
                "--address, or call ray.shutdown() before"
            )
        return False
    if address is None:
        _start(ray, workers or cores())
    else:
        reach(address)
        _join(ray, address)
    return True


def _start(ray: Any, workers: int) -> None:
    try:
        with _environment(ENVIRONMENT):
            ray.init(
                address="local",  # else RAY_ADDRESS counts
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=OBJECTS,
                **_quietly(),
            )
    except (Exception, SystemExit) as error:  # Ray ends the process that waited for it in vain
        raise RunError(
            f"Ray can't be started on this machine ({_first_line(error)}); use --engine local"
        ) from error


def _join(ray: Any, address: str) -> None:
    try:
        with _environment(ENVIRONMENT):
            ray.init(address=address, **_quietly())
    except (Exception, SystemExit) as error:
        raise _unreachable(address, _first_line(error)) from error


def reach(address: str) -> None:
    """InputError if nobody answers there: Ray itself waits for two minutes before it says so."""
    if address == AUTO:
        return
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and "/" not in host):
        raise InputError(f"'{address}' is no address of a Ray cluster; give HOST:PORT, or {AUTO}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str, reason: str) -> InputError:
    return InputError(
        f"no Ray cluster can be reached at '{address}' ({reason}); start one with 'ray start', on this "
        "machine too, or use --engine ray without --address to have one started here"
    )


def _quietly() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": logging.ERROR}


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """In the block these variables are set, where they weren't."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
