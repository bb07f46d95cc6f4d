"""What `import gluetune` offers, and what it does not load."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import pytest

import gluetune
from gluetune.core.errors import RenamedWarning

HEAVY = (
    *("torch", "transformers", "datasets", "sklearn", "scipy", "numpy", "pyarrow"),
    *("fastapi", "uvicorn", "prometheus_client", "onnxruntime"),
)


def test_all_lists_every_public_name_once() -> None:
    assert len(gluetune.__all__) == len(set(gluetune.__all__))
    assert set(gluetune.__all__) == {*gluetune._HOMES, "__version__"}
    assert dir(gluetune) == sorted(gluetune.__all__)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(inspect.getsource(gluetune))
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    homes = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == gluetune._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = gluetune.trian


@pytest.mark.parametrize("old", gluetune._RENAMED)
def test_a_former_name_works_with_one_warning(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new = gluetune._RENAMED[old]
    monkeypatch.delitem(vars(gluetune), old, raising=False)
    with pytest.warns(RenamedWarning, match=f"gluetune.{old} is now called gluetune.{new}") as seen:
        values = [getattr(gluetune, old), getattr(gluetune, old)]
    assert values == [getattr(gluetune, new)] * 2
    assert len(seen) == 1
    monkeypatch.delitem(vars(gluetune), old)
    assert old not in gluetune.__all__


def test_no_module_takes_the_place_of_a_public_name() -> None:
    """`import gluetune.x` sets the package's attribute `x`: no public name may be called so."""
    modules = [module.name for module in pkgutil.walk_packages(gluetune.__path__, "gluetune.")]
    assert len(modules) > 40
    for name in modules:
        importlib.import_module(name)
    for name in gluetune.__all__:
        value = getattr(gluetune, name)
        assert not inspect.ismodule(value), name
    assert callable(gluetune.train)
    assert callable(gluetune.published)
    assert not {module.split(".")[1] for module in modules} & set(gluetune.__all__)


def test_the_package_alone_is_imported_at_first() -> None:
    loaded = _loaded("import gluetune")
    assert [name for name in loaded if name.split(".")[0] == "gluetune"] == ["gluetune"]
    assert not {name.split(".")[0] for name in loaded} & {
        *HEAVY,
        "pydantic",
        "typer",
        "rich",
        "yaml",
    }


def test_help_loads_settings_and_commands_and_no_other_room() -> None:
    call = "try:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    loaded = _loaded(f"from gluetune.cli.app import main\n{call}")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("gluetune.")}
    assert rooms <= {"cli", "core", "kinds", "metrics", "serving", "experiments"}
    packages = {name.split(".")[0] for name in loaded}
    assert not packages & {*HEAVY, "pandas", "optuna", "huggingface_hub", "jinja2", "accelerate"}


@pytest.mark.parametrize(
    "statement",
    [
        "import gluetune",
        "import gluetune.cli.app",
        "from gluetune.cli.app import main\ntry:\n    main(['train', '--help'])\n"
        "except SystemExit:\n    pass",
        "from gluetune import TrainConfig, Run, get_task, published, Limits, ExportRecord",
    ],
)
def test_help_loads_nothing_heavy(statement: str) -> None:
    loaded = {*_loaded(statement)}
    assert "gluetune" in loaded
    assert not loaded & set(HEAVY)


def _loaded(statement: str) -> list[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded
