"""The speech engine of this machine, behind a gateway: by the OpenAI SDK, by hand, and together with three vendors."""

import json
import os
import pathlib
import signal
import struct
import time
import urllib.error
import urllib.request
import uuid
import wave

import openai

from stand import ROOT, SAID, WAV, raises, same_words, words

VENDORS = ["deepgram", "assemblyai", "elevenlabs"]
HOTEL = ROOT / "sandbox/fixtures/hotel.wav"
HOTEL_SAID = "Thank you for the wonderful service at the hotel in Paris. Maria was very helpful."
# Recordings of people that come with the engine, what is said in them, and the share of words that may be wrong.
PEOPLE = {
    "beckett.wav": ("Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.", 0.25),
    "two_cities.wav": (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the "
        "epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the "
        "spring of hope, it was the winter of despair, we had everything before us, we had nothing before us, we were all going "
        "direct to Heaven, we were all going direct the other way in short, the period was so far like the present period, that "
        "some of its noisiest authorities insisted on its being received, for good or for evil, in the superlative degree of "
        "comparison only.",
        0.15,
    ),
}
_urls = {}


def _gateway(stand, accounts):
    stand.engine()
    key = tuple(accounts)
    if key not in _urls:
        # By default the fourth account of a pool is not tried after three that failed.
        _urls[key] = stand.gateway(accounts, f"capabilities: {{ speech: {{ retry: {{ attempts: {len(accounts)} }} }} }}\n")
    return _urls[key]


def _transcribe(url, path=WAV, **more):
    """The answer, and which account gave it."""
    client = openai.OpenAI(api_key="any", base_url=url + "/v1", max_retries=0)
    with open(path, "rb") as file:
        raw = client.audio.transcriptions.with_raw_response.create(**{"model": "auto", "file": file, "language": "en", **more})
    return raw.parse(), raw.headers.get("isobar-vendor")


def _wrong(text, expected):
    """Word error rate: words to change, leave out or put in, for each word that was said."""
    heard, said = words(text), words(expected)
    row = list(range(len(said) + 1))
    for at, word in enumerate(heard, 1):
        before, row[0] = row[0], at
        for index, other in enumerate(said, 1):
            before, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, before + (word != other))
    return row[-1] / len(said)


def _post(url, fields, file=None, headers=()):
    """A form, written by hand as curl would: status and body of the answer."""
    mark = uuid.uuid4().hex
    body = b""
    for name, value in fields.items():
        body += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    if file is not None:
        body += f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode() + file + b"\r\n"
    body += f"--{mark}--\r\n".encode()
    head = {"Content-Type": f"multipart/form-data; boundary={mark}", "Authorization": "Bearer any", **dict(headers)}
    return _send(urllib.request.Request(url + "/v1/audio/transcriptions", body, head))


