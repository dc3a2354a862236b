"""The notebook of the docs draws and saves its three figures from a real database."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "questions.ipynb"


def test_the_notebook_is_stored_without_results() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not c["outputs"] and c["execution_count"] is None for c in notebook.cells if c["cell_type"] == "code")


@pytest.mark.long
def test_the_notebook_draws_three_plots(both_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DATABASE", str(both_versions))
    monkeypatch.setenv("AUDIT_FIGURES", str(tmp_path / "figures"))
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parents[1]), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [o for cell in notebook.cells if cell["cell_type"] == "code" for o in cell["outputs"]]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 3
    saved = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in saved] == [
        f"{name}.{kind}" for name in ("experiments", "identified", "tests") for kind in ("pdf", "png")
    ]
    for file in saved:
        if file.suffix == ".png":
            with Image.open(file) as image:
                assert 900 < image.width < 1800  # one column at 300 dots per inch, with its labels
        else:
            assert file.read_bytes().startswith(b"%PDF-")
            assert b"/CreationDate" not in file.read_bytes()
    assert not [o for o in outputs if o["output_type"] == "stream" and o["name"] == "stderr"]
