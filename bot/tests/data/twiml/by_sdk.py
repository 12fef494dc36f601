"""Writes what the vendor's library builds and signs: `pip install twilio`, then `python by_sdk.py` in this folder.

`by_sdk.tsv`   name <TAB> document
`signed.tsv`   token <TAB> address <TAB> form (a=1&b=2) <TAB> signature
"""
import urllib.parse

from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import (
    Connect, Dial, Enqueue, Gather, Number, Refer, Say, Start, Stop, Stream, VoiceResponse,
)


def speech():
    response = VoiceResponse()
    say = Say("Guten Tag. ", voice="Polly.Vicki", language="de-DE", loop=2)
    say.break_(strength="x-weak", time="100ms")
    say.emphasis("Heute", level="strong")
    say.lang("Good morning", xml_lang="en-GB")
    say.p("Ein Absatz.")
    say.phoneme("pecan", alphabet="ipa", ph="pɪˈkɑːn")
    say.prosody("langsam", rate="slow", pitch="-10%", volume="+6dB")
    say.s("Ein Satz.")
    say.say_as("12.03.2026", interpret_as="date")
    say.sub("z. B.", alias="zum Beispiel")
    say.w("read", role="amazon:VB")
    response.append(say)
    return response


def plays():
    response = VoiceResponse()
    response.play("https://app.test/hello.mp3", loop=10)
    response.play("", digits="ww1234#")
    response.pause(length=3)
    return response


def gather():
    response = VoiceResponse()
    gather = Gather(
        input="dtmf speech", action="/menu", method="POST", timeout=7, speech_timeout="auto", max_speech_time=20,
        profanity_filter=False, finish_on_key="*", num_digits=4, partial_result_callback="/live",
        partial_result_callback_method="GET", language="de-DE", hints="Termin, Rechnung", barge_in=False, debug=True,
        action_on_empty_result=True, speech_model="phone_call", enhanced=True,
    )
    gather.say("Bitte wählen Sie.", language="de-DE")
    gather.pause(length=1)
    gather.play("hold.mp3")
    response.append(gather)
    response.say("Tschüss & auf Wiederhören!")
    response.redirect("/voice?again=1&x=2", method="GET")
    return response


def record():
    response = VoiceResponse()
    response.record(
        action="/done", method="GET", timeout=10, finish_on_key="#", max_length=120, play_beep=False,
        trim="do-not-trim", recording_status_callback="/file", recording_status_callback_method="POST",
        recording_status_callback_event="in-progress completed absent", transcribe=True, transcribe_callback="/text",
    )
    response.hangup()
    return response


def dial():
    response = VoiceResponse()
    dial = Dial(
        action="/after", method="POST", timeout=20, hangup_on_star=True, time_limit=600, caller_id="+4930123456",
        record="record-from-answer-dual", trim="trim-silence", recording_status_callback="/file",
        answer_on_bridge=True, ring_tone="de", sequential=True, refer_url="/refer", refer_method="POST",
    )
    dial.number(
        "+4930222", send_digits="wwww1928", url="/screen", method="GET", status_callback="/leg",
        status_callback_event="initiated ringing answered completed", machine_detection="DetectMessageEnd",
        machine_detection_timeout=20, amd_status_callback="/amd",
    )
    dial.sip("sip:office@pbx.test?x-order=17", username="me", password="secret", url="/screen")
    client = dial.client("", status_callback="/leg")
    client.identity("alice")
    client.parameter(name="order", value="17")
    response.append(dial)
    return response


def dial_plain():
    response = VoiceResponse()
    response.dial("+49 30 123-456")
    return response


def conference():
    response = VoiceResponse()
    dial = Dial()
    dial.conference(
        "standup", muted=True, beep="onEnter", start_conference_on_enter=False, end_conference_on_exit=True,
        wait_url="/music", wait_method="GET", max_participants=10, record="record-from-start", trim="trim-silence",
        coach="CA0123", status_callback="/conference",
        status_callback_event="start end join leave mute hold modify speaker announcement",
        participant_label="boss", jitter_buffer_size="small", region="de1",
    )
    response.append(dial)
    return response


def queues():
    response = VoiceResponse()
    response.enqueue("support", action="/dequeued", wait_url="/wait", wait_url_method="GET", max_queue_size=5)
    dial = Dial()
    dial.queue("support", url="/about", method="POST")
    response.append(dial)
    response.leave()
    return response


def streams():
    response = VoiceResponse()
    start = Start()
    start.stream(name="tap", url="wss://bot.test/listen", track="both_tracks", status_callback="/stream")
    start.transcription(
        name="words", track="both_tracks", status_callback_url="/text", inbound_track_label="caller",
        outbound_track_label="agent", partial_results=True, language_code="de-DE", transcription_engine="google",
        profanity_filter=True, speech_model="telephony", hints="Termin", enable_automatic_punctuation=True,
    )
    start.recording(recording_status_callback="/file", channels="dual", track="both", trim="trim-silence")
    response.append(start)
    stop = Stop()
    stop.stream(name="tap")
    stop.transcription(name="words")
    response.append(stop)
    connect = Connect(action="/after")
    stream = Stream(url="wss://bot.test/talk", name="agent")
    stream.parameter(name="order", value="17")
    connect.append(stream)
    response.append(connect)
    return response


def others():
    response = VoiceResponse()
    refer = Refer(action="/after")
    refer.sip("sip:boss@pbx.test")
    response.append(refer)
    response.reject(reason="busy")
    response.say("")
    return response


def relay():
    response = VoiceResponse()
    connect = Connect()
    relay = connect.conversation_relay(url="wss://bot.test/relay", welcome_greeting="Hi!")
    relay.language(code="de-DE", voice="Vicki")
    response.append(connect)
    return response


DOCUMENTS = [
    speech, plays, gather, record, dial, dial_plain, conference, queues, streams, others, relay,
]


class Several(dict):
    """A form in which names repeat, as web frameworks give it to the validator."""

    def getlist(self, name):
        value = self[name]
        return value if isinstance(value, list) else [value]


TOKEN = "0123456789abcdef0123456789abcdef"
SIGNED = [
    ("https://app.test/voice", {"CallSid": "CA0123", "From": "+4930111", "To": "+4930222", "Digits": "12#*"}),
    ("https://app.test/voice?a=1&b=ä%20ö", {"SpeechResult": "Guten Tag, ich möchte einen Termin.", "Confidence": "0.9"}),
    ("http://app.test:8000/x", {"b": "2", "a": "1", "B": "3", "_": ""}),
    ("https://app.test:443/x", {"a": ["2", "1", "2"]}),
    ("https://app.test/voice?CallSid=CA0123&Digits=1", {}),
    ("wss://app.test/media", {}),
]


def main():
    with open("by_sdk.tsv", "w", encoding="utf-8") as out:
        for document in DOCUMENTS:
            out.write(f"{document.__name__}\t{document()}\n")
    validator = RequestValidator(TOKEN)
    with open("signed.tsv", "w", encoding="utf-8") as out:
        for address, params in SIGNED:
            signature = validator.compute_signature(address, Several(params))
            form = urllib.parse.urlencode(params, doseq=True)
            out.write(f"{TOKEN}\t{address}\t{form}\t{signature}\n")


if __name__ == "__main__":
    main()