def _send(request):
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _wav(encoding, bits, channels, rate, data):
    shape = struct.pack("<HHIIHH", encoding, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    chunks = b"fmt " + struct.pack("<I", len(shape)) + shape + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def transcribes_through_three_vendors_and_this_machine(stand):
    """One base URL, one SDK, four accounts: each when it is named, and each in turn when those before it fail."""
    everyone = [*VENDORS, "local"]
    url = _gateway(stand, everyone)
    for name in everyone:
        said, vendor = _transcribe(url, model=f"{name}/auto")
        same_words(said.text)
        assert vendor == name, vendor
    for count, name in enumerate(everyone):
        broken = ({"vendor": vendor, "fault": {"error": {"class": "unavailable"}}} for vendor in everyone[:count])
        with stand.faults(broken):
            said, vendor = _transcribe(url)
        same_words(said.text)
        assert vendor == name, vendor


def hears_people(stand):
    url = _gateway(stand, ["local"])
    folder = next(pathlib.Path(os.environ["ISOBAR_ENGINES"]).glob("lib/python3*/site-packages/moonshine_voice/assets"))
    for name, (expected, bound) in PEOPLE.items():
        said, vendor = _transcribe(url, folder / name)
        wrong = _wrong(said.text, expected)
        print(f"    {name}: {wrong:.0%} of {len(words(expected))} words wrong")
        assert vendor == "local" and wrong <= bound, (wrong, said.text)


def every_format_by_hand(stand):
    url = _gateway(stand, ["local"])
    data = WAV.read_bytes()
    for shape in ("json", "verbose_json", "text", "srt", "vtt"):
        status, body = _post(url, {"model": "auto", "response_format": shape}, data)
        assert status == 200, (status, body)
        if shape == "verbose_json":
            answer = json.loads(body)
            same_words(answer["text"])
            same_words(" ".join(segment["text"] for segment in answer["segments"]))
            assert answer["language"] == "en" and 4 < float(answer["duration"]) < 5.1, body
            ends = [time for segment in answer["segments"] for time in (segment["start"], segment["end"])]
            assert ends == sorted(ends) and ends[-1] < 5.5, body
        elif shape in ("srt", "vtt"):
            assert " --> 00:00:0" in body and "London" in body, body
        else:
            same_words(json.loads(body)["text"] if shape == "json" else body)
    status, body = _post(url, {"response_format": "full"}, data)
    answer = json.loads(body)
    assert status == 200 and answer["vendor"] == "local" and answer["model"] == "moonshine", body


def says_what_it_cannot(stand):
    url = _gateway(stand, ["local"])
    with raises(openai.UnprocessableEntityError):
        _transcribe(url, language="fr")
    with raises(openai.UnprocessableEntityError):
        _transcribe(url, response_format="verbose_json", timestamp_granularities=["word"])
    with raises(openai.APIStatusError):
        _transcribe(url, ROOT / "README.md")


def decodes_every_kind_of_wave_by_itself(stand):
    url = stand.engine()
    with wave.open(str(WAV)) as file:
        rate, data = file.getframerate(), file.readframes(file.getnframes())
    numbers = struct.unpack(f"<{len(data) // 2}h", data)
    flat = [number / 32768 for number in numbers]
    stereo = b"".join(struct.pack("<i", number * 256)[:3] * 2 for number in numbers)
    for name, sound in {
        "16 bit": _wav(1, 16, 1, rate, data),
        "24 bit stereo": _wav(1, 24, 2, rate, stereo),
        "32 bit": _wav(1, 32, 1, rate, struct.pack(f"<{len(numbers)}i", *(number * 65536 for number in numbers))),
        "float": _wav(3, 32, 1, rate, struct.pack(f"<{len(flat)}f", *flat)),
        "48 kHz": _wav(1, 16, 1, rate * 3, b"".join(struct.pack("<h", number) * 3 for number in numbers)),
    }.items():
        status, body = _post(url, {"model": "moonshine"}, sound)
        assert status == 200, (name, body)
        wrong = _wrong(json.loads(body)["text"], SAID)
        assert wrong <= 0.1, (name, wrong, body)
    status, body = _post(url, {}, HOTEL.read_bytes())
    assert status == 200 and _wrong(json.loads(body)["text"], HOTEL_SAID) <= 0.3, body
    # Nothing was said.
    status, body = _post(url, {}, _wav(1, 16, 1, 16000, bytes(32000)))
    assert (status, json.loads(body)) == (200, {"text": ""}), body


def refuses_in_the_dialect(stand):
    url = stand.engine()
    good = WAV.read_bytes()
    nan = _wav(3, 32, 1, 16000, struct.pack("<f", float("nan")) * 16000)
    assert _post(url, {}, nan)[0] == 200
    for what, status, code in [
        (_post(url, {}, b"no recording"), 415, "unsupported_format"),
        (_post(url, {}, good[:30]), 400, "invalid_audio"),
        (_post(url, {}, _wav(1, 16, 0, 16000, b"")), 400, "invalid_audio"),
        (_post(url, {}, _wav(85, 16, 1, 16000, b"mp3")), 415, "unsupported_format"),
        (_post(url, {}, b""), 400, "missing_file"),
        (_post(url, {"model": "moonshine"}), 400, "missing_file"),
        (_post(url, {"language": "de"}, good), 400, "unsupported_language"),
        (_post(url, {"response_format": "xml"}, good), 400, "unsupported_format"),
        (_post(url, {"stream": "true"}, good), 400, "unsupported"),
        (_post(url, {}, bytes(27 * 1024 * 1024)), 413, "too_large"),
        (_post(url, {"prompt": "x" * 70000}, good), 413, "too_large"),
        (_post(url, {}, good, {"Content-Type": "multipart/form-data; boundary=other"}), 400, "invalid_form"),
        (_post(url, {}, good, {"Content-Type": "multipart/form-data"}), 400, "invalid_form"),
        (_post(url, {}, good, {"Content-Type": "audio/wav"}), 415, "invalid_form"),
        (_send(urllib.request.Request(url + "/v1/audio/speech", b"{}")), 404, "not_found"),
        (_send(urllib.request.Request(url + "/")), 404, "not_found"),
    ]:
        error = json.loads(what[1])["error"]
        assert what[0] == status and error["code"] == code and error["message"], (what, status, code)
    status, body = _send(urllib.request.Request(url + "/v1/models"))
    assert status == 200 and json.loads(body)["data"][0]["id"] == "moonshine", body


def comes_back_when_it_is_killed(stand):
    url = _gateway(stand, ["local"])
    health = stand.engine() + "/healthz"
    process = json.loads(_send(urllib.request.Request(health))[1])["process"]
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.1)
        try:
            status, body = _send(urllib.request.Request(health))
        except OSError:
            continue
        if status == 200 and json.loads(body)["process"] != process:
            break
    said, vendor = _transcribe(url)
    same_words(said.text)
    assert vendor == "local"
