"""What every check stands on: a sandbox, its accounts, scripted faults, and ways to say what is expected."""

import contextlib
import json
import pathlib
import socket
import subprocess
import tempfile
import time
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAV = ROOT / "sandbox/fixtures/weather.wav"
SAID = "The weather in London is sunny today. Please call me back at three o'clock."


class Stand:
    """A sandbox in a process of its own, and gateways in front of it."""

    def __init__(self, isobar):
        self.isobar = isobar
        self.processes = []
        self.folder = tempfile.TemporaryDirectory(prefix="isobar-sdk-")
        process = self._start("sandbox", "--listen", "127.0.0.1:0")
        # "every vendor is simulated at http://127.0.0.1:PORT/VENDOR/"
        line = process.stdout.readline()
        self.base = line.split(" at ")[1].split("/VENDOR")[0]
        self.address = self.base.removeprefix("http://")
        printed = subprocess.run(
            [isobar, "sandbox", "--listen", self.address, "--print-config"],
            check=True, capture_output=True, text=True,
        )
        self.accounts = yaml.safe_load(printed.stdout)["accounts"]

    def _start(self, *arguments, **more):
        process = subprocess.Popen([self.isobar, *arguments], stdout=subprocess.PIPE, text=True, **more)
        self.processes.append(process)
        return process

    def url(self, vendor):
        """Where a vendor is simulated, without a slash at the end."""
        return f"{self.base}/{vendor}"

    def key(self, vendor, field="key"):
        return self.accounts[vendor][field]

    def _control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/_control/{path}", data, {"content-type": "application/json"}, method="POST")
        urllib.request.urlopen(request).read()

    @contextlib.contextmanager
    def faults(self, rules):
        """These things go wrong as long as the block lasts."""
        self._control("faults", list(rules))
        try:
            yield
        finally:
            self._control("faults", [])

    def fault(self, vendor, fault, **more):
        """Every call of the vendor's fails so, as long as the block lasts."""
        return self.faults([{"vendor": vendor, "fault": fault, **more}])

    def gateway(self, vendors, more=""):
        """URL of a gateway with these accounts, in this order."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        accounts = {name: self.accounts[name] for name in vendors}
        head = {"isobar": 1, "listen": [{"http": f"127.0.0.1:{port}"}], "log": {"access": "off"}, "accounts": accounts}
        path = pathlib.Path(self.folder.name) / f"gateway-{port}.yaml"
        path.write_text(yaml.safe_dump(head, sort_keys=False) + more)
        log = open(path.with_suffix(".log"), "w")
        process = self._start("serve", "-c", str(path), stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return f"http://127.0.0.1:{port}"
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"the gateway did not start: {path.with_suffix('.log').read_text()}") from None
                time.sleep(0.02)

    def engine(self):
        """URL of the speech engine that is installed, started for these checks. Accounts of vendor `local` point at it."""
        if "local" not in self.accounts or "address" not in self.accounts["local"]:
            log = pathlib.Path(self.folder.name) / "engine.log"
            process = self._start("engines", "--listen", "127.0.0.1:0", stderr=open(log, "w"))
            deadline = time.monotonic() + 60
            while "Ctrl-C stops it" not in log.read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"the engine did not start: {log.read_text()}")
                time.sleep(0.05)
            url = log.read_text().split("serving  ")[1].split("/v1/")[0]
            self.accounts["local"] = {"vendor": "local", "address": url}
        return self.accounts["local"]["address"]

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10)
        self.folder.cleanup()


@contextlib.contextmanager
def raises(kind, **attributes):
    """The block raises this, with these attributes."""
    try:
        yield
    except kind as error:
        for name, expected in attributes.items():
            found = getattr(error, name)
            assert found == expected, f"{name} of {error!r} is {found!r}, not {expected!r}"
        return
    raise AssertionError(f"no {kind.__name__} was raised")


def words(text):
    """Words without case and punctuation."""
    letters = "".join(c.lower() for c in text if c.isalnum() or c.isspace())
    return letters.split()


def same_words(text, expected=SAID):
    assert words(text) == words(expected), text
