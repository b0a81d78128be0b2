"""pip install speechmatics-batch"""

import asyncio

from speechmatics.batch import AsyncClient, AuthenticationError, BatchError, JobConfig, JobError, JobType, TranscriptionConfig

from stand import WAV, raises, same_words


def _run(stand, key=None, language="en"):
    async def transcribe():
        url = stand.url("speechmatics") + "/v2"
        async with AsyncClient(api_key=key or stand.key("speechmatics"), url=url) as client:
            config = TranscriptionConfig(language=language, model="enhanced", diarization="speaker")
            job = await client.submit_job(str(WAV), config=JobConfig(type=JobType.TRANSCRIPTION, transcription_config=config))
            return await client.wait_for_completion(job.id, polling_interval=0.05)

    return asyncio.run(transcribe())


def transcribes(stand):
    said = _run(stand)
    same_words(said.transcript_text.split(": ", 1)[-1])
    first = said.results[0]
    assert first.type == "word" and first.alternatives[0].speaker == "S1" and first.start_time < first.end_time, first


def errors_are_of_their_class(stand):
    with raises(AuthenticationError):
        _run(stand, key="wrong")
    with stand.fault("speechmatics", "fail_job"), raises(JobError):
        _run(stand)
    with stand.fault("speechmatics", {"error": {"class": "invalid"}}), raises(BatchError):
        _run(stand)
