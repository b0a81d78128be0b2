"""What the program says of itself as OpenAPI 3.1, looked at by a validator that knows nothing of it."""

import json
import re
import subprocess
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator

from stand import ROOT


def _valid(document):
    mistakes = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert not mistakes, "\n".join(mistakes)


def _library():
    return sorted(path for path in (ROOT / "compositions/library").glob("*.yaml") if not path.name.endswith(".test.yaml"))


def what_is_printed_is_valid(stand):
    url = stand.gateway(stand.accounts, "compositions: library\n")
    path = stand.folder.name + f"/gateway-{url.rsplit(':', 1)[1]}.yaml"
    printed = subprocess.run([stand.isobar, "openapi", "-c", path], check=True, capture_output=True, text=True)
    document = json.loads(printed.stdout)
    _valid(document)
    # Every capability and every composition is in it.
    for front in ["/v1/audio/transcriptions", "/v1/audio/speech", "/v1/text/sentiment", "/v1/text/entities", "/v1/translate"]:
        assert front in document["paths"], document["paths"].keys()
    # This reader of YAML stumbles over `string?`, so the line is looked for.
    served = [re.search(r"^expose: (\S+) (\S+)$", path.read_text(), re.M).groups() for path in _library()]
    assert len(served) >= 6
    for method, route in served:
        assert method.lower() in document["paths"][route], (method, route)
    # And so is what is served.
    with urllib.request.urlopen(url + "/openapi.json") as answer:
        document = json.load(answer)
    _valid(document)
    assert len(document["paths"]) >= len(served) + 5


def a_broken_description_would_be_noticed(stand):
    document = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/": {"get": {"responses": {"200": {}}}}}}
    try:
        _valid(document)
    except AssertionError:
        return
    raise AssertionError("a description without `description` passed")
