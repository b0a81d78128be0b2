"""pip install boto3"""

import json
import time
import urllib.request

import boto3
import botocore.config
from botocore.exceptions import ClientError

from stand import WAV, raises, same_words

BUCKET = "isobar-staging"


def _client(stand, service, secret=None):
    account = stand.accounts["aws"]
    return boto3.client(
        service,
        endpoint_url=stand.url("aws"),
        region_name=account["region"],
        aws_access_key_id=account["access_key_id"],
        aws_secret_access_key=secret or account["secret_access_key"],
        config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def keeps_recordings(stand):
    s3 = _client(stand, "s3")
    s3.put_object(Bucket=BUCKET, Key="x y/ü.wav", Body=WAV.read_bytes(), ContentType="audio/wav")
    assert s3.get_object(Bucket=BUCKET, Key="x y/ü.wav")["Body"].read() == WAV.read_bytes()
    s3.upload_file(str(WAV), BUCKET, "up.wav")
    assert s3.head_object(Bucket=BUCKET, Key="up.wav")["ContentLength"] == WAV.stat().st_size
    s3.delete_object(Bucket=BUCKET, Key="up.wav")
    with raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="up.wav")


def transcribes(stand):
    s3, transcribe = _client(stand, "s3"), _client(stand, "transcribe")
    s3.upload_file(str(WAV), BUCKET, "weather.wav")
    job = {
        "TranscriptionJobName": "weather",
        "LanguageCode": "en-US",
        "MediaFormat": "wav",
        "Media": {"MediaFileUri": f"s3://{BUCKET}/weather.wav"},
        "Settings": {"ShowSpeakerLabels": True, "MaxSpeakerLabels": 2},
    }
    transcribe.start_transcription_job(**job)
    with raises(transcribe.exceptions.ConflictException):
        transcribe.start_transcription_job(**job)
    while True:
        state = transcribe.get_transcription_job(TranscriptionJobName="weather")["TranscriptionJob"]
        if state["TranscriptionJobStatus"] in ("COMPLETED", "FAILED"):
            break
        time.sleep(0.05)
    with urllib.request.urlopen(state["Transcript"]["TranscriptFileUri"]) as answer:
        said = json.load(answer)
    same_words(said["results"]["transcripts"][0]["transcript"])
    assert transcribe.list_transcription_jobs()["TranscriptionJobSummaries"]
    transcribe.delete_transcription_job(TranscriptionJobName="weather")
    with raises(transcribe.exceptions.NotFoundException):
        transcribe.get_transcription_job(TranscriptionJobName="weather")


def reads(stand):
    comprehend = _client(stand, "comprehend")
    assert comprehend.detect_sentiment(Text="It is good.", LanguageCode="en")["Sentiment"] == "POSITIVE"
    named = comprehend.detect_entities(Text="Maria is in Paris.", LanguageCode="en")["Entities"]
    assert {"Maria", "Paris"} <= {entity["Text"] for entity in named}, named
    assert comprehend.detect_key_phrases(Text="Maria is in Paris.", LanguageCode="en")["KeyPhrases"]
    assert comprehend.detect_dominant_language(Text="bonjour tout le monde")["Languages"][0]["LanguageCode"] == "fr"
    batch = comprehend.batch_detect_sentiment(TextList=["It is good.", "It is bad."], LanguageCode="en")
    assert [result["Index"] for result in batch["ResultList"]] == [0, 1], batch
    with raises(comprehend.exceptions.TextSizeLimitExceededException):
        comprehend.detect_sentiment(Text="x" * 6000, LanguageCode="en")


def translates(stand):
    translate = _client(stand, "translate")
    answer = translate.translate_text(Text="Hello, world!", SourceLanguageCode="auto", TargetLanguageCode="de")
    assert answer["TranslatedText"] == "Hallo Welt!" and answer["SourceLanguageCode"] == "en", answer
    assert translate.list_languages()["Languages"]
    with raises(translate.exceptions.UnsupportedLanguagePairException):
        translate.translate_text(Text="x", SourceLanguageCode="en", TargetLanguageCode="xx")


def speaks(stand):
    polly = _client(stand, "polly")
    speech = polly.synthesize_speech(Text="hello", VoiceId="Joanna", OutputFormat="mp3")
    assert speech["RequestCharacters"] == 5 and speech["AudioStream"].read()[:2] == b"\xff\xfb"
    assert polly.describe_voices(LanguageCode="en-US")["Voices"]
    with raises(polly.exceptions.InvalidSampleRateException):
        polly.synthesize_speech(Text="hello", VoiceId="Joanna", OutputFormat="mp3", SampleRate="1")


def errors_have_their_code(stand):
    def code(call):
        try:
            call()
        except ClientError as error:
            return error.response["Error"]["Code"]
        raise AssertionError("no error was raised")

    sentiment = lambda client: lambda: client.detect_sentiment(Text="It is good.", LanguageCode="en")
    wrong = code(sentiment(_client(stand, "comprehend", secret="wrong")))
    assert "Signature" in wrong or "Unrecognized" in wrong, wrong
    with stand.fault("aws", {"error": {"class": "rate"}}):
        assert code(sentiment(_client(stand, "comprehend"))) == "ThrottlingException"
