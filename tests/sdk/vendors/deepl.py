"""pip install deepl"""

import deepl

from stand import raises


def _client(stand, key=None):
    # Repeating and waiting is the client's habit.
    deepl.http_client.max_network_retries = 0
    return deepl.DeepLClient(key or stand.key("deepl"), server_url=stand.url("deepl") + "/")


def translates(stand):
    answer = _client(stand).translate_text("Hello, world!", target_lang="DE")
    assert answer.text == "Hallo Welt!" and answer.detected_source_lang == "EN" and answer.billed_characters, answer


def translates_many_in_order(stand):
    texts = [f"This is sentence number {at}." for at in range(5)]
    answers = _client(stand).translate_text(texts, source_lang="EN", target_lang="FR", formality="prefer_more")
    assert all(str(at) in answer.text for at, answer in enumerate(answers)), answers


def translates_the_mock_servers_phrase(stand):
    # What the vendor's own test server knows.
    assert _client(stand).translate_text("proton beam", target_lang="DE").text == "Protonenstrahl"


def keeps_glossaries(stand):
    client = _client(stand)
    glossary = client.create_glossary("ours", "EN", "DE", {"world": "Erde"})
    assert client.get_glossary(glossary.glossary_id).entry_count == 1
    assert client.get_glossary_entries(glossary) == {"world": "Erde"}
    client.translate_text("Hello, world!", source_lang="EN", target_lang="DE", glossary=glossary)
    client.delete_glossary(glossary)
    with raises(deepl.GlossaryNotFoundException):
        client.get_glossary(glossary.glossary_id)


def tells_languages_and_usage(stand):
    client = _client(stand)
    assert any(language.code == "EN-GB" for language in client.get_target_languages())
    assert any(language.code == "EN" for language in client.get_source_languages())
    assert client.get_usage().character.limit


def errors_are_of_their_class(stand):
    with raises(deepl.AuthorizationException):
        _client(stand, "wrong").translate_text("hello", target_lang="DE")
    with raises(deepl.DeepLException):
        _client(stand).translate_text("hello", target_lang="XX")
    with stand.fault("deepl", {"error": {"class": "quota"}}), raises(deepl.QuotaExceededException):
        _client(stand).translate_text("hello", target_lang="DE")
    with stand.fault("deepl", {"error": {"class": "rate"}}), raises(deepl.TooManyRequestsException):
        _client(stand).translate_text("hello", target_lang="DE")
