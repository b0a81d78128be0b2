"""pip install gladiaio-sdk"""

from gladiaio_sdk import GladiaClient
from gladiaio_sdk.client_options import HttpRetryOptions
from gladiaio_sdk.network.http_client import HttpError

from stand import WAV, raises, same_words


def _transcribe(stand, key=None):
    client = GladiaClient(api_key=key or stand.key("gladia"), api_url=stand.url("gladia"), http_retry=HttpRetryOptions(max_attempts=1))
    return client.prerecorded().transcribe(str(WAV), {"diarization": True}, interval=0.05)


def transcribes(stand):
    said = _transcribe(stand)
    assert said.status == "done", said
    same_words(said.result.transcription.full_transcript)
    first = said.result.transcription.utterances[0]
    assert first.words[0].start < first.words[0].end, first


def errors_have_their_status(stand):
    with raises(HttpError, status=401):
        _transcribe(stand, key="wrong")
    with stand.fault("gladia", {"error": {"class": "rate"}}), raises(HttpError, status=429):
        _transcribe(stand)


def a_job_that_fails_says_so(stand):
    with stand.fault("gladia", "fail_job"):
        try:
            said = _transcribe(stand)
        except Exception as error:
            assert "error" in str(error).lower() or "failed" in str(error).lower(), error
        else:
            assert said.status == "error" and said.error_code, said
