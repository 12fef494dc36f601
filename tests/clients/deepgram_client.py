"""Drives a server with the unmodified Deepgram SDK; prints what it received as one JSON object.

usage: deepgram_client.py URL KEY SCENARIO [FILE]
"""

import base64
import http.server
import json
import sys
import threading
import time
import wave

import numpy
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.errors import BadRequestError
from deepgram.listen.v1.types.listen_v1metadata import ListenV1Metadata
from deepgram.listen.v1.types.listen_v1results import ListenV1Results
from deepgram.listen.v1.types.listen_v1speech_started import ListenV1SpeechStarted
from deepgram.listen.v1.types.listen_v1utterance_end import ListenV1UtteranceEnd
from deepgram.speak.v1.types.speak_v1text import SpeakV1Text
from deepgram_kit import client
from websockets.exceptions import InvalidStatus

PIECE_S = 0.1


def read(path):
    """The samples of a 16-bit WAV file, interleaved, its rate and its channels."""
    with wave.open(path) as file:
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples, file.getframerate(), file.getnchannels()


def mulaw(samples):
    """16 kHz 16-bit samples as 8 kHz G.711 mu-law."""
    narrow = numpy.convolve(samples, numpy.ones(2) / 2, mode="same")[::2]
    clipped = numpy.clip(narrow, -32635, 32635).astype(int)
    magnitude = numpy.abs(clipped) + 132
    exponent = numpy.floor(numpy.log2(magnitude)).astype(int) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return (~(((clipped < 0) << 7) | (exponent << 4) | mantissa) & 0xFF).astype(numpy.uint8).tobytes()


class Session:
    """One live connection: paces audio like a microphone and keeps every message."""

    def __init__(self, url, key, **options):
        self.messages, self.errors = [], []
        self.context = client(url, key).listen.v1.connect(model="nova-3", **options)
        self.connection = self.context.__enter__()
        self.connection.on(EventType.MESSAGE, self.messages.append)
        self.connection.on(EventType.ERROR, self.errors.append)
        self.listener = threading.Thread(target=self.connection.start_listening)
        self.listener.start()

    def stream(self, audio, bytes_per_s):
        piece = int(bytes_per_s * PIECE_S) // 8 * 8
        began = time.monotonic()
        for index, offset in enumerate(range(0, len(audio), piece)):
            self.connection.send_media(audio[offset : offset + piece])
            time.sleep(max(0.0, began + (index + 1) * PIECE_S - time.monotonic()))

    def wait_for(self, wanted, timeout_s=20):
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = [message for message in list(self.messages) if wanted(message)]
            if found:
                return found[0]
            time.sleep(0.02)
        raise TimeoutError("the message did not come")

    def close(self):
        self.connection.send_close_stream()
        self.listener.join(timeout=30)
        frame = self.connection._websocket.protocol.close_rcvd
        self.context.__exit__(None, None, None)
        return frame.code if frame else None

    def report(self, code):
        results = [message for message in self.messages if isinstance(message, ListenV1Results)]
        finals = [result for result in results if result.is_final]
        channels = {}
        for final in finals:
            text = final.channel.alternatives[0].transcript
            if text:
                channels.setdefault(str(final.channel_index[0]), []).append(text)
        words = [word for final in finals for word in final.channel.alternatives[0].words]
        metadata = [message for message in self.messages if isinstance(message, ListenV1Metadata)]
        return {
            "channels": {channel: " ".join(texts) for channel, texts in channels.items()},
            "interims": sum(not result.is_final for result in results),
            "finals": len(finals),
            "from_finalize": sum(bool(result.from_finalize) for result in finals),
            "speech_final": sum(bool(result.speech_final) for result in finals),
            "speech_started": sum(isinstance(message, ListenV1SpeechStarted) for message in self.messages),
            "utterance_ends": [m.last_word_end for m in self.messages if isinstance(m, ListenV1UtteranceEnd)],
            "channel_index": sorted({tuple(result.channel_index) for result in results}),
            "words": [word.dict() for word in words],
            "gaps": gaps(finals),
            "model": finals[0].metadata.model_info.name if finals else None,
            "metadata": metadata[0].dict() if metadata else None,
            "last": type(self.messages[-1]).__name__ if self.messages else None,
            "close": code,
            "errors": [str(error) for error in self.errors],
        }


