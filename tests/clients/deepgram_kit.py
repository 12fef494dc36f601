"""What the scripts of the Deepgram SDK share: a client of a server here, and recordings."""

import wave

from deepgram import DeepgramClient
from deepgram.environment import DeepgramClientEnvironment

IN_HZ = 16000


def client(url, key):
    sockets = url.replace("http://", "ws://")
    environment = DeepgramClientEnvironment(base=url, production=sockets, agent=sockets, agent_rest=url)
    return DeepgramClient(api_key=key, environment=environment)


def read_16k(path):
    """The bytes of the samples of a recording: 16 kHz 16-bit mono, as a WAV file or bare samples."""
    if not path.endswith(".wav"):
        with open(path, "rb") as file:
            return file.read()
    with wave.open(path) as file:
        form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
        assert form == (IN_HZ, 2, 1), form
        return file.readframes(file.getnframes())
