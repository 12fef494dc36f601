"""Talks with an agent over WebRTC as a page does: the unmodified OpenAI SDK brings the offer, aiortc the sound and the
events. Prints what happened as one JSON object.

usage: openai_realtime_calls.py URL KEY QUESTION HEARD

QUESTION is a recording, 16 kHz 16-bit mono, as a WAV file, of which the first two seconds are said. What is heard is
written to HEARD as bare samples, 48 kHz 16-bit mono.
"""

import asyncio
import fractions
import json
import sys
import time
import wave

import av
import numpy
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from openai import OpenAI
from scipy.signal import resample_poly

HZ = 48_000
FRAME = 960
QUESTION_S = 2

# The longest that anything is waited for.
PATIENCE_S = 20

SESSION = {
    "type": "realtime",
    "instructions": "You are a clerk of a shop.",
    "tools": [
        {
            "type": "function",
            "name": "look_up_order",
            "description": "Says what became of an order.",
            "parameters": {
                "type": "object",
                "properties": {"number": {"type": "string"}},
                "required": ["number"],
            },
        }
    ],
}


def read_48k(path):
    with wave.open(path) as file:
        form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
        assert form == (16000, 2, 1), form
        samples = numpy.frombuffer(file.readframes(16000 * QUESTION_S), dtype="<i2")
    louder = resample_poly(samples.astype("float64"), 3, 1)
    return numpy.clip(louder, -32768, 32767).astype("<i2")


class Microphone(AudioStreamTrack):
    """What is said, in real time, and silence when nothing is."""

    def __init__(self):
        super().__init__()
        self.says, self.sent, self.began = numpy.zeros(0, dtype="<i2"), 0, None

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0.0, self.began + self.sent / HZ - time.monotonic()))
        piece, self.says = self.says[:FRAME], self.says[FRAME:]
        piece = numpy.pad(piece, (0, FRAME - len(piece)))
        # Two channels of the same: of one it would make two that are 3 dB quieter.
        frame = av.AudioFrame.from_ndarray(numpy.repeat(piece, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = HZ, self.sent, fractions.Fraction(1, HZ)
        self.sent += FRAME
        return frame


class Call:
    """A connection with its events and what is heard."""

    def __init__(self):
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone, self.frames, self.events = Microphone(), [], []
        self.news, self.listening = asyncio.Condition(), []
        self.connection.addTrack(self.microphone)
        self.channel = self.connection.createDataChannel("oai-events")
        self.channel.on("message", self.take)
        self.connection.on("track", lambda track: self.listening.append(asyncio.ensure_future(self.listen(track))))

    def take(self, text):
        self.events.append(json.loads(text))
        self.listening.append(asyncio.ensure_future(self.wake()))

    async def wake(self):
        async with self.news:
            self.news.notify_all()

    async def listen(self, track):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=HZ)
        try:
            while True:
                for frame in resampler.resample(await track.recv()):
                    self.frames.append(frame.to_ndarray().reshape(-1))
        except Exception:
            # The track's end is an exception without a name of its own.
            pass

    def send(self, **event):
        self.channel.send(json.dumps(event))

    async def until(self, kind, since=0):
        """Where the first event of this type is, from `since` on."""

        def found():
            return next((at for at in range(since, len(self.events)) if self.events[at]["type"] == kind), None)

        async with self.news:
            try:
                await asyncio.wait_for(self.news.wait_for(lambda: found() is not None), PATIENCE_S)
            except asyncio.TimeoutError:
                raise TimeoutError(f"{kind} did not come: {json.dumps(self.events)}") from None
        return found()


def name_of_error(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return None


async def main(url, key, question, heard):
    base_url = url + "/v1"
    client = OpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=60)
    secret = await asyncio.to_thread(client.realtime.client_secrets.create, session={"type": "realtime"})
    page = OpenAI(api_key=secret.value, base_url=base_url, max_retries=0, timeout=60)
    stranger = OpenAI(api_key="ek_nobody", base_url=base_url, max_retries=0, timeout=60)

    call = Call()
    await call.connection.setLocalDescription(await call.connection.createOffer())
    offer = call.connection.localDescription.sdp
    refused = await asyncio.to_thread(name_of_error, lambda: stranger.realtime.calls.create(sdp=offer, session=SESSION))
    create = page.realtime.calls.with_raw_response.create
    answered = (await asyncio.to_thread(create, sdp=offer, session=SESSION)).http_response
    await call.connection.setRemoteDescription(RTCSessionDescription(answered.text, "answer"))

    await call.until("session.created")
    call.send(type="session.update", session={"type": "realtime", "instructions": "You are brief."})
    updated = await call.until("session.updated")
    call.microphone.says = read_48k(question)
    called = await call.until("response.function_call_arguments.done", updated)
    done = await call.until("response.done", called)
    output = {
        "type": "function_call_output",
        "call_id": call.events[called]["call_id"],
        "output": '{"state": "shipped"}',
    }
    call.send(type="conversation.item.create", item=output)
    call.send(type="response.create")
    await call.until("output_audio_buffer.stopped", done)

    location = answered.headers["location"]
    call_id = location.rsplit("/", 1)[-1]
    hung_up = await asyncio.to_thread(name_of_error, lambda: page.realtime.calls.hangup(call_id))
    again = await asyncio.to_thread(name_of_error, lambda: page.realtime.calls.hangup(call_id))
    await call.connection.close()
    for task in call.listening:
        task.cancel()
    sound = numpy.concatenate(call.frames) if call.frames else numpy.zeros(0, dtype="<i2")
    with open(heard, "wb") as file:
        file.write(sound.astype("<i2").tobytes())
    return {
        "status": answered.status_code,
        "location": location,
        "refused": refused,
        "events": call.events,
        "hung_up": hung_up is None,
        "again": again,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:5]))))
