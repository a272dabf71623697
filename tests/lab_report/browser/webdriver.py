"""Headless Chromium by chromedriver's HTTP interface, with the standard library alone."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request


def missing_programs():
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class Browser:
    """A session in a profile of its own. Everything the page logs and requests is kept."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="evenkeel-browser-")
        self.driver, self.address, self.session = None, None, None
        try:
            self._start()
        except Exception:
            self.close()
            raise

    def _start(self):
        log = os.path.join(self.folder, "driver.log")
        with open(log, "wb") as output:
            self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=output, stderr=output)
        self.address = f"http://127.0.0.1:{self._port(log)}"
        arguments = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                     "--no-first-run", f"--user-data-dir={self.folder}/profile"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments},
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = "/session/" + answer["sessionId"]

    @staticmethod
    def _port(log):
        for _ in range(600):
            text = pathlib.Path(log).read_text(errors="replace")
            if "on port " in text.split("successfully")[-1] and "successfully" in text:
                return int(text.split("successfully")[-1].split("on port ")[1].split(".")[0].split()[0])
            time.sleep(0.05)
        raise RuntimeError(f"chromedriver did not start: {text}")

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def close(self):
        if self.session is not None:
            try:
                self._call("DELETE", self.session)
            except (OSError, RuntimeError):
                pass
        if self.driver is not None:
            self.driver.terminate()
            self.driver.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cdp(self, command, **parameters):
        return self._call("POST", self.session + "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *arguments):
        return self._call("POST", self.session + "/execute/sync", {"script": script, "args": list(arguments)})

    def show(self, path, width, height, dark=False, reduced=False):
        """Opens a file in a window of that size."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"}])
        self.events(), self.log("browser")  # of an earlier page
        self._call("POST", self.session + "/url", {"url": pathlib.Path(path).resolve().as_uri()})

    def log(self, kind):
        return self._call("POST", self.session + "/se/log", {"type": kind})

    def events(self):
        return [json.loads(entry["message"])["message"] for entry in self.log("performance")]

    def keys(self, *keys):
        """Presses and releases each key."""
        for key in keys:
            actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
            self._actions({"type": "key", "id": "keyboard", "actions": actions})

    def drag(self, start, end):
        """With the mouse, from one point of the window to another."""
        def move(point):
            return {"type": "pointerMove", "duration": 0, "x": int(point[0]), "y": int(point[1])}
        middle = [(a + b) / 2 for a, b in zip(start, end)]
        self._actions({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [
            move(start), {"type": "pointerDown", "button": 0}, move(middle), move(end), {"type": "pointerUp", "button": 0}]})

    def wheel(self, point, delta):
        self._actions({"type": "wheel", "id": "wheel", "actions": [
            {"type": "scroll", "x": int(point[0]), "y": int(point[1]), "deltaX": 0, "deltaY": delta, "duration": 0}]})

    def _actions(self, source):
        self._call("POST", self.session + "/actions", {"actions": [source]})

    def wait(self, script, seconds=30):
        """Until the script returns what is true. Fails with what it returned last."""
        end = time.monotonic() + seconds
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"never true: {script}")
            time.sleep(0.05)

    def screenshot(self, path, whole=False):
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

    def pdf(self):
        return base64.b64decode(self.cdp("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])
