"""pip install groq"""

import groq

from stand import WAV, raises, same_words


def _client(stand, key=None):
    # The client adds `/openai/v1` itself.
    return groq.Groq(api_key=key or stand.key("groq"), base_url=stand.url("groq"), max_retries=0)


def _transcribe(stand, **more):
    with open(WAV, "rb") as file:
        return _client(stand).audio.transcriptions.create(**{"model": "whisper-large-v3-turbo", "file": file, **more})


def transcribes(stand):
    same_words(_transcribe(stand).text)


def transcribes_with_times(stand):
    said = _transcribe(stand, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert said.words[0]["word"].strip() == "The" and said.segments, said


def errors_are_of_their_class(stand):
    with raises(groq.AuthenticationError):
        _client(stand, "wrong").models.list()
    with raises(groq.NotFoundError):
        _transcribe(stand, model="nope")
    with stand.fault("groq", {"rate": {"retry_after": 2}}), raises(groq.RateLimitError):
        _transcribe(stand)
    with stand.fault("groq", {"error": {"class": "unavailable"}}), raises(groq.InternalServerError):
        _transcribe(stand)
