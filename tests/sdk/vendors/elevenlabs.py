"""pip install elevenlabs"""

from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError

from stand import WAV, raises, same_words

VOICE = "21m00Tcm4TlvDq8ikWAM"


def _client(stand, key=None):
    return ElevenLabs(api_key=key or stand.key("elevenlabs"), base_url=stand.url("elevenlabs"))


def _transcribe(stand, key=None, **more):
    options = {"model_id": "scribe_v1", "file": WAV.read_bytes(), "request_options": {"max_retries": 0}, **more}
    return _client(stand, key).speech_to_text.convert(**options)


def transcribes(stand):
    said = _transcribe(stand, diarize=True, timestamps_granularity="word")
    same_words(said.text)
    assert said.language_code == "eng" and said.words[0].speaker_id and said.words[0].start < said.words[0].end, said


def speaks(stand):
    pieces = _client(stand).text_to_speech.convert(VOICE, text="hello", model_id="eleven_multilingual_v2", output_format="mp3_44100_128")
    assert len(b"".join(pieces)) > 100


def speaks_with_times(stand):
    speech = _client(stand).text_to_speech.convert_with_timestamps(VOICE, text="hello")
    assert speech.audio_base_64 and speech.alignment.characters == list("hello"), speech


def errors_have_their_status(stand):
    with raises(ApiError, status_code=401):
        _transcribe(stand, key="wrong")
    with raises(ApiError):
        _transcribe(stand, model_id="nope")
    with stand.fault("elevenlabs", {"error": {"class": "quota"}}), raises(ApiError, status_code=401):
        _transcribe(stand)
    with stand.fault("elevenlabs", {"error": {"class": "rate"}}), raises(ApiError, status_code=429):
        _transcribe(stand)
