"""Stands in for PyAudio, which WhisperLive's client imports for microphones; these tests have none."""

paInt16 = 8


class PyAudio:
    def __init__(self):
        raise OSError("there is no microphone here")
