"""Scenarios of OpenAI's Python SDK, unmodified, against a running server.

Usage: openai_client.py BASE_URL KEY SCENARIO FILE. Prints one JSON report; the Rust test judges it.
"""

import asyncio
import base64
import json
import os
import socket
import sys

import openai
from openai import AsyncOpenAI, OpenAI

BASE_URL, KEY, SCENARIO, FILE = sys.argv[1:5]
MODEL = "whisper-1"


def client(key=KEY, **options):
    return OpenAI(api_key=key, base_url=BASE_URL + "/v1", max_retries=0, timeout=120, **options)


def transcribe(model=MODEL, file=None, **params):
    with open(FILE, "rb") as recording:
        return client().audio.transcriptions.create(model=model, file=file or recording, **params)


def formats():
    report = {}
    answer = transcribe()
    report["json"] = {"class": type(answer).__name__, "text": answer.text, "usage": answer.usage.to_dict()}
    for name in ("text", "srt", "vtt"):
        answer = transcribe(response_format=name)
        report[name] = {"class": type(answer).__name__, "text": answer}
    answer = transcribe(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    report["verbose_json"] = {
        "class": type(answer).__name__,
        "text": answer.text,
        "language": answer.language,
        "duration": answer.duration,
        "usage": answer.usage.to_dict(),
        "words": [[word.word, word.start, word.end] for word in answer.words],
        "segments": [[part.id, part.start, part.end, part.text, part.avg_logprob, part.compression_ratio]
                     for part in answer.segments],
    }
    answer = transcribe(response_format="verbose_json")
    report["without_granularities"] = [answer.words is None, len(answer.segments)]
    return report


def options():
    """Everything else that the SDK can send along."""
    raw = client().audio.transcriptions.with_raw_response.create(
        model="gpt-4o-mini-transcribe",
        file=("speech.wav", open(FILE, "rb").read(), "audio/wav"),
        language="en",
        prompt="Americans, country",
        temperature=0.2,
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "silence_duration_ms": 700, "threshold": 0.5},
    )
    answer = raw.parse()
    return {
        "text": answer.text,
        "tokens": "".join(entry.token for entry in answer.logprobs),
        "logprobs": [entry.logprob for entry in answer.logprobs],
        "bytes": bytes(int(b) for entry in answer.logprobs for b in entry.bytes).decode(),
        "ignored": raw.headers.get("harmony-ignored"),
        "request_id": raw.headers.get("x-request-id"),
        "automatic": transcribe(chunking_strategy="auto", keywords=["Americans"], languages=["en", "de"]).text,
    }


def stream():
    report = {"types": [], "text": "", "done": None}
    for event in transcribe(model="gpt-4o-transcribe", stream=True):
        report["types"].append(event.type)
        if event.type == "transcript.text.delta":
            report["text"] += event.delta
        elif event.type == "transcript.text.done":
            report["done"] = {"text": event.text, "usage": event.usage.to_dict()}
    return report


def diarized():
    answer = transcribe(model="gpt-4o-transcribe-diarize", response_format="diarized_json", chunking_strategy="auto")
    whole = [[part.speaker, part.text, part.start, part.end] for part in answer.segments]
    streamed = []
    for event in transcribe(model="gpt-4o-transcribe-diarize", response_format="diarized_json", stream=True):
        if event.type == "transcript.text.segment":
            streamed.append([event.speaker, event.text, event.start, event.end])
    return {"class": type(answer).__name__, "whole": whole, "streamed": streamed, "duration": answer.duration,
            "warnings": answer.to_dict().get("warnings", [])}


def voices():
    """Several people on one channel, one of them known from a recording, and a recording that holds nobody."""
    def diarized(**params):
        return transcribe(model="gpt-4o-transcribe-diarize", response_format="diarized_json", **params)

    def segment(part):
        return {"speaker": part.speaker, "text": part.text, "start": part.start, "end": part.end}

    def reference(sound):
        return ["data:audio/wav;base64," + base64.b64encode(sound).decode()]

    streamed = [segment(event) for event in diarized(stream=True) if event.type == "transcript.text.segment"]
    with open(os.path.join(os.path.dirname(FILE), "reference.wav"), "rb") as file:
        ada = reference(file.read())
    known = diarized(known_speaker_names=["Ada"], known_speaker_references=ada)
    return {
        "whole": [segment(part) for part in diarized().segments],
        "streamed": streamed,
        "known": [segment(part) for part in known.segments],
        "refused": refused(lambda: diarized(known_speaker_names=["Ada"], known_speaker_references=reference(b"no sound"))),
    }


