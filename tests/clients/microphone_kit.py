"""A microphone for the scripts that talk: what the SDK of a vendor sends is handed to it as a function."""

import threading
import time

PIECE_S = 0.02

# The longest that anything is waited for.
PATIENCE_S = 20


class Microphone:
    """Sends what is said in pieces of 20 ms as the seconds pass, and silence when nothing is; samples of 16 bits."""

    def __init__(self, send, rate_hz, errors):
        self.send, self.rate_hz, self.errors = send, rate_hz, errors
        self.piece_bytes = int(rate_hz * PIECE_S) * 2
        self.lock, self.says = threading.Lock(), b""
        self.silent, self.stopped = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        began, count = time.monotonic(), 0
        while not self.stopped.wait(max(0.0, began + count * PIECE_S - time.monotonic())):
            with self.lock:
                piece, self.says = self.says[: self.piece_bytes], self.says[self.piece_bytes :]
                if not self.says:
                    self.silent.set()
            try:
                self.send(piece.ljust(self.piece_bytes, b"\0"))
            except Exception as error:
                self.errors.append(error)
                return
            count += 1

    def say(self, audio):
        with self.lock:
            self.says += audio
            self.silent.clear()
        if not self.silent.wait(len(audio) / (2 * self.rate_hz) + PATIENCE_S):
            raise TimeoutError(f"the recording was not sent: {self.errors}")

    def stop(self):
        self.stopped.set()
        self.thread.join(timeout=PATIENCE_S)
