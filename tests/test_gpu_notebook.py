"""The notebook for a GPU runs without one too, says so, and is committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).parents[1] / "docs" / "on_a_gpu.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(PATH, as_version=4)


def test_it_is_valid_and_without_outputs(notebook):
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)


def test_it_runs_and_says_on_what(notebook):
    client = NotebookClient(
        nbformat.from_dict(notebook), timeout=300, kernel_name="python3", extra_arguments=["--log-level=ERROR"]
    )
    outputs = [output for cell in client.execute().cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in outputs)
    assert said.startswith("This runs on ") and ("CuPy" in said or "the CPU, NumPy" in said)
    assert "times as fast" in said or "cpu" in said
    assert sum("text/html" in output.get("data", {}) for output in outputs) == 1  # the picture
