"""Where data files are looked for, and where downloads go."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "MINIDNI_DATA"


def cache_folder() -> Path:
    r"""The folder downloads go to, as each system has it; it need not exist yet.

    Linux and others: `$XDG_CACHE_HOME/minidni`, else `~/.cache/minidni`. macOS: `~/Library/Caches/minidni`.
    Windows: `%LOCALAPPDATA%\minidni`.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # the XDG specification: a relative path is to be ignored
            base = "~/.cache"
    return Path(base).expanduser() / "minidni"


def search_folders(name: str, folder: Path | None) -> Iterator[Path]:
    """The folders to look in for the files of the set `name`, in this order.

    `folder` if given; `name` inside the folder that the environment variable MINIDNI_DATA names, then that
    folder itself; `name` inside the cache folder.
    """
    if folder is not None:
        yield folder
    if named := os.environ.get(VARIABLE, ""):
        yield Path(named).expanduser() / name
        yield Path(named).expanduser()
    yield cache_folder() / name


def expect_folder(where: str, folder: str | os.PathLike[str] | None, *, create: bool) -> Path | None:
    """The folder as a Path; raise unless it is one that exists, or that may be created."""
    if folder is None:
        return None
    if not isinstance(folder, str | os.PathLike) or isinstance(os.fspath(folder), bytes):
        raise TypeError(f"{where}: folder is {folder!r}, expected a path")
    if not os.fspath(folder):
        raise ValueError(f"{where}: folder is '', expected a path")
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError(f"{where}: folder is {str(path)!r}, which is a file, expected a folder")
    if not path.exists() and not create:
        raise FileNotFoundError(f"{where}: folder is {str(path)!r}, which does not exist")
    return path
