"""Calls over WebRTC with another implementation of it (aiortc): says a file, and keeps what it hears.

usage: aiortc_client.py URL SAID HEARD   ·   SAID and HEARD are WAV files, mono, 48 kHz, 16 bits
prints what happened as one JSON object
"""

import asyncio
import fractions
import json
import sys
import time
import urllib.request
import wave

import av
import numpy
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

RATE_HZ = 48_000
FRAME = 960
AFTERWARDS_S = 1.0


class Voice(AudioStreamTrack):
    """A file in real time, then silence."""

    def __init__(self, samples):
        super().__init__()
        self.samples, self.said, self.began = samples, 0, None
        self.is_over = asyncio.Event()

    async def recv(self):
        self.began = self.began or time.monotonic()
        await asyncio.sleep(max(0.0, self.began + self.said / RATE_HZ - time.monotonic()))
        piece = self.samples[self.said : self.said + FRAME]
        piece = numpy.pad(piece, (0, FRAME - len(piece)))
        # Two channels of the same: of one it would make two that are 3 dB quieter.
        frame = av.AudioFrame.from_ndarray(numpy.repeat(piece, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self.said, fractions.Fraction(1, RATE_HZ)
        self.said += FRAME
        if self.said >= len(self.samples) + AFTERWARDS_S * RATE_HZ:
            self.is_over.set()
        return frame


def post(url, offer):
    request = urllib.request.Request(url, offer.encode(), {"Content-Type": "application/sdp"}, method="POST")
    with urllib.request.urlopen(request) as response:
        return response.status, dict(response.headers), response.read().decode()


async def main(url, said, heard):
    with wave.open(said) as file:
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype=numpy.int16)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    voice, texts, frames, states = Voice(samples), [], [], []
    connection.addTrack(voice)
    channel = connection.createDataChannel("events")
    channel.on("message", texts.append)
    connection.on("connectionstatechange", lambda: states.append(connection.connectionState))

    async def listen(track):
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        try:
            while True:
                for frame in resampler.resample(await track.recv()):
                    frames.append(frame.to_ndarray().reshape(-1))
        except Exception:
            # The track's end is an exception without a name of its own.
            pass

    listening = []
    connection.on("track", lambda track: listening.append(asyncio.ensure_future(listen(track))))
    await connection.setLocalDescription(await connection.createOffer())
    status, headers, answer = await asyncio.to_thread(post, url, connection.localDescription.sdp)
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait_for(voice.is_over.wait(), timeout=60)
    stats = [stat for stat in (await connection.getStats()).values() if stat.type == "remote-inbound-rtp"]
    await connection.close()
    for task in listening:
        task.cancel()
    sound = numpy.concatenate(frames) if frames else numpy.zeros(0, dtype=numpy.int16)
    with wave.open(heard, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(sound.astype(numpy.int16).tobytes())
    return {
        "status": status,
        "location": headers.get("Location", headers.get("location")),
        "states": states,
        "heard_s": len(sound) / RATE_HZ,
        "texts": [json.loads(text) for text in texts],
        "reports": len(stats),
        "lost": sum(stat.packetsLost for stat in stats),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
