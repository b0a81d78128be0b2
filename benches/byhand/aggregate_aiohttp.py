"""The same as `aggregate.py` with the fastest that FastAPI is used with: aiohttp for calls, orjson for JSON, no models."""

import asyncio
import sys

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

listen, base = sys.argv[1:]
host, port = listen.split(":")
app = FastAPI()
JSON = {"content-type": "application/json"}
upstream: aiohttp.ClientSession | None = None


async def session() -> aiohttp.ClientSession:
    global upstream
    if upstream is None:
        upstream = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=128))
    return upstream


async def call(path: str, body: dict) -> dict:
    async with (await session()).post(base + path, data=orjson.dumps(body), headers=JSON) as answer:
        answer.raise_for_status()
        return orjson.loads(await answer.read())


@app.post("/v1/insights")
async def insights(request: Request) -> Response:
    asked = orjson.loads(await request.body())
    heard = await call("/heard", {"call": asked["call"]})
    text = {"text": heard["text"], "language": heard["language"]}
    mood, people = await asyncio.gather(call("/mood", text), call("/people", text))
    return Response(
        orjson.dumps(
            {
                "text": heard["text"],
                "mood": mood["label"],
                "score": mood["score"],
                "people": [entity["name"] for entity in people["entities"]],
                "english": heard["language"] == "en",
            }
        ),
        media_type="application/json",
    )


uvicorn.run(app, host=host, port=int(port), log_level="warning", access_log=False)