def gaps(finals):
    """How far each final begins from where the one before it on its channel ended, in seconds."""
    ends, found = {}, []
    for final in finals:
        channel = final.channel_index[0]
        found.append(abs(final.start - ends.get(channel, 0.0)))
        ends[channel] = final.start + final.duration
    return max(found, default=0.0)


def live(url, key, path):
    samples, rate, _ = read(path)
    session = Session(
        url,
        key,
        encoding="linear16",
        sample_rate=rate,
        interim_results=True,
        vad_events=True,
        utterance_end_ms=1000,
        punctuate=True,
        keyterm=["Americans", "country"],
        tag=["sdk"],
    )
    session.connection.send_keep_alive()
    session.stream(samples.tobytes(), rate * 2)
    session.stream(numpy.zeros(rate * 2, dtype="<i2").tobytes(), rate * 2)
    return session.report(session.close())


def finalize(url, key, path):
    samples, rate, _ = read(path)
    session = Session(url, key, encoding="linear16", sample_rate=rate)
    session.stream(samples[: rate * 2].tobytes(), rate * 2)
    session.connection.send_finalize()
    answer = session.wait_for(lambda message: getattr(message, "from_finalize", False))
    session.stream(samples[rate * 2 :].tobytes(), rate * 2)
    report = session.report(session.close())
    report["finalized"] = answer.channel.alternatives[0].transcript
    return report


def multichannel(url, key, path):
    samples, rate, channels = read(path)
    session = Session(
        url, key, encoding="linear16", sample_rate=rate, channels=channels, multichannel=True, punctuate=True, diarize=True
    )
    session.stream(samples.tobytes(), rate * 2 * channels)
    return session.report(session.close())


def telephone(url, key, path):
    samples, rate, _ = read(path)
    assert rate == 16000
    session = Session(url, key, encoding="mulaw", sample_rate=8000, interim_results=True)
    session.stream(mulaw(samples), 8000)
    return session.report(session.close())


def container(url, key, path):
    """A WAV file as it is, without an encoding: the server tells what it is."""
    with open(path, "rb") as file:
        audio = file.read()
    session = Session(url, key, interim_results=True)
    session.stream(audio, 32000)
    return session.report(session.close())


def prerecorded(url, key, path):
    with open(path, "rb") as file:
        audio = file.read()
    response = client(url, key).listen.v1.media.transcribe_file(
        request=audio, model="nova-3", smart_format=True, utterances=True, search=["country"], tag=["sdk"]
    )
    channel = response.results.channels[0]
    return {
        "transcript": channel.alternatives[0].transcript,
        "confidence": channel.alternatives[0].confidence,
        "words": [word.dict() for word in channel.alternatives[0].words],
        "paragraphs": len(channel.alternatives[0].paragraphs.paragraphs),
        "utterances": [utterance.transcript for utterance in response.results.utterances],
        "hits": len(channel.search[0].hits),
        "duration": response.metadata.duration,
        "channels": response.metadata.channels,
        "sha256": response.metadata.sha256,
        "tags": response.metadata.tags,
    }


def prerecorded_channels(url, key, path):
    with open(path, "rb") as file:
        audio = file.read()
    response = client(url, key).listen.v1.media.transcribe_file(
        request=audio, model="nova-3", multichannel=True, punctuate=True, diarize=True
    )
    found = [channel.alternatives[0] for channel in response.results.channels]
    return {"channels": [channel.transcript for channel in found],
            "speakers": [sorted({word.speaker for word in channel.words}) for channel in found]}


def voices(url, key, path):
    """A mono recording of several people, as it is spoken and at once."""
    samples, rate, _ = read(path)
    session = Session(url, key, encoding="linear16", sample_rate=rate, punctuate=True, diarize=True)
    session.stream(samples.tobytes(), rate * 2)
    live = session.report(session.close())
    with open(path, "rb") as file:
        audio = file.read()
    response = client(url, key).listen.v1.media.transcribe_file(
        request=audio, model="nova-3", punctuate=True, diarize=True, utterances=True
    )
    channels = response.results.channels
    warnings = [found for found in (live["metadata"] or {}).get("warnings") or [] if found["parameter"] == "diarize"]
    return {"live": live["words"], "recorded": [word.dict() for word in channels[0].alternatives[0].words],
            "channels": len(channels), "warnings": warnings or None,
            "utterances": [[utterance.speaker, utterance.transcript] for utterance in response.results.utterances]}


