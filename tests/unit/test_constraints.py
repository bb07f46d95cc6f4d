"""The pins: public versions, for every platform, of everything that pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tests.support.pages import ROOT

PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (
    ("Linux", "linux", "posix", "x86_64"),
    ("Linux", "linux", "posix", "aarch64"),
    ("Darwin", "darwin", "posix", "arm64"),
    ("Windows", "win32", "nt", "AMD64"),
)
ONLY_ON = {
    "appnope": {"darwin"},
    "colorama": {"win32"},
    "cuda-bindings": {"linux"},
    "cuda-pathfinder": {"linux"},
    "nvidia-nvjitlink": {"linux"},
}
"""Packages that do not exist for, or are not wanted on, every platform."""


def environments() -> Iterator[dict[str, str]]:
    for python in PYTHONS:
        for system, platform, name, machine in PLATFORMS:
            yield {
                "python_version": python,
                "python_full_version": f"{python}.0",
                "platform_system": system,
                "sys_platform": platform,
                "os_name": name,
                "platform_machine": machine,
            }


def pins() -> list[Requirement]:
    """Return every line of constraints.txt, parsed; a marker that does not parse fails here."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return found


def required() -> list[Requirement]:
    """Return what the project, its extras and its build require."""
    settings = project()
    lines = [*settings["project"]["dependencies"], *settings["build-system"]["requires"]]
    for extra in settings["project"]["optional-dependencies"].values():
        lines += extra
    return [Requirement(line) for line in lines]


def version_of(pin: Requirement) -> Version:
    """Return the one version that a pin allows."""
    (specifier,) = pin.specifier
    assert specifier.operator == "==", pin
    return Version(specifier.version)


def pinned_for(environment: dict[str, str]) -> dict[str, Version]:
    """Return the version of each package on one platform."""
    found: dict[str, Version] = {}
    for pin in pins():
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in found, f"{name} is pinned twice for {environment}"
            found[name] = version_of(pin)
    return found


def local_versions(found: list[Requirement]) -> list[str]:
    """Return the pins that only one build satisfies, and that no public index has."""
    return [str(pin) for pin in found if version_of(pin).local is not None]


def test_no_pin_has_a_local_version() -> None:
    assert local_versions(pins()) == []


def test_a_local_version_would_be_found() -> None:
    assert local_versions([Requirement("torch==2.13.0+cpu")]) == ["torch==2.13.0+cpu"]


def test_any_build_of_torch_satisfies_its_pin() -> None:
    (torch,) = [pin for pin in pins() if pin.name == "torch"]
    public = version_of(torch).public
    assert all(torch.specifier.contains(f"{public}{build}") for build in ("", "+cpu", "+cu130"))


@pytest.mark.parametrize(
    "environment", list(environments()), ids=lambda each: "-".join(each.values())
)
def test_everything_required_is_pinned_within_its_range(environment: dict[str, str]) -> None:
    found = pinned_for(environment)
    for needed in required():
        if needed.marker is not None and not needed.marker.evaluate({**environment, "extra": ""}):
            continue
        name = canonicalize_name(needed.name)
        assert name in found, f"{name} has no pin for {environment}"
        assert needed.specifier.contains(found[name]), f"{needed}: {found[name]} is pinned"


def test_packages_of_one_platform_are_pinned_there_alone() -> None:
    for environment in environments():
        found = pinned_for(environment)
        for name, platforms in ONLY_ON.items():
            assert (name in found) == (environment["sys_platform"] in platforms), name


def test_the_pythons_that_are_promised_are_those_that_are_checked() -> None:
    settings = project()["project"]
    named = [each.rpartition(" ")[2] for each in settings["classifiers"] if "Python :: 3." in each]
    assert tuple(named) == PYTHONS
    assert settings["requires-python"] == f">={PYTHONS[0]}"


def test_transformers_is_held_to_one_minor() -> None:
    """Trainer overrides private methods, which may change with any minor version."""
    (needed,) = [each for each in required() if each.name == "transformers"]
    version = pinned_for(next(environments()))["transformers"]
    major, minor = version.release[:2]
    assert needed.specifier.contains(f"{major}.{minor}.9")
    assert not needed.specifier.contains(f"{major}.{minor + 1}.0")
    assert not needed.specifier.contains(f"{major}.{minor - 1}.9")
