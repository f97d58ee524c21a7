"""The page of results: `python docs/results/page.py` writes README.md from the JSON files beside it."""

import json
from pathlib import Path

from minidni.experiments import find, table
from minidni.experiments.registry import as_text

FOLDER = Path(__file__).parent

HEAD = """# Results

What the experiments printed, each below the command that prints it. `python -m minidni experiment --list` names them
all, `python -m minidni experiment NAME --help` tells what one claims and what its settings mean, and with `--quick` it
takes seconds. A number that differs between the seeds is shown as mean (least to most).

`seconds` are by the clock, on a machine with other programs running; `cpu seconds` are those of the process alone. The
JSON files hold a row for each run. `python docs/results/page.py` writes this page from them.
"""


def command(results: dict) -> str:
    """The command that prints the table."""
    defaults = find(results["name"]).defaults
    words = ["python -m minidni experiment", results["name"], "--seeds"]
    words += dict.fromkeys(str(row["seed"]) for row in results["rows"])
    values = {name: as_text(value) for name, value in results["settings"].items()}
    return " ".join(words + [f"{name}={text}" for name, text in values.items() if text != as_text(defaults[name])])


def page() -> str:
    """The whole text: a section for each file."""
    sections = [HEAD]
    for path in sorted(FOLDER.glob("*.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        block = f"```\n$ {command(results)}\n{table(results)}\n```\n"
        sections.append(f"## {path.stem}\n\n{block}\n[{path.name}]({path.name})\n")
    return "\n".join(sections)


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
