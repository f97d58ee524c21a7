"""The private `.venv` that `python lessons` and `python tests` run in: made, checked and repaired here.

Standard library only. A small record inside `.venv` says what was installed; while it agrees with
`pyproject.toml`, nothing is started at all. A note in the lock file says that a set-up is under way; found
there when nobody holds the lock, it was left by an interrupted one, and the environment is made again.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINES_SHOWN = 8
# Variables that would lead the environment's Python to another one's packages.
FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "__PYVENV_LAUNCHER__",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
)

Runner = Callable[[Sequence[str]], tuple[int, str]]


class SetupError(Exception):
    """Something the user has to put right; the text is the sentence to show."""


def run_quietly(command: Sequence[str]) -> tuple[int, str]:
    """Run `command`; return its exit code and what it printed (on a terminal, shown meanwhile)."""
    lines = []
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns - 1
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_variables(),
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return 127, str(error)
    with process:
        for line in process.stdout or ():
            lines.append(line)
            if on_terminal:
                print("\r" + line.strip()[:width].ljust(width), end="", flush=True)
    if on_terminal and lines:
        print("\r" + " " * width + "\r", end="", flush=True)
    return process.returncode, "".join(lines)


def tell(sentence: str) -> None:
    print(sentence, flush=True)  # before anything that a child prints


def clean_variables() -> dict[str, str]:
    """Return this process's environment variables without those that point to another Python."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


