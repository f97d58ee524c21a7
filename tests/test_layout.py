"""Four floors, nothing points up: which part of the package may import which."""

import ast
from pathlib import Path

import minidni

PACKAGE = Path(minidni.__file__).parent

# part -> the parts it may import; a part not named here may import anything.
MAY_IMPORT = {
    "arrays": set(),
    "nn": {"arrays"},
    "bptt": {"arrays", "nn"},
    "dni": {"arrays", "nn", "bptt"},
    "gradcheck": {"arrays", "plots"},
    "data": {"arrays"},
    "locking": {"arrays", "nn", "bptt", "dni"},
    "plots": {"gradcheck", "training", "dni", "locking"},  # for the types of what they draw
    "training": {"arrays", "nn", "data", "plots"},
    "examples": {"nn", "dni"},
}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """The parts of minidni that a file imports, at its top or inside a function."""
    package = ("minidni", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split("."))
            names = [(*module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        for name in names:
            name = tuple(part for part in name if part)
            if name[0] == "minidni" and len(name) > 1:
                found.add(name[1])
    return found


def test_nothing_points_up():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        allowed = MAY_IMPORT.get(part_of(path))
        if allowed is not None and (above := imported_parts(path) - allowed - {part_of(path)}):
            wrong.append(f"{path.relative_to(PACKAGE)} imports {', '.join(sorted(above))}")
    assert not wrong, "\n".join(wrong)


def test_the_imports_of_a_file_are_found():
    assert imported_parts(PACKAGE / "nn" / "recurrent" / "lstm.py") == {"arrays", "nn"}
    assert {"nn", "data", "plots"} <= imported_parts(PACKAGE / "training.py")
