"""A headless Chromium, driven over its DevTools protocol: enough to look at pages as a reader does."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 30.0  # seconds


def program():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One page. `go` opens a file in it; `problems` is what the browser complained of since then."""

    def __init__(self, profile: Path):
        import websocket  # comes with JupyterLab

        flags = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"]
        flags += ["--disable-gpu", "--disable-dev-shm-usage", "--remote-allow-origins=*"]
        flags += ["--no-sandbox"] * (hasattr(os, "geteuid") and os.geteuid() == 0)
        self.process = subprocess.Popen(
            [program(), *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port = self._wait_for(profile / "DevToolsActivePort").split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=PATIENCE)
        self.number, self.problems, self.loaded = 0, [], False
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self):
        """End the browser."""
        self.socket.close()
        self.process.terminate()
        self.process.wait(PATIENCE)

    def ask(self, method, **parameters):
        """The result of a command; what happens meanwhile is taken down."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while (message := json.loads(self.socket.recv())).get("id") != self.number:
            self._take_down(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def go(self, path: Path):
        """Open a file and wait until it is loaded."""
        self.problems, self.loaded = [], False
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self._take_down(json.loads(self.socket.recv()))

    def resize(self, width, height=900):
        """The size of the window; below 600 pixels it is a telephone."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def dark(self, dark=True):
        """Whether the reader prefers dark pages."""
        value = "dark" if dark else "light"
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def evaluate(self, script):
        """The value of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "?"))
        return answer["result"].get("value")

    def picture(self, path: Path):
        """What is seen of the page, as a PNG file."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def _take_down(self, message):
        method, said = message.get("method"), message.get("params", {})
        self.loaded |= method == "Page.loadEventFired"
        if method == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and said["type"] == "error":
            self.problems.append(" ".join(str(part.get("value")) for part in said["args"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.problems.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent" and not said["request"]["url"].startswith(
            ("file:", "data:", "blob:")
        ):
            self.problems.append(f"asks for {said['request']['url']}")

    def _wait_for(self, path):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if path.is_file() and (text := path.read_text()):
                return text
            time.sleep(0.05)
        raise RuntimeError(f"Chromium did not start within {PATIENCE:.0f} s.")
