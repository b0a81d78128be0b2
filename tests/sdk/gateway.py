"""The OpenAI SDK, pointed at a gateway in front of vendors that speak no such dialect."""

import openai

from stand import WAV, raises, same_words

POOL = ["deepgram", "assemblyai", "elevenlabs"]
_urls = {}


def _client(stand, vendors):
    """A client of a gateway with these vendors, kept for the checks that follow."""
    key = tuple(vendors)
    if key not in _urls:
        _urls[key] = stand.gateway(vendors)
    return openai.OpenAI(api_key="any", base_url=_urls[key] + "/v1", max_retries=0)


def _transcribe(client, **more):
    """The answer, and which account gave it."""
    with open(WAV, "rb") as file:
        raw = client.audio.transcriptions.with_raw_response.create(**{"model": "whisper-1", "file": file, "language": "en", **more})
    return raw.parse(), raw.headers["isobar-vendor"]


def transcribes_through_three_vendors_in_order(stand):
    client = _client(stand, POOL)
    said, vendor = _transcribe(client)
    same_words(said.text)
    assert vendor == POOL[0], vendor
    # The next one takes over from each that fails.
    for broken in (POOL[:1], POOL[:2]):
        with stand.faults({"vendor": name, "fault": {"error": {"class": "unavailable"}}} for name in broken):
            said, vendor = _transcribe(client)
            same_words(said.text)
            assert vendor == POOL[len(broken)], vendor


def a_model_names_its_vendor(stand):
    for name in reversed(POOL):
        said, vendor = _transcribe(_client(stand, POOL), model=f"{name}/auto")
        same_words(said.text)
        assert vendor == name, vendor


def every_format_of_every_vendor(stand):
    for name in POOL:
        client = _client(stand, [name])
        said, vendor = _transcribe(client, response_format="verbose_json", timestamp_granularities=["word", "segment"])
        same_words(said.text)
        assert vendor == name and said.language == "en" and 4 < float(said.duration) < 5.1, said
        same_words(" ".join(word.word for word in said.words))
        assert all(word.start <= word.end <= float(said.duration) + 0.5 for word in said.words), said
        text, _ = _transcribe(client, response_format="text")
        same_words(text)
        srt, _ = _transcribe(client, response_format="srt")
        assert srt.startswith("1\n00:00:0") and " --> " in srt, srt
        vtt, _ = _transcribe(client, response_format="vtt")
        assert vtt.startswith("WEBVTT\n") and " --> " in vtt, vtt
        with open(WAV, "rb") as file:
            events = list(client.audio.transcriptions.create(model="whisper-1", file=file, language="en", stream=True))
        same_words("".join(event.delta for event in events if event.type == "transcript.text.delta"))
        assert events[-1].type == "transcript.text.done", events


def tells_speakers_apart(stand):
    said, vendor = _transcribe(_client(stand, POOL), response_format="diarized_json", extra_body={"chunking_strategy": "auto"})
    assert vendor in POOL and said.segments[0].speaker == "speaker_1", said


def speaks_through_three_vendors(stand):
    for name in ["deepgram", "elevenlabs", "openai"]:
        client = _client(stand, [name])
        speech = client.audio.speech.with_raw_response.create(model="tts-1", voice="alloy", input="Good morning.", response_format="mp3")
        assert speech.headers["isobar-vendor"] == name and speech.headers["content-type"] == "audio/mpeg", speech.headers
        assert len(speech.content) > 100


def errors_are_of_their_class(stand):
    client = _client(stand, POOL[:1])
    with raises(openai.UnprocessableEntityError):
        _transcribe(client, model="elevenlabs/scribe_v1")
    with stand.fault(POOL[0], {"error": {"class": "unavailable"}}), raises(openai.InternalServerError):
        _transcribe(client)
    with raises(openai.BadRequestError):
        client.audio.speech.create(model="tts-1", voice="alloy", input="")
