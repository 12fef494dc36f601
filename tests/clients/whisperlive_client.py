"""Drives a server with WhisperLive's own, unmodified client; prints what it received as one JSON object.

usage: whisperlive_client.py HOST PORT FILE

The client knows no paths and no keys: the path rides on the port, which it pastes into its URL.
"""

import contextlib
import json
import sys
import time
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "absent"))

from whisper_live.client import StreamingTranscriptionClient

PIECE_S = 0.25


def main(host, port, path):
    with wave.open(path) as file:
        rate, audio = file.getframerate(), file.readframes(file.getnframes())
    assert rate == 16000, rate
    partials, committed = [], []
    client = StreamingTranscriptionClient(
        host,
        f"{port}/whisperlive",
        model="small",
        on_partial_transcript=lambda text, _: partials.append(text),
        on_committed_transcript=lambda text, _: committed.append(text),
    )
    with client:
        size = int(rate * PIECE_S) * 2
        for offset in range(0, len(audio), size):
            client.send(audio[offset : offset + size], pcm_format="int16")
            time.sleep(PIECE_S)
    return {
        "committed": " ".join(committed),
        "partials": partials,
        "segments": client.transcript,
        "language": client._client.language,
        "backend": client._client.server_backend,
        "open": client._client.recording,
    }


if __name__ == "__main__":
    # The client reports to standard output, which is the test's.
    with contextlib.redirect_stdout(sys.stderr):
        report = main(*sys.argv[1:])
    print(json.dumps(report))
