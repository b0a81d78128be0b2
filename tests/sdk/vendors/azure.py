"""pip install azure-ai-textanalytics azure-ai-translation-text azure-ai-transcription

The Speech SDK is a native library that speaks a protocol of its own over websockets, which is not simulated.
"""

from azure.ai.textanalytics import TextAnalyticsClient
from azure.ai.transcription import TranscriptionClient
from azure.ai.transcription.models import TranscriptionContent, TranscriptionOptions
from azure.ai.translation.text import TextTranslationClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from stand import WAV, raises, same_words


def _key(stand, key=None):
    return AzureKeyCredential(key or stand.key("azure"))


def _reader(stand, key=None):
    return TextAnalyticsClient(stand.url("azure"), _key(stand, key), retry_total=0)


def transcribes(stand):
    client = TranscriptionClient(stand.url("azure"), _key(stand), retry_total=0)
    options = TranscriptionOptions(locales=["en-US"])
    said = client.transcribe(TranscriptionContent(definition=options, audio=("weather.wav", WAV.read_bytes())))
    same_words(said.combined_phrases[0].text)
    assert said.phrases[0].words[0].duration_milliseconds > 0 and said.phrases[0].locale == "en-US", said


def reads(stand):
    client, texts = _reader(stand), ["Anna Schmidt is in Berlin. The weather is wonderful.", "It is bad."]
    good, bad = client.analyze_sentiment(texts, show_opinion_mining=True)
    assert (good.sentiment, bad.sentiment) == ("positive", "negative") and len(good.sentences) == 2, good
    entities = client.recognize_entities(texts[:1])[0].entities
    assert any(entity.text == "Berlin" and entity.category == "Location" for entity in entities), entities
    assert client.extract_key_phrases(texts[:1])[0].key_phrases
    assert client.detect_language(["Bonjour tout le monde"])[0].primary_language.iso6391_name == "fr"
    assert client.recognize_pii_entities(["Write to anna@example.com."])[0].redacted_text.count("*") > 5


def a_document_fails_alone(stand):
    good, bad = _reader(stand).analyze_sentiment(["It is good.", ""])
    assert not good.is_error and bad.is_error and bad.error.code, bad


def translates(stand):
    client = TextTranslationClient(endpoint=stand.url("azure"), credential=_key(stand), region="westeurope", retry_total=0)
    answer = client.translate(body=["Hello, world!"], to_language=["de"])[0]
    assert answer.translations[0].text == "Hallo Welt!", answer
    assert client.get_supported_languages().translation


def errors_are_of_their_class(stand):
    with raises(ClientAuthenticationError):
        _reader(stand, "wrong").analyze_sentiment(["It is good."])
    with stand.fault("azure", {"rate": {"retry_after": 3}}), raises(HttpResponseError, status_code=429):
        _reader(stand).analyze_sentiment(["It is good."])
    with stand.fault("azure", {"error": {"class": "internal"}}), raises(HttpResponseError, status_code=500):
        _reader(stand).analyze_sentiment(["It is good."])
