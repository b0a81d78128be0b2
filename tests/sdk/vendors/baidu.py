"""pip install baidu-aip"""


import aip
from aip.base import AipBase

from stand import WAV, same_words

SERVICES = {
    aip.AipSpeech: {"asrUrl": "/server_api", "ttsUrl": "/text2audio"},
    aip.AipNlp: {
        "lexerUrl": "/rpc/2.0/nlp/v1/lexer",
        "sentimentClassifyUrl": "/rpc/2.0/nlp/v1/sentiment_classify",
        "keywordUrl": "/rpc/2.0/nlp/v1/keyword",
        "topicUrl": "/rpc/2.0/nlp/v1/topic",
    },
}


def _client(stand, kind, secret=None):
    """The addresses are private constants of the classes."""
    base, account = stand.url("baidu"), stand.accounts["baidu"]
    AipBase._AipBase__accessTokenUrl = base + "/oauth/2.0/token"
    for name, path in SERVICES[kind].items():
        private = f"_{kind.__name__}__{name}"
        assert hasattr(kind, private), private
        setattr(kind, private, base + path)
    return kind("app", account["api_key"], secret or account["secret_key"])


def transcribes(stand):
    # The samples behind the header: 16 kHz, mono.
    said = _client(stand, aip.AipSpeech).asr(WAV.read_bytes()[44:], "pcm", 16000, {"dev_pid": 1737})
    assert said["err_no"] == 0, said
    same_words(said["result"][0])


def speaks(stand):
    speech = _client(stand, aip.AipSpeech).synthesis("你好", "zh", 1, {"aue": 6})
    assert isinstance(speech, bytes) and speech[:4] == b"RIFF", speech


def reads(stand):
    client = _client(stand, aip.AipNlp)
    mood = client.sentimentClassify("这家酒店很好，我很喜欢。")
    assert mood["items"][0]["sentiment"] == 2, mood
    words = client.lexer("玛丽亚在北京。")
    assert [word["item"] for word in words["items"] if word["ne"] == "LOC"] == ["北京"], words
    keys = client.keyword("北京的酒店", "玛丽亚在北京开了一家新酒店，大家都很开心。")
    assert keys["items"] and keys["items"][0]["tag"], keys


def errors_are_in_the_answer(stand):
    wrong = _client(stand, aip.AipNlp, secret="wrong").sentimentClassify("很好")
    assert wrong.get("error_code") or wrong.get("error"), wrong
    with stand.fault("baidu", {"error": {"class": "rate"}}, operation="text.sentiment"):
        assert _client(stand, aip.AipNlp).sentimentClassify("很好")["error_code"] == 18
    with stand.fault("baidu", {"error": {"class": "quota"}}, operation="speech.transcribe"):
        assert _client(stand, aip.AipSpeech).asr(b"\0" * 32000, "pcm", 16000, {"dev_pid": 1737})["err_no"] == 3305
