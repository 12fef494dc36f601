"""Has two recordings heard as turns through the unmodified Deepgram SDK; prints what it received as one JSON object.

usage: deepgram_turns.py URL KEY FIRST SECOND

The recordings are 16 kHz 16-bit mono, as WAV files or bare samples. They are sent one after the other as the seconds
pass, with 4 s of silence behind each. Every message is told with its class and the seconds since the stream began.
"""

import json
import sys
import threading
import time

from deepgram.core.events import EventType
from deepgram_kit import IN_HZ, client, read_16k

PIECE_S = 0.08
PIECE_BYTES = int(IN_HZ * PIECE_S) * 2
SILENCE_S = 4

# The longest that the end is waited for.
PATIENCE_S = 20


class Stream:
    """Sends audio like a microphone and keeps every message of a connection."""

    def __init__(self, connection):
        self.connection = connection
        self.messages, self.errors = [], []
        self.closed, self.sent, self.began = threading.Event(), 0, time.monotonic()
        connection.on(EventType.MESSAGE, self.take)
        connection.on(EventType.ERROR, self.errors.append)
        connection.on(EventType.CLOSE, lambda _: self.closed.set())
        self.listener = threading.Thread(target=connection.start_listening, daemon=True)
        self.listener.start()

    def take(self, message):
        # The SDK makes nothing of a message that it does not know.
        fields = message.dict() if hasattr(message, "dict") else {}
        told = {"class": type(message).__name__, "at_s": time.monotonic() - self.began}
        self.messages.append({**fields, **told})

    def send(self, audio):
        """Sends it in pieces as the seconds pass; the last is filled up with silence."""
        for offset in range(0, len(audio), PIECE_BYTES):
            if self.closed.wait(max(0.0, self.began + self.sent * PIECE_S - time.monotonic())):
                raise ConnectionError(f"closed after {self.messages[-1:]}, errors: {self.errors}")
            self.connection.send_media(audio[offset : offset + PIECE_BYTES].ljust(PIECE_BYTES, b"\0"))
            self.sent += 1

    def close(self):
        self.connection.send_close_stream()
        self.listener.join(timeout=PATIENCE_S)
        if self.listener.is_alive():
            raise TimeoutError(f"still open after {self.messages[-1:]}, errors: {self.errors}")
        frame = self.connection._websocket.protocol.close_rcvd
        return frame.code if frame else None


def main(url, key, first, second):
    first, second, silence = read_16k(first), read_16k(second), bytes(2 * IN_HZ * SILENCE_S)
    options = {
        "model": "flux-general-en",
        "encoding": "linear16",
        "sample_rate": str(IN_HZ),
        "eager_eot_threshold": 0.4,
        "eot_threshold": 0.7,
    }
    with client(url, key).listen.v2.connect(**options) as connection:
        stream = Stream(connection)
        stream.send(first)
        stream.send(silence)
        second_s = stream.sent * PIECE_S
        stream.send(second)
        stream.send(silence)
        code = stream.close()
    return {
        "messages": stream.messages,
        "second_s": second_s,
        "close": code,
        "errors": [str(error) for error in stream.errors],
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:5]), default=str))
