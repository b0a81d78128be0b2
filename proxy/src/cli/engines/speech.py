"""The speech engine of `isobar engines`: the OpenAI dialect of transcription, answered on this machine.

Started as `python -c THIS HOST PORT` in the environment that `isobar engines install` made. Standard input is the line to
the program that started it: when that ends, so does this. Standard error is for what an operator should read. With `--check`
it loads the model, tries it on a second of silence, and ends.
"""

import array
import ctypes
import http.server
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import time

import numpy
from moonshine_voice.errors import check_error
from moonshine_voice.moonshine_api import ModelArch, TranscriptC
from moonshine_voice.transcriber import Transcriber
from moonshine_voice.utils import get_model_path

MODEL = "moonshine"
# As the dialect's own limit, with room for the form around the recording.
BODY_BYTES = 26 * 1024 * 1024
FIELD_BYTES = 64 * 1024
# Requests that are read or wait for the engine; more are turned away.
AT_ONCE = 8
# A body that comes no further is given up.
QUIET_SECONDS = 30
# Put around every recording.
SILENCE = 1.0
# What is running when the program that started this ends may take so long.
FAREWELL_SECONDS = 2


class Refused(Exception):
    """An error as the dialect has it."""

    def __init__(self, status, code, message, param=None):
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param

    def body(self):
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class Engine:
    """The model, which does one recording at a time."""

    def __init__(self):
        self._transcriber = Transcriber(get_model_path("tiny-en"), ModelArch.TINY)
        self._one = threading.Lock()

    def lines(self, samples, rate):
        """`[(text, start, end)]`, in seconds, of samples from -1 to 1."""
        if not len(samples):
            return []
        length, quiet = len(samples) / rate, numpy.zeros(int(SILENCE * rate), numpy.float32)
        with self._one:
            # What was heard last would else be taken for the beginning of this.
            self._hear(quiet, rate)
            # It understands the first word better when it is not the first thing.
            found = self._hear(numpy.concatenate((quiet, samples, quiet)), rate)
        within = lambda time: round(min(max(time - SILENCE, 0.0), length), 3)
        return [(text, within(start), within(end)) for text, start, end in found if text]

    def _hear(self, samples, rate):
        """The package's own method makes lists of Python numbers of all samples, twice; this hands them over as they are."""
        held = array.array("f", samples.astype(numpy.float32).tobytes())
        given = (ctypes.c_float * len(held)).from_buffer(held)
        found = ctypes.POINTER(TranscriptC)()
        handle, library = self._transcriber._handle, self._transcriber._lib
        check_error(library.moonshine_transcribe_without_streaming(handle, given, len(held), rate, 0, ctypes.byref(found)))
        if not found:
            return []
        text = lambda line: ctypes.string_at(line.text).decode("utf-8", "replace").strip() if line.text else ""
        lines = found.contents.lines[: found.contents.line_count]
        return [(text(line), line.start_time, line.start_time + line.duration) for line in lines]


