"""A Ray cluster: what a job may take of it, and how it is reached."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from dataclasses import dataclass
from typing import Any

from gluetune.errors import ConfigurationError, Finding

_PASSED_ON = ("GLUETUNE_DATA", "GLUETUNE_CACHE", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE")
"""What workers are told of this process's environment; HF_TOKEN is for their machines to know."""
_SECONDS = 5.0
"""How long an address may be silent."""


@dataclass(frozen=True)
class Cluster:
    """Where the cluster is, and what it gives to each job."""

    address: str
    """`auto` for the one of this machine, `HOST:PORT`, or `local` to start one."""
    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def threads(self) -> int:
        """How many threads a job's cores are worth."""
        return max(1, int(self.cpus))


def make_cluster(
    address: str | None, cpus: Any = None, gpus: Any = None, *, each: str = "trial"
) -> Cluster | None:
    """Return the cluster that is asked for; None without an address. `each` says what has cores.

    Raises ConfigurationError that lists every mistake.
    """
    findings = []
    numbers = {}
    for name, given, default in (("cpus", cpus, 1.0), ("gpus", gpus, 0.0)):
        numbers[name] = default
        if given is None:
            continue
        flag = f"--{name}-per-{each}"
        if address is None:
            findings.append(Finding(f"{flag} {given} is for a cluster.", "Type: --ray auto"))
        try:
            numbers[name] = float(given)
        except ValueError:
            numbers[name] = -1.0
        if numbers[name] < 0 or (name == "cpus" and not numbers[name]):
            findings.append(Finding(f"{flag} {given}: this is no amount.", f"Type: {flag} 1"))
    if findings:
        raise ConfigurationError.of(findings)
    return None if address is None else Cluster(address, **numbers)


def connect(cluster: Cluster) -> Any:
    """Connect this process to the cluster, unless it is connected; return ray.

    Raises ConfigurationError where Ray is not installed, or the cluster cannot be reached.
    """
    # A cluster of other people's is no business of Ray's makers, unless they say so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(
            f"--ray {cluster.address} needs Ray, which is not installed.",
            hint="Type: pip install 'gluetune[ray]'",
        ) from error
    _check_reachable(cluster.address)
    if not ray.is_initialized():
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            ray.init(
                address=cluster.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if cluster.address == "local" else None,
                runtime_env={"env_vars": passed_on} if passed_on else None,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _unreachable(cluster.address, str(error)) from error
    _check_room(cluster, ray.cluster_resources())
    return ray


def capacity(cluster: Cluster, resources: dict[str, float]) -> int:
    """Return how many jobs at a time `resources`, by Ray's names, are enough for."""
    counts = [resources.get("CPU", 0.0) / cluster.cpus]
    if cluster.gpus:
        counts.append(resources.get("GPU", 0.0) / cluster.gpus)
    return int(min(counts) + 1e-9)


def _check_room(cluster: Cluster, resources: dict[str, float]) -> None:
    if capacity(cluster, resources) < 1:
        there = ", ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
        raise ConfigurationError(
            f"A job asks for {cluster.cpus:g} CPU and {cluster.gpus:g} GPU, and the whole cluster "
            f"has {there}.",
            hint="Ask for less, or add machines.",
        )


def _check_reachable(address: str) -> None:
    """Knock first: Ray itself tries for a minute and more, and ends in many lines."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not colon or not port.isdigit():
        raise ConfigurationError(
            f"--ray {address}: this is no address.", hint="Type: --ray auto, or --ray HOST:6379"
        )
    try:
        with contextlib.closing(socket.create_connection((host.strip("[]"), int(port)), _SECONDS)):
            return
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error


def _unreachable(address: str, why: str) -> ConfigurationError:
    first = why.strip().splitlines()[0] if why.strip() else "no answer"
    return ConfigurationError(
        f"--ray {address}: the cluster cannot be reached: {first}",
        hint="On its first machine: ray start --head. On others: ray start --address HOST:6379. "
        "Then: --ray auto there, or --ray HOST:6379",
    )
