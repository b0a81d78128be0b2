"""pip install openai"""

import openai
import pydantic

from stand import SAID, WAV, raises, same_words


def _client(stand, key=None):
    return openai.OpenAI(api_key=key or stand.key("openai"), base_url=stand.url("openai") + "/v1", max_retries=0)


def _transcribe(stand, **more):
    with open(WAV, "rb") as file:
        return _client(stand).audio.transcriptions.create(**{"model": "whisper-1", "file": file, **more})


def transcribes_as_json(stand):
    same_words(_transcribe(stand).text)


def transcribes_with_times(stand):
    said = _transcribe(stand, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert said.words[0].word == "The" and said.segments[0].id == 0, said
    assert said.words[0].start <= said.words[0].end <= said.duration, said


def transcribes_as_text_and_subtitles(stand):
    assert _transcribe(stand, response_format="text").strip() == SAID
    assert "-->" in _transcribe(stand, response_format="srt")
    assert _transcribe(stand, response_format="vtt").startswith("WEBVTT")


def transcribes_as_events(stand):
    events = _transcribe(stand, model="gpt-4o-mini-transcribe", stream=True)
    same_words("".join(event.delta for event in events if event.type == "transcript.text.delta"))


def tells_speakers_apart(stand):
    said = _transcribe(stand, model="gpt-4o-transcribe-diarize", response_format="diarized_json", chunking_strategy="auto")
    assert said.segments[0].speaker == "A", said


def speaks(stand):
    speech = _client(stand).audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="hello", response_format="wav")
    assert speech.content[:4] == b"RIFF"


class _Mood(pydantic.BaseModel):
    label: str
    score: float


def answers_in_a_given_shape(stand):
    client, asked = _client(stand), "<text>It is good.</text>"
    message = [{"role": "user", "content": asked}]
    chat = client.chat.completions.parse(model="gpt-4o-mini", messages=message, response_format=_Mood)
    assert chat.choices[0].message.parsed.label == "positive", chat
    response = client.responses.parse(model="gpt-4o-mini", input=asked, text_format=_Mood)
    assert response.output_parsed.label == "positive", response


def chats_as_events(stand):
    chunks = _client(stand).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def lists_models(stand):
    assert _client(stand).models.list().data


def errors_are_of_their_class(stand):
    with raises(openai.AuthenticationError, code="invalid_api_key"):
        _client(stand, "wrong").models.list()
    with raises(openai.NotFoundError):
        _transcribe(stand, model="nope")
    with stand.fault("openai", {"error": {"class": "quota"}}), raises(openai.RateLimitError, code="insufficient_quota"):
        _transcribe(stand)
    with stand.fault("openai", {"rate": {"retry_after": 2}}), raises(openai.RateLimitError):
        _transcribe(stand)
    with stand.fault("openai", {"error": {"class": "internal"}}), raises(openai.InternalServerError):
        _transcribe(stand)
    with stand.fault("openai", "reset"), raises(openai.APIConnectionError):
        _transcribe(stand)