def decoded(data):
    """Samples from -1 to 1, one channel, and how many of them a second has, of a WAVE file."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise Refused(415, "unsupported_format", "the recording is no WAVE file", "file")
    shape, at = None, 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        inside = memoryview(data)[at + 8 : at + 8 + size]
        if name == b"fmt ":
            if len(inside) < 16:
                break
            shape = struct.unpack_from("<HHIIHH", inside)
            # The extensible form says further on what it is.
            if shape[0] == 0xFFFE and len(inside) >= 26:
                shape = struct.unpack_from("<H", inside, 24) + shape[1:]
        elif name == b"data":
            if shape is None:
                break
            return samples(inside, *shape), shape[2]
        at += 8 + size + size % 2
    raise Refused(400, "invalid_audio", "the WAVE file is broken: it has no format or no data", "file")


def samples(data, encoding, channels, rate, _bytes_a_second, _frame, bits):
    if not 1 <= channels <= 32 or not 1000 <= rate <= 384000:
        raise Refused(400, "invalid_audio", f"{channels} channels at {rate} Hz is no recording", "file")
    width = bits // 8
    whole = data[: len(data) // (width * channels) * width * channels] if width else data
    if encoding == 1 and bits == 8:
        found = (numpy.frombuffer(whole, numpy.uint8).astype(numpy.float32) - 128) / 128
    elif encoding == 1 and bits == 16:
        found = numpy.frombuffer(whole, "<i2").astype(numpy.float32) / 32768
    elif encoding == 1 and bits == 24:
        bytes_ = numpy.frombuffer(whole, numpy.uint8).reshape(-1, 3)
        high = bytes_[:, 2].astype(numpy.int8).astype(numpy.int32)
        found = (high * 65536 + bytes_[:, 1].astype(numpy.int32) * 256 + bytes_[:, 0]).astype(numpy.float32) / 8388608
    elif encoding == 1 and bits == 32:
        found = (numpy.frombuffer(whole, "<i4") / 2147483648).astype(numpy.float32)
    elif encoding == 3 and bits in (32, 64):
        found = numpy.frombuffer(whole, f"<f{width}").astype(numpy.float32)
        found = numpy.nan_to_num(found, nan=0.0, posinf=1.0, neginf=-1.0)
    else:
        raise Refused(415, "unsupported_format", f"WAVE encoding {encoding} with {bits} bits is not decoded here", "file")
    return found.reshape(-1, channels).mean(axis=1) if channels > 1 else found


def form(body, content_type):
    """The parts of a `multipart/form-data` body: texts by name, and `file` as it is."""
    found = re.search(r'boundary="?([^";,]{1,70})"?', content_type)
    if not found:
        raise Refused(400, "invalid_form", "the form's content type has no boundary")
    mark = b"--" + found.group(1).encode("latin-1")
    parts, at = {}, body.find(mark)
    while at >= 0:
        start = at + len(mark)
        if body[start : start + 2] == b"--":
            return parts
        head_end = body.find(b"\r\n\r\n", start)
        end = body.find(b"\r\n" + mark, head_end + 2)
        if head_end < 0 or end < 0 or len(parts) > 64:
            break
        head = body[start:head_end].decode("latin-1")
        name = re.search(r'content-disposition:.*?\bname="([^"]*)"', head, re.IGNORECASE)
        # An empty part's end may begin where its head ends.
        value = body[head_end + 4 : max(end, head_end + 4)]
        if name and name.group(1) == "file":
            parts["file"] = value
        elif name:
            if len(value) > FIELD_BYTES:
                raise Refused(413, "too_large", f"the field `{name.group(1)[:64]}` is too large")
            parts[name.group(1)] = value.decode("utf-8", "replace").strip()
        at = end + 2
    raise Refused(400, "invalid_form", "the form is not well formed")


def clock(seconds, comma):
    millis = round(seconds * 1000)
    text = f"{millis // 3600000:02}:{millis // 60000 % 60:02}:{millis // 1000 % 60:02}.{millis % 1000:03}"
    return text.replace(".", ",") if comma else text


def shown(shape, lines, duration):
    """Content type and body of an answer."""
    text = " ".join(line for line, _, _ in lines)
    if shape == "text":
        return "text/plain; charset=utf-8", (text + "\n").encode()
    if shape in ("srt", "vtt"):
        cues = "" if shape == "srt" else "WEBVTT\n\n"
        for number, (line, start, end) in enumerate(lines, 1):
            cues += f"{number}\n" if shape == "srt" else ""
            cues += f"{clock(start, shape == 'srt')} --> {clock(end, shape == 'srt')}\n{line}\n\n"
        return "text/plain; charset=utf-8", cues.encode()
    if shape == "json":
        return "application/json", json.dumps({"text": text}).encode()
    segments = [{"id": at, "start": start, "end": end, "text": line} for at, (line, start, end) in enumerate(lines)]
    answer = {"task": "transcribe", "language": "en", "duration": round(duration, 3), "text": text, "segments": segments}
    return "application/json", json.dumps(answer).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "isobar-engines"
    sys_version = ""
    timeout = QUIET_SECONDS

    def do_GET(self):
        if self.path == "/healthz":
            self._answer(200, "application/json", json.dumps({"status": "ok", "model": MODEL, "process": os.getpid()}).encode())
        elif self.path == "/v1/models":
            model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "local"}
            self._answer(200, "application/json", json.dumps({"object": "list", "data": [model]}).encode())
        else:
            self._refuse(Refused(404, "not_found", f"there is nothing at GET {self.path[:100]}"))

    def do_POST(self):
        if self.path.partition("?")[0] != "/v1/audio/transcriptions":
            self._refuse(Refused(404, "not_found", f"there is nothing at POST {self.path[:100]}"))
            return
        if not self.server.room.acquire(blocking=False):
            self._refuse(Refused(503, "busy", "the engine has enough to do"), [("Retry-After", "1")])
            return
        try:
            self._answer(200, *self._transcribe())
        except Refused as refused:
            self._refuse(refused)
        except (ConnectionError, TimeoutError, socket.timeout):
            self.close_connection = True
        except Exception as error:  # What the engine dislikes must not end the server.
            print(f"a transcription failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self._refuse(Refused(500, "engine_failed", "the engine failed on this recording"))
        finally:
            self.server.room.release()

    def _transcribe(self):
        started = time.monotonic()
        content_type = self.headers.get("Content-Type", "")
        if not content_type.lower().startswith("multipart/form-data"):
            raise Refused(415, "invalid_form", "send `multipart/form-data` with a part `file`")
        fields = form(self._body(), content_type)
        if not fields.get("file"):
            raise Refused(400, "missing_file", "the part `file` is missing or empty", "file")
        language = fields.get("language", "").lower()
        if language and re.split("[-_]", language)[0] not in ("en", "english"):
            raise Refused(400, "unsupported_language", "this model understands English only", "language")
        shape = fields.get("response_format") or "json"
        if shape not in ("json", "verbose_json", "text", "srt", "vtt"):
            raise Refused(400, "unsupported_format", f"`{shape[:64]}` is not an answer's format here", "response_format")
        if fields.get("stream") == "true":
            raise Refused(400, "unsupported", "answers are not streamed here", "stream")
        if "word" in (fields.get("timestamp_granularities[]"), fields.get("timestamp_granularities")):
            raise Refused(400, "unsupported", "this model knows no times of words", "timestamp_granularities[]")
        sound, rate = decoded(fields.pop("file"))
        lines = self.server.engine.lines(sound, rate)
        seconds = len(sound) / rate
        print(f"{seconds:.1f} s of speech in {time.monotonic() - started:.2f} s", file=sys.stderr, flush=True)
        return shown(shape, lines, seconds)

    def _body(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise Refused(411, "length_required", "say how long the body is")
        if int(length) > BODY_BYTES:
            raise Refused(413, "too_large", f"at most {BODY_BYTES // 1024 // 1024} MB are taken", "file")
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("the body broke off")
        self.read_whole = True
        return body

    # The usual answer would come before the request is looked at.
    def handle_expect_100(self):
        return True

    def _refuse(self, refused, headers=()):
        self._answer(refused.status, "application/json", json.dumps(refused.body()).encode(), headers)

    def _answer(self, status, media_type, body, headers=()):
        # A body that was not read would be taken for the next request.
        unread = self.command == "POST" and not getattr(self, "read_whole", False)
        self.read_whole = False
        try:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers:
                self.send_header(name, value)
            if unread:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(body)
            if unread:
                self._drain()
        except OSError:
            self.close_connection = True

    def _drain(self):
        """Takes what still comes for a moment: closing at once would also throw away the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(1)
        until = time.monotonic() + 2
        while time.monotonic() < until and self.connection.recv(65536):
            pass

    def log_message(self, *_):
        """Requests are told by what they took, above."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, engine):
        self.engine = engine
        self.room = threading.BoundedSemaphore(AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)

    def server_bind(self):
        # The usual way asks the name service what this host is called.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        """A client that went away is nobody's mistake."""


def leave_with_parent(server):
    while sys.stdin.buffer.read(4096):
        pass
    # What runs may end; nobody new comes in.
    threading.Thread(target=server.shutdown, daemon=True).start()
    until = time.monotonic() + FAREWELL_SECONDS
    taken = 0
    while taken < AT_ONCE and time.monotonic() < until:
        taken += server.room.acquire(timeout=0.05)
    os._exit(0)


def main():
    if sys.argv[1:] == ["--check"]:
        Engine().lines(numpy.zeros(16000), 16000)
        return
    # Ctrl-C in a terminal reaches the whole group; the parent says when to leave.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host, port = sys.argv[1], int(sys.argv[2])
    server = Server((host, port), Engine())
    threading.Thread(target=leave_with_parent, args=(server,), daemon=True).start()
    server.serve_forever(poll_interval=0.1)
    # Shut down because the parent has left; the other thread ends the process.
    time.sleep(FAREWELL_SECONDS + 1)


if __name__ == "__main__":
    main()
