"""The composition of `benches/compositions` by hand in Python: `python aggregate.py HOST:PORT BASE`, with FastAPI and httpx."""

import asyncio
import sys

import httpx
import uvicorn
from fastapi import FastAPI

listen, base = sys.argv[1:]
host, port = listen.split(":")
limits = httpx.Limits(max_connections=128, max_keepalive_connections=128)
upstream = httpx.AsyncClient(base_url=base, limits=limits, trust_env=False)
app = FastAPI()


async def call(path: str, body: dict) -> dict:
    answer = await upstream.post(path, json=body)
    answer.raise_for_status()
    return answer.json()


@app.post("/v1/insights")
async def insights(asked: dict) -> dict:
    heard = await call("/heard", {"call": asked["call"]})
    text = {"text": heard["text"], "language": heard["language"]}
    mood, people = await asyncio.gather(call("/mood", text), call("/people", text))
    return {
        "text": heard["text"],
        "mood": mood["label"],
        "score": mood["score"],
        "people": [entity["name"] for entity in people["entities"]],
        "english": heard["language"] == "en",
    }


uvicorn.run(app, host=host, port=int(port), log_level="warning", access_log=False)
