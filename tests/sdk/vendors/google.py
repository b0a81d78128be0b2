"""pip install google-cloud-speech google-cloud-language google-cloud-translate google-cloud-texttospeech

By REST; the same clients speak gRPC unless told otherwise, which is not simulated.
"""

import json

import google.auth.transport.requests
from google.api_core import client_options, exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import language_v1, language_v2, speech_v1, texttospeech_v1, translate_v2, translate_v3
from google.oauth2 import service_account

from stand import WAV, raises, same_words

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def _credentials(stand):
    return service_account.Credentials.from_service_account_info(json.loads(stand.key("google", "service_account")), scopes=SCOPES)


def _client(stand, kind, credentials=None):
    transport = kind.get_transport_class("rest")
    credentials = credentials or _credentials(stand)
    return kind(transport=transport(host=f"{stand.address}/google", url_scheme="http", credentials=credentials))


def exchanges_a_key_file_for_a_token(stand):
    credentials = _credentials(stand)
    credentials.refresh(google.auth.transport.requests.Request())
    assert credentials.token and credentials.expiry, credentials


def transcribes(stand):
    config = speech_v1.RecognitionConfig(
        encoding="LINEAR16", sample_rate_hertz=16000, language_code="en-US",
        enable_word_time_offsets=True, enable_automatic_punctuation=True,
    )
    audio = speech_v1.RecognitionAudio(content=WAV.read_bytes())
    said = _client(stand, speech_v1.SpeechClient).recognize(config=config, audio=audio, retry=None)
    best = said.results[0].alternatives[0]
    same_words(" ".join(result.alternatives[0].transcript for result in said.results))
    assert best.words[0].end_time > best.words[0].start_time and 0 < best.confidence <= 1, best


def transcribes_as_an_operation(stand):
    config = speech_v1.RecognitionConfig(language_code="en-US")
    audio = speech_v1.RecognitionAudio(content=WAV.read_bytes())
    operation = _client(stand, speech_v1.SpeechClient).long_running_recognize(config=config, audio=audio)
    said = operation.result(timeout=20)
    same_words(" ".join(result.alternatives[0].transcript for result in said.results))


def reads(stand):
    for module in (language_v1, language_v2):
        client = _client(stand, module.LanguageServiceClient)
        document = {"type_": "PLAIN_TEXT", "content": "Anna Schmidt is in Berlin. The weather is wonderful."}
        mood = client.analyze_sentiment(document=document, encoding_type="UTF32")
        assert mood.document_sentiment.score > 0 and len(mood.sentences) == 2, mood
        named = client.analyze_entities(document=document, encoding_type="UTF32").entities
        assert any("Berlin" in entity.name for entity in named), named


def translates(stand):
    client = _client(stand, translate_v3.TranslationServiceClient)
    parent = f"projects/{stand.key('google', 'project')}/locations/global"
    request = {"parent": parent, "contents": ["Hello, world!"], "target_language_code": "de", "mime_type": "text/plain"}
    answer = client.translate_text(request=request).translations[0]
    assert answer.translated_text == "Hallo Welt!" and answer.detected_language_code == "en", answer
    assert client.get_supported_languages(parent=parent).languages


def translates_in_the_older_dialect(stand):
    options = client_options.ClientOptions(api_endpoint=stand.url("google"))
    client = translate_v2.Client(credentials=_credentials(stand), client_options=options)
    answer = client.translate(["Tom & Jerry", "Hello, world!"], target_language="de", format_="text")
    assert "&amp;" not in answer[0]["translatedText"] and answer[1]["translatedText"] == "Hallo Welt!", answer
    assert client.detect_language("Bonjour tout le monde")["language"] == "fr"


def speaks(stand):
    client = _client(stand, texttospeech_v1.TextToSpeechClient)
    speech = client.synthesize_speech(
        input={"text": "hello"}, voice={"language_code": "en-US", "name": "en-US-Neural2-C"}, audio_config={"audio_encoding": "LINEAR16"},
    )
    assert speech.audio_content[:4] == b"RIFF"
    assert client.list_voices(language_code="en-US").voices


def errors_are_of_their_class(stand):
    document = {"type_": "PLAIN_TEXT", "content": "It is good."}
    client = _client(stand, language_v2.LanguageServiceClient)
    with raises((exceptions.Unauthenticated, exceptions.Forbidden)):
        _client(stand, language_v2.LanguageServiceClient, AnonymousCredentials()).analyze_sentiment(document=document)
    with raises(exceptions.BadRequest):
        client.analyze_sentiment(document={"type_": "PLAIN_TEXT", "content": "It is good.", "language_code": "xx"})
    for fault, kind in [("rate", exceptions.TooManyRequests), ("unavailable", exceptions.ServiceUnavailable), ("internal", exceptions.InternalServerError)]:
        with stand.fault("google", {"error": {"class": fault}}, operation="text.sentiment"), raises(kind):
            client.analyze_sentiment(document=document, retry=None)