def models():
    listed = [[model.id, model.owned_by, model.object] for model in client().models.list()]
    return {"listed": listed, "one": client().models.retrieve(MODEL).to_dict()}


def asynchronous():
    async def run():
        async with AsyncOpenAI(api_key=KEY, base_url=BASE_URL + "/v1", max_retries=0, timeout=120) as sdk:
            async def one():
                with open(FILE, "rb") as recording:
                    return (await sdk.audio.transcriptions.create(model=MODEL, file=recording)).text

            async def streamed():
                text = ""
                with open(FILE, "rb") as recording:
                    events = await sdk.audio.transcriptions.create(model=MODEL, file=recording, stream=True)
                    async for event in events:
                        if event.type == "transcript.text.delta":
                            text += event.delta
                return text

            return await asyncio.gather(one(), one(), streamed())

    return {"texts": asyncio.run(run())}


def refused(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "type": error.type,
            "message": error.message,
            "retry_after": error.response.headers.get("retry-after"),
        }
    return {"class": None}


def errors():
    return {
        "no_key": refused(lambda: client(key="wrong").models.list()),
        "no_key_upload": refused(
            lambda: client(key="wrong").audio.transcriptions.create(model=MODEL, file=open(FILE, "rb"))),
        "model": refused(lambda: transcribe(model="whisper-99")),
        "retrieve": refused(lambda: client().models.retrieve("gpt-99")),
        "format": refused(lambda: transcribe(response_format="xml")),
        "granularity": refused(lambda: transcribe(timestamp_granularities=["word"])),
        "temperature": refused(lambda: transcribe(temperature=7)),
        "language": refused(lambda: transcribe(language="klingon")),
        "unknown_language": refused(lambda: transcribe(language="xx")),
        "speakers": refused(lambda: transcribe(known_speaker_names=["a"], known_speaker_references=["data:audio/wav;base64,AA=="])),
        "subtitle_stream": refused(lambda: list(transcribe(response_format="srt", stream=True))),
        "picture": refused(lambda: transcribe(file=("speech.wav", b"\x89PNG\r\n\x1a\n" + bytes(200)))),
        "picture_stream": refused(lambda: list(transcribe(file=("speech.wav", b"\x89PNG\r\n\x1a\n" + bytes(200)), stream=True))),
        "empty": refused(lambda: transcribe(file=("speech.wav", b""))),
        "translation": refused(lambda: client().audio.translations.create(model=MODEL, file=open(FILE, "rb"))),
        "no_form": refused(lambda: client().post("/audio/transcriptions", body={"model": MODEL}, cast_to=object)),
        "no_path": refused(lambda: client().post("/audio/nothing", body={}, cast_to=object)),
    }


def too_large():
    """Announced by its length, and found out while it is read."""
    def chunked():
        import httpx2
        parts = [b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x\r\n'
                 b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n',
                 open(FILE, "rb").read(), b"\r\n--x--\r\n"]
        answer = httpx2.post(BASE_URL + "/v1/audio/transcriptions", content=iter(parts), headers={
            "Authorization": "Bearer " + KEY, "Content-Type": "multipart/form-data; boundary=x"})
        return {"status": answer.status_code, "body": answer.json()}

    return {"announced": refused(transcribe), "chunked": chunked()}


def full():
    """The only place is held by an upload that does not go on."""
    host, port = BASE_URL.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(("POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + KEY + "\r\n"
                      "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\nExpect: 100-continue"
                      "\r\n\r\n").encode())
        # The server asks for the body once the handler reads it: by then the place is taken.
        assert slow.recv(1000).startswith(b"HTTP/1.1 100"), "the server did not ask for the body"
        busy = refused(transcribe)
    return {"busy": busy}


def speech():
    """Every format, as a whole and as it comes, in base64, and one that nobody makes."""
    def create(**params):
        return client().audio.speech.create(model="tts-1", voice="alloy", input="Hello, how can I help you?", **params)

    def text(sound):
        return base64.b64encode(sound).decode()

    report = {name: text(create(response_format=name).content) for name in ("wav", "pcm", "opus", "flac")}
    streaming = client().audio.speech.with_streaming_response
    with streaming.create(model="tts-1", voice="alloy", input="Hello, how can I help you?", response_format="pcm") as answer:
        report["streamed"] = text(b"".join(answer.iter_bytes()))
    try:
        create(response_format="mp3")
    except openai.BadRequestError as error:
        report["refused"] = [type(error).__name__, error.status_code, error.param]
    return report


print(json.dumps(globals()[SCENARIO]()))
