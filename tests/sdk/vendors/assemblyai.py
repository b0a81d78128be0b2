"""pip install assemblyai"""

import assemblyai as aai

from stand import WAV, raises, same_words


def _transcribe(stand, audio=str(WAV), key=None, **more):
    aai.settings.api_key = key or stand.key("assemblyai")
    aai.settings.base_url = stand.url("assemblyai")
    aai.settings.polling_interval = 0.05
    config = aai.TranscriptionConfig(speech_models=["universal"], **more)
    # A client of its own: the default one keeps the first key.
    return aai.Transcriber(client=aai.Client(settings=aai.settings)).transcribe(audio, config=config)


def transcribes(stand):
    said = _transcribe(stand, speaker_labels=True, sentiment_analysis=True, entity_detection=True, auto_highlights=True)
    assert said.status == aai.TranscriptStatus.completed, said.error
    same_words(said.text)
    assert said.utterances and said.words[0].start < said.words[0].end, said
    assert said.get_sentences() and said.get_paragraphs() and "-->" in said.export_subtitles_srt()


def a_job_that_fails_says_why(stand):
    said = _transcribe(stand, "https://example.com/x.wav")
    assert said.status == aai.TranscriptStatus.error and "ownload" in said.error, said.error
    with stand.fault("assemblyai", "fail_job"):
        said = _transcribe(stand)
        assert said.status == aai.TranscriptStatus.error and said.error, said.error


def errors_are_raised(stand):
    with raises(aai.AssemblyAIError):
        _transcribe(stand, key="wrong")
    with stand.fault("assemblyai", {"error": {"class": "internal"}}), raises(aai.AssemblyAIError):
        _transcribe(stand)
