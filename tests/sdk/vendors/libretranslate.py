"""pip install libretranslatepy"""

import json
import urllib.error

from libretranslatepy import LibreTranslateAPI

from stand import raises


def _client(stand, key=None):
    return LibreTranslateAPI(stand.url("libretranslate"), key or stand.key("libretranslate"))


def translates(stand):
    assert _client(stand).translate("Hello, world!", "en", "de") == "Hallo Welt!"


def detects(stand):
    guesses = _client(stand).detect("Das Wetter ist heute wirklich sehr schön.")
    assert guesses[0]["language"] == "de" and guesses[0]["confidence"], guesses


def tells_languages(stand):
    assert any(language["code"] == "fr" for language in _client(stand).languages())


def errors_say_why(stand):
    with raises(urllib.error.HTTPError, code=403):
        _client(stand, "wrong").translate("hello", "en", "de")
    with stand.fault("libretranslate", {"error": {"class": "rate"}}):
        try:
            _client(stand).translate("hello", "en", "de")
        except urllib.error.HTTPError as error:
            assert error.code == 429 and json.load(error)["error"]
        else:
            raise AssertionError("no error was raised")
