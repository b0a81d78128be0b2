"""pip install tencentcloud-sdk-python"""

import base64

from tencentcloud.asr.v20190614 import asr_client, models as asr
from tencentcloud.common import credential
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.nlp.v20190408 import models as nlp, nlp_client
from tencentcloud.tts.v20190823 import models as tts, tts_client

from stand import WAV, raises, same_words


def _client(stand, kind, secret=None):
    account = stand.accounts["tencent"]
    signer = credential.Credential(account["secret_id"], secret or account["secret_key"])
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=stand.address))
    client = kind(signer, account["region"], profile)
    # The vendor's hosts have no path, and none is signed: it is put in between.
    send = client.request.send_request

    def below(request):
        request.host = f"{stand.address}/tencent/"
        return send(request)

    client.request.send_request = below
    return client


def _request(kind, **fields):
    request = kind()
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def _recording(**more):
    audio = WAV.read_bytes()
    fields = {"EngSerViceType": "16k_en", "SourceType": 1, "VoiceFormat": "wav", "Data": base64.b64encode(audio).decode(), "DataLen": len(audio)}
    return _request(asr.SentenceRecognitionRequest, **{**fields, **more})


def transcribes(stand):
    said = _client(stand, asr_client.AsrClient).SentenceRecognition(_recording(WordInfo=1))
    same_words(said.Result)
    assert said.WordList[0].StartTime < said.WordList[0].EndTime <= said.AudioDuration and said.RequestId, said


def transcribes_as_a_job(stand):
    client = _client(stand, asr_client.AsrClient)
    audio = WAV.read_bytes()
    fields = {"EngineModelType": "16k_en", "ChannelNum": 1, "ResTextFormat": 2, "SourceType": 1, "Data": base64.b64encode(audio).decode(), "DataLen": len(audio)}
    task = client.CreateRecTask(_request(asr.CreateRecTaskRequest, **fields)).Data.TaskId
    while True:
        data = client.DescribeTaskStatus(_request(asr.DescribeTaskStatusRequest, TaskId=task)).Data
        if data.Status in (2, 3):
            break
    assert data.StatusStr == "success" and data.ResultDetail[0].Words, data


def speaks(stand):
    speech = _client(stand, tts_client.TtsClient).TextToVoice(_request(tts.TextToVoiceRequest, Text="你好", SessionId="s-1", Codec="wav"))
    assert base64.b64decode(speech.Audio)[:4] == b"RIFF" and speech.SessionId == "s-1"


def reads(stand):
    client = _client(stand, nlp_client.NlpClient)
    mood = client.AnalyzeSentiment(_request(nlp.AnalyzeSentimentRequest, Text="这家酒店很好，我很喜欢。"))
    assert mood.Sentiment == "positive" and mood.Positive > mood.Negative, mood
    named = client.ParseWords(_request(nlp.ParseWordsRequest, Text="玛丽亚在北京。"))
    assert any(entity.Word == "北京" for entity in named.Entities), named


def translates(stand):
    # The vendor has taken these out of its clients, and still answers accounts that have them.
    client = _client(stand, lambda *account: CommonClient("tmt", "2018-03-21", *account))
    asked = {"SourceText": "Hello, world!", "Source": "auto", "Target": "de", "ProjectId": 0}
    answer = client.call_json("TextTranslate", asked)["Response"]
    assert answer["TargetText"] == "Hallo Welt!" and answer["Source"] == "en", answer
    answer = client.call_json("LanguageDetect", {"Text": "こんにちは、世界", "ProjectId": 0})["Response"]
    assert answer["Lang"] == "jp", answer


def errors_have_their_code(stand):
    with raises(TencentCloudSDKException, code="AuthFailure.SignatureFailure"):
        _client(stand, asr_client.AsrClient, secret="wrong").SentenceRecognition(_recording())
    with raises(TencentCloudSDKException):
        _client(stand, asr_client.AsrClient).SentenceRecognition(_recording(EngSerViceType="nope"))
    with stand.fault("tencent", {"code": "FailedOperation.UserHasNoAmount"}), raises(TencentCloudSDKException, code="FailedOperation.UserHasNoAmount"):
        _client(stand, asr_client.AsrClient).SentenceRecognition(_recording())
