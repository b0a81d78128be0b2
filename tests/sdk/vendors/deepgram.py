"""pip install deepgram-sdk"""

import inspect

from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment

from stand import WAV, raises, same_words


def _client(stand, key=None):
    hosts = [name for name in inspect.signature(DeepgramClientEnvironment.__init__).parameters if name != "self"]
    environment = DeepgramClientEnvironment(**{name: stand.url("deepgram") for name in hosts})
    return DeepgramClient(api_key=key or stand.key("deepgram"), environment=environment)


def _transcribe(stand, key=None, audio=None, **more):
    media = _client(stand, key).listen.v1.media
    return media.transcribe_file(request=audio or WAV.read_bytes(), model="nova-3", request_options={"max_retries": 0}, **more)


def transcribes(stand):
    said = _transcribe(stand, smart_format=True, diarize=True, utterances=True, detect_language=True)
    best = said.results.channels[0].alternatives[0]
    same_words(best.transcript)
    assert best.words[0].word == "the" and best.words[0].speaker == 0, best
    assert said.results.utterances and said.results.channels[0].detected_language == "en", said


def speaks(stand):
    pieces = _client(stand).speak.v1.audio.generate(text="hello", model="aura-2-thalia-en", encoding="linear16")
    assert b"".join(pieces)[:4] == b"RIFF"


def reads(stand):
    read = _client(stand).read.v1.text.analyze(request={"text": "It is good."}, sentiment=True, language="en")
    assert read.results.sentiments.average.sentiment == "positive", read


def grants_tokens(stand):
    assert _client(stand).auth.v1.tokens.grant().access_token


def errors_have_their_status(stand):
    with raises(ApiError, status_code=401):
        _transcribe(stand, key="wrong")
    with raises(ApiError, status_code=400):
        _transcribe(stand, audio=b"no recording")
    with stand.fault("deepgram", {"error": {"class": "quota"}}), raises(ApiError, status_code=402):
        _transcribe(stand)
    with stand.fault("deepgram", {"error": {"class": "rate"}}), raises(ApiError, status_code=429):
        _transcribe(stand)