def callback(url, key, path):
    """Has a recording fetched from here and its transcript delivered here, the second time it is tried."""
    deliveries = []
    arrived = threading.Event()

    class Here(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/audio.wav")
                return self.end_headers()
            with open(path, "rb") as file:
                audio = file.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(audio)))
            self.end_headers()
            self.wfile.write(audio)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            deliveries.append((json.loads(body), dict(self.headers)))
            self.send_response(503 if len(deliveries) == 1 else 200)
            self.end_headers()
            if len(deliveries) == 2:
                arrived.set()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Here) as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{here.server_address[1]}"
        accepted = client(url, key).listen.v1.media.transcribe_url(
            url=f"{address}/moved", model="nova-3", callback=f"{address}/done", punctuate=True
        )
        assert arrived.wait(60), f"{len(deliveries)} deliveries"
        here.shutdown()
    body, headers = deliveries[-1]
    headers = {name.lower(): value for name, value in headers.items()}
    return {
        "accepted": accepted.request_id,
        "request_id": body["metadata"]["request_id"],
        "header": headers["dg-request-id"],
        "token": headers.get("dg-token"),
        "deliveries": len(deliveries),
        "transcript": body["results"]["channels"][0]["alternatives"][0]["transcript"],
    }


def refused(call):
    """How the SDK raises what the server refuses."""
    try:
        call()
    except BadRequestError as error:
        return {"type": "BadRequestError", "status": error.status_code, "body": error.body, "headers": dict(error.headers)}
    except ApiError as error:
        return {"type": "ApiError", "status": error.status_code, "body": error.body}
    except InvalidStatus as error:
        # The SDK means to catch this and waits for the name it had in older releases of websockets.
        response = error.response
        return {
            "type": "ApiError",
            "status": response.status_code,
            "body": json.loads(response.body),
            "error": response.headers.get("dg-error"),
        }
    return {"type": None}


def refusals(url, key, path):
    with open(path, "rb") as file:
        audio = file.read()

    def listen(wrong_key=key, **options):
        with client(url, wrong_key).listen.v1.connect(model="nova-3", **options):
            pass

    def transcribe(wrong_key=key, request=audio, **options):
        client(url, wrong_key).listen.v1.media.transcribe_file(request=request, model="nova-3", **options)

    def fetch(address):
        client(url, key).listen.v1.media.transcribe_url(url=address, model="nova-3")

    return {
        "live_key": refused(lambda: listen(wrong_key="wrong")),
        "live_value": refused(lambda: listen(encoding="g729", sample_rate=8000)),
        "key": refused(lambda: transcribe(wrong_key="wrong")),
        "value": refused(lambda: transcribe(redact="phi")),
        "noise": refused(lambda: transcribe(request=b"this is no audio at all" * 100)),
        "private": refused(lambda: fetch("http://127.0.0.1:1/secret.wav")),
    }


def speak(url, key):
    """Speech at once, a woman's, and over a socket, a man's; in base64."""
    text = "Hello, how can I help you today?"
    deepgram = client(url, key)
    rest = b"".join(deepgram.speak.v1.audio.generate(text=text, encoding="linear16"))
    report = {"rest": base64.b64encode(rest).decode()}
    try:
        list(deepgram.speak.v1.audio.generate(text=text, encoding="mp3"))
    except BadRequestError as error:
        report["refused"] = [type(error).__name__, error.status_code]
    kinds, live = [], b""
    with deepgram.speak.v1.connect(model="aura-2-apollo-en", encoding="linear16", sample_rate=24000) as socket:
        kinds.append(type(socket.recv()).__name__)
        socket.send_text(SpeakV1Text(type="Speak", text=text))
        socket.send_flush()
        while True:
            message = socket.recv()
            if isinstance(message, bytes):
                live += message
            else:
                kinds.append(type(message).__name__)
                break
        socket.send_close()
    return {**report, "kinds": kinds, "live": base64.b64encode(live).decode()}


if __name__ == "__main__":
    url, key, scenario, *rest = sys.argv[1:]
    print(json.dumps(globals()[scenario](url, key, *rest), default=str))
