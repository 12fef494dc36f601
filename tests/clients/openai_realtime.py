"""Talks with an agent through the unmodified OpenAI SDK; prints what it received as one JSON object.

usage: openai_realtime.py URL KEY SCENARIO QUESTION OUT

SCENARIO is `talk` or `secret`. QUESTION is a recording, 16 kHz 16-bit mono, as a WAV file. What the agent says is written
to OUT as bare samples, 24 kHz 16-bit mono; each event is told with the bytes of sound that had come before it.
"""

import base64
import json
import sys
import threading
import time
import wave

import numpy
from microphone_kit import PATIENCE_S, Microphone
from openai import OpenAI
from scipy.signal import resample_poly

HZ = 24000

# What is appended at once where nobody speaks as the seconds pass: four seconds.
LUMP_BYTES = HZ * 2 * 4

SESSION = {
    "type": "realtime",
    "instructions": "You are a clerk of a shop.",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": HZ},
            "transcription": {"model": "whisper-1", "language": "en"},
            "turn_detection": {"type": "semantic_vad"},
        },
        "output": {"format": {"type": "audio/pcm", "rate": HZ}, "voice": "alloy"},
    },
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
    "tool_choice": "auto",
}


def read_24k(path):
    with wave.open(path) as file:
        form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
        assert form == (16000, 2, 1), form
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    louder = resample_poly(samples.astype("float64"), 3, 2)
    return numpy.clip(louder, -32768, 32767).astype("<i2").tobytes()


class Conversation:
    """Keeps every event and all sound of a connection."""

    def __init__(self, connection, file):
        self.connection, self.file = connection, file
        self.events, self.errors = [], []
        self.bytes = 0
        self.is_closed, self.began = False, time.monotonic()
        self.news = threading.Condition()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        try:
            for event in self.connection:
                self.take(event)
        except Exception as error:
            self.errors.append(error)
        with self.news:
            self.is_closed = True
            self.news.notify_all()

    def take(self, event):
        fields = event if isinstance(event, dict) else event.to_dict()
        with self.news:
            told = {**fields, "class": type(event).__name__, "at_s": time.monotonic() - self.began}
            if fields["type"] == "response.output_audio.delta":
                sound = base64.b64decode(told.pop("delta"))
                self.file.write(sound)
                self.bytes += len(sound)
            self.events.append({**told, "bytes": self.bytes})
            self.news.notify_all()

    def wait_for(self, what, since, is_it):
        """Where the first event is that it is, from `since` on."""

        def found():
            return next((at for at in range(since, len(self.events)) if is_it(self.events[at])), None)

        with self.news:
            self.news.wait_for(lambda: found() is not None or self.is_closed, timeout=PATIENCE_S)
            at = found()
            if at is None:
                types = [event["type"] for event in self.events if event["type"] != "response.output_audio.delta"]
                state = "closed" if self.is_closed else "open"
                raise TimeoutError(
                    f"{what} did not come; there came {types} and {self.bytes} bytes of sound, the last was "
                    f"{self.events[-1:]}, the connection is {state}, errors: {self.errors}"
                )
            return at

    def wait_for_type(self, kind, since):
        return self.wait_for(kind, since, lambda event: event["type"] == kind)

    def now(self):
        with self.news:
            return len(self.events)


def append(connection, audio):
    connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())


def write(connection, text):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    connection.conversation.item.create(item=item)


def talk(connection, conversation, question):
    created = conversation.wait_for_type("session.created", 0)
    connection.session.update(session=SESSION)
    updated = conversation.wait_for_type("session.updated", created)
    connection.send_raw("nonsense")
    conversation.wait_for_type("error", updated)

    microphone = Microphone(lambda piece: append(connection, piece), HZ, conversation.errors)
    try:
        microphone.say(question)
        called = conversation.wait_for_type("response.function_call_arguments.done", updated)
        done = conversation.wait_for_type("response.done", called)
        output = {
            "type": "function_call_output",
            "call_id": conversation.events[called]["call_id"],
            "output": '{"state": "shipped"}',
        }
        connection.conversation.item.create(item=output)
        connection.response.create()
        done = conversation.wait_for_type("response.done", done + 1)
    finally:
        microphone.stop()

    write(connection, "Do you open on Sundays?")
    connection.response.create(response={"output_modalities": ["text"]})
    done = conversation.wait_for_type("response.done", done + 1)

    write(connection, "Tell me a story.")
    connection.response.create()
    began, heard = conversation.wait_for_type("response.output_audio.delta", done + 1), conversation.bytes
    item_id = conversation.events[began]["item_id"]
    # A second and a half of it.
    conversation.wait_for("the story", began, lambda event: event["bytes"] > heard + 3 * HZ)
    connection.response.cancel()
    done = conversation.wait_for_type("response.done", began)
    connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=500)
    conversation.wait_for_type("conversation.item.truncated", done)
    connection.conversation.item.retrieve(item_id=item_id)
    conversation.wait_for_type("conversation.item.retrieved", done)

    connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    conversation.wait_for_type("session.updated", done)
    write(connection, "Manually:")
    for at in range(0, len(question), LUMP_BYTES):
        append(connection, question[at : at + LUMP_BYTES])
    connection.input_audio_buffer.commit()
    connection.response.create()
    conversation.wait_for_type("response.done", done + 1)


def secret(client, file, question):
    """A client that has no key of its own writes down what is said."""
    session = {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1", "language": "en"}}},
    }
    made = client.realtime.client_secrets.create(
        session=session, expires_after={"anchor": "created_at", "seconds": 60}
    )
    page = OpenAI(api_key=made.value, base_url=str(client.base_url), max_retries=0)
    with page.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        conversation = Conversation(connection, file)
        created = conversation.wait_for_type("session.created", 0)
        microphone = Microphone(lambda piece: append(connection, piece), HZ, conversation.errors)
        try:
            microphone.say(question)
            conversation.wait_for_type("conversation.item.input_audio_transcription.completed", created)
        finally:
            microphone.stop()
        report = tell(conversation)
    conversation.listener.join(timeout=PATIENCE_S)
    refused = None
    try:
        page.models.list()
    except Exception as error:
        refused = type(error).__name__
    return {**report, "secret": made.to_dict(), "refused": refused}


def tell(conversation):
    with conversation.news:
        return {
            "events": [event for event in conversation.events if event["type"] != "response.output_audio.delta"],
            "bytes": conversation.bytes,
            "errors": [str(error) for error in conversation.errors],
        }


def main(url, key, scenario, question, out):
    question = read_24k(question)
    client = OpenAI(api_key=key, base_url=url + "/v1", max_retries=0, timeout=60)
    with open(out, "wb") as file:
        if scenario == "secret":
            return secret(client, file, question)
        with client.realtime.connect(model="gpt-realtime") as connection:
            conversation = Conversation(connection, file)
            talk(connection, conversation, question)
            report = tell(conversation)
        # The file stays open until nothing writes to it any more.
        conversation.listener.join(timeout=PATIENCE_S)
    return report


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:6]), default=str))
