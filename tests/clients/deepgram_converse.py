"""Talks with a voice agent through the unmodified Deepgram SDK; prints what it received as one JSON object.

usage: deepgram_converse.py URL KEY QUESTION OUT

QUESTION is a recording, 16 kHz 16-bit mono, as a WAV file or bare samples. What the agent says is written to OUT as
bare samples, 24 kHz 16-bit mono; each message is told with the bytes of sound that had come before it.
"""

import json
import sys
import threading
import time

from deepgram.agent.v1.types import (
    AgentV1InjectAgentMessage,
    AgentV1InjectUserMessage,
    AgentV1SendFunctionCallResponse,
    AgentV1Settings,
    AgentV1UpdatePrompt,
)
from deepgram.core.events import EventType
from deepgram_kit import IN_HZ, client, read_16k
from microphone_kit import PATIENCE_S, Microphone

OUT_HZ = 24000

SETTINGS = AgentV1Settings(
    audio={
        "input": {"encoding": "linear16", "sample_rate": IN_HZ},
        "output": {"encoding": "linear16", "sample_rate": OUT_HZ},
    },
    agent={
        "language": "en",
        "greeting": "Hello, how can I help you?",
        "listen": {"provider": {"type": "deepgram", "model": "nova-3"}},
        "think": {
            "provider": {"type": "open_ai", "model": "scripted"},
            "prompt": "You are a clerk of a shop.",
            "functions": [
                {
                    "name": "look_up_order",
                    "description": "Says what became of an order.",
                    "parameters": {
                        "type": "object",
                        "properties": {"number": {"type": "string"}},
                        "required": ["number"],
                    },
                }
            ],
        },
        "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
    },
)


class Conversation:
    """Keeps every message and all sound of a connection."""

    def __init__(self, connection, file):
        self.connection, self.file = connection, file
        self.messages, self.errors = [], []
        self.bytes, self.pieces = 0, set()
        self.is_closed, self.began = False, time.monotonic()
        self.news = threading.Condition()
        connection.on(EventType.MESSAGE, self.take)
        connection.on(EventType.ERROR, self.errors.append)
        connection.on(EventType.CLOSE, self.end)
        self.listener = threading.Thread(target=connection.start_listening, daemon=True)
        self.listener.start()

    def take(self, message):
        with self.news:
            if isinstance(message, bytes):
                self.file.write(message)
                self.bytes += len(message)
                self.pieces.add(len(message))
            else:
                fields = message if isinstance(message, dict) else message.dict()
                at_s = time.monotonic() - self.began
                told = {"class": type(message).__name__, "bytes": self.bytes, "at_s": at_s}
                self.messages.append({**fields, **told})
            self.news.notify_all()

    def end(self, _):
        with self.news:
            self.is_closed = True
            self.news.notify_all()

    def wait_for(self, what, since, **fields):
        """Where the first message with these fields is, from `since` on."""

        def found():
            for index in range(since, len(self.messages)):
                if all(self.messages[index].get(name) == value for name, value in fields.items()):
                    return index
            return None

        with self.news:
            self.news.wait_for(lambda: found() is not None or self.is_closed, timeout=PATIENCE_S)
            index = found()
            if index is None:
                types = [message.get("type") for message in self.messages]
                state = "closed" if self.is_closed else "open"
                last = self.messages[-1:]
                raise TimeoutError(
                    f"{what} did not come; there came {types} and {self.bytes} bytes of sound, the last was {last}, "
                    f"the connection is {state}, errors: {self.errors}"
                )
            return index

    def wait_for_words(self, what, since):
        """Where the agent has said something, from `since` on."""
        text = self.wait_for(f"the text of {what}", since, type="ConversationText", role="assistant")
        return self.wait_for(f"the end of {what}", text, type="AgentAudioDone")

    def now(self):
        with self.news:
            return len(self.messages)


def talk(connection, conversation, question):
    conversation.wait_for("Welcome", 0, type="Welcome")
    connection.send_settings(SETTINGS)
    applied = conversation.wait_for("SettingsApplied", 0, type="SettingsApplied")
    microphone = Microphone(connection.send_media, IN_HZ, conversation.errors)
    try:
        greeted = conversation.wait_for_words("the greeting", applied)

        microphone.say(question)
        asked = conversation.wait_for("FunctionCallRequest", greeted, type="FunctionCallRequest")
        for function in conversation.messages[asked]["functions"]:
            answer = AgentV1SendFunctionCallResponse(
                id=function["id"], name=function["name"], content='{"state": "shipped"}'
            )
            connection.send_function_call_response(answer)
        conversation.wait_for_words("the answer after the function", asked)

        since = conversation.now()
        connection.send_inject_user_message(AgentV1InjectUserMessage(content="Do you open on Sundays?"))
        conversation.wait_for_words("the answer to the written question", since)

        since = conversation.now()
        connection.send_inject_agent_message(AgentV1InjectAgentMessage(message="One last thing."))
        conversation.wait_for_words("the written words", since)

        since = conversation.now()
        connection.send_update_prompt(AgentV1UpdatePrompt(prompt="You are a clerk who is about to go home."))
        conversation.wait_for("PromptUpdated", since, type="PromptUpdated")
    finally:
        microphone.stop()


def main(url, key, question, out):
    question = read_16k(question)
    with open(out, "wb") as file:
        with client(url, key).agent.v1.connect() as connection:
            conversation = Conversation(connection, file)
            talk(connection, conversation, question)
            with conversation.news:
                report = {
                    "messages": list(conversation.messages),
                    "bytes": conversation.bytes,
                    "pieces": sorted(conversation.pieces),
                    "errors": [str(error) for error in conversation.errors],
                }
        # The file stays open until nothing writes to it any more.
        conversation.listener.join(timeout=PATIENCE_S)
    return report


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:5]), default=str))