class Environment:
    """The virtual environment in `root/.venv`.

    `run` takes a command and returns its exit code and output; `which` finds programs on the PATH; `say`
    tells the user what is going on. The tests replace them.
    """

    def __init__(
        self,
        root: Path = ROOT,
        run: Runner = run_quietly,
        which: Callable[[str], str | None] = shutil.which,
        say: Callable[[str], None] = tell,
    ):
        self.root, self.run, self.which, self.say = root, run, which, say
        self.folder = root / ".venv"
        self.programs = self.folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.programs / ("python.exe" if os.name == "nt" else "python")
        self.record = self.folder / "minidni.json"
        self.log = self.folder / "install.log"

    def provide(self, extras: Sequence[str]) -> Path:
        """Return the environment's Python, with at least `extras` installed, or raise SetupError."""
        if self.is_current(extras):
            return self.python
        with self.lock() as interrupted:
            if not self.is_current(extras):  # unless another process has done it meanwhile
                before = self.read_record()
                reason = self.why_unusable(before, interrupted)
                if reason:
                    self.make(reason)
                    before = {}
                self.install(sorted({*extras, *before.get("extras", [])}), before)
        return self.python

    def wanted(self) -> dict:
        """Return what an up-to-date record says, but for the extras."""
        with (self.root / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file)
        # Only what an installation depends on: a change to a linter's settings reinstalls nothing.
        content = {"build-system": project.get("build-system"), "project": project["project"]}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return {"project": digest, "python": version, "folder": str(self.folder)}

    def read_record(self) -> dict:
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def write_record(self, record: dict) -> None:
        temporary = self.record.with_suffix(".tmp")
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, self.record)

    def is_current(self, extras: Sequence[str]) -> bool:
        record = self.read_record()
        agrees = all(record.get(name) == value for name, value in self.wanted().items())
        return agrees and set(extras) <= set(record.get("extras", [])) and self.python.is_file()

    def why_unusable(self, record: dict, interrupted: bool) -> str:
        """Return why the folder cannot be installed into, as the end of a sentence; empty when it can."""
        wanted = self.wanted()
        if not self.folder.exists():
            return "there is none yet"
        if interrupted:
            return "the last set-up was interrupted"
        if record and record.get("folder") != wanted["folder"]:
            return f"it was made in {record.get('folder')}"
        needs_pip = "" if self.which("uv") else ", pip"
        code, printed = self.run(
            [str(self.python), "-c", f"import sys{needs_pip}; print('%d.%d' % sys.version_info[:2])"]
        )
        found = printed.strip()
        if code != 0:
            return "it is broken"
        if found != wanted["python"]:
            return f"it has Python {found}, and this is Python {wanted['python']}"
        return ""

    def make(self, reason: str) -> None:
        """Create the environment, after removing what is left of an old one."""
        # The Python below a virtual environment, should this one be running in the folder that is removed.
        base = getattr(sys, "_base_executable", None) or sys.executable
        uv = self.which("uv")
        version = self.wanted()["python"]
        if not uv and not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
            raise SetupError(
                "Python's own `venv` and `ensurepip` are missing here, and without them no private "
                "environment can be made: on Debian or Ubuntu run "
                f"`sudo apt install python{version}-venv`; elsewhere install Python from python.org or `uv`. "
                "Then try again."
            )
        self.say(f"Making {self.folder} ({reason}).")
        try:
            if self.folder.is_symlink() or self.folder.is_file():
                self.folder.unlink()
            elif self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise SetupError(
                f"Cannot remove the old {self.folder} ({error.strerror or error}): close every program that "
                "uses it, delete the folder, and try again."
            ) from error
        command = [uv, "venv", "--python", base] if uv else [base, "-m", "venv"]
        self.run_or_explain([*command, str(self.folder)], "make the private environment")

    def install(self, extras: Sequence[str], before: dict) -> None:
        """Install minidni, editable, with `extras`; write down that it is done."""
        uv = self.which("uv")
        command = (
            [uv, "pip", "install", "--python", str(self.python)] if uv else [str(self.python), "-m", "pip", "install"]
        )
        self.say(f"Installing minidni[{','.join(extras)}] (the first time this takes a minute or two).")
        self.record.unlink(missing_ok=True)
        try:
            self.run_or_explain([*command, "--editable", f"{self.root}[{','.join(extras)}]"], "install the packages")
        except SetupError:
            if before:  # the installer has tidied up after itself: all is as it was
                self.write_record(before)
            raise
        self.write_record({**self.wanted(), "extras": list(extras)})

    def run_or_explain(self, command: Sequence[str], purpose: str) -> None:
        code, printed = self.run(command)
        if self.folder.is_dir():
            self.log.write_text(printed, encoding="utf-8")
        if code != 0:
            tail = [line.rstrip() for line in printed.splitlines() if line.strip()][-LINES_SHOWN:]
            raise SetupError(
                f"Could not {purpose}: `{' '.join(command)}` ended with exit code {code}; its last lines say "
                "why (is this computer offline?):\n" + "\n".join(f"    {line}" for line in tail)
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Let one process at a time set up; give whether the one before was interrupted.

        The operating system frees the lock when its holder dies.
        """
        with (self.root / ".venv.lock").open("a+", encoding="utf-8") as file:
            waiting = False
            while not _try_lock(file.fileno()):
                if not waiting:
                    self.say(f"Another process is setting up {self.folder}; waiting for it to finish.")
                waiting = True
                time.sleep(0.2)
            file.seek(0)
            interrupted = bool(file.read())
            file.write("setting up\n")
            file.flush()
            try:
                yield interrupted
            except SetupError:
                file.truncate(0)
                raise
            file.truncate(0)  # closing the file frees the lock


def _try_lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def run_child(command: Sequence[str], folder: Path, variables: dict[str, str]) -> int:
    """Run `command` in `folder` with this terminal, and return its exit code.

    Ctrl-C reaches the child too, which decides what to do with it (JupyterLab asks, pytest sums up); here it
    is only waited for.
    """
    with subprocess.Popen(command, cwd=folder, env=variables) as process:
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                continue
            # A child ended by signal n: n below zero here, 128 + n for whoever called us.
            return 128 - code if code < 0 else code


def run_in_environment(extras: Sequence[str], arguments: Sequence[str], folder: Path = ROOT) -> int:
    """Set up, run the environment's Python with `arguments` in `folder`, and return an exit code."""
    environment = Environment()
    try:
        python = environment.provide(extras)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; the next run starts the set-up again.", file=sys.stderr)
        return 128 + signal.SIGINT
    variables = clean_variables()
    variables["VIRTUAL_ENV"] = str(environment.folder)
    variables["PATH"] = os.pathsep.join([str(environment.programs), variables.get("PATH", os.defpath)])
    return run_child([str(python), *arguments], folder, variables)
