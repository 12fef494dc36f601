"""Scenarios of Twilio's Python SDK, unmodified, against a running server.

Usage: twilio_client.py BASE_URL ACCOUNT_SID AUTH_TOKEN SCENARIO [JSON]. Prints one JSON report; the Rust test judges it.
The SDK is pointed at the server by the one URL of its API domain; nothing else of it is touched.
"""

import json
import sys

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.voice_response import Connect, Dial, Gather, Start, VoiceResponse

BASE_URL, ACCOUNT, TOKEN, SCENARIO = sys.argv[1:5]
GIVEN = json.loads(sys.argv[5]) if len(sys.argv) > 5 else {}


def client(token=TOKEN):
    twilio = Client(ACCOUNT, token)
    twilio.api.base_url = BASE_URL
    return twilio


def refused(act):
    """What the SDK makes of a refusal."""
    try:
        act()
    except TwilioRestException as refusal:
        return {"status": refusal.status, "code": refusal.code, "message": refusal.msg}
    except TwilioException as refusal:
        # Lists give the response as it came.
        response = refusal.args[1]
        body = json.loads(response.text)
        return {"status": response.status_code, "code": body["code"], "message": body["message"]}
    return None


def shown(call):
    return {
        "sid": call.sid,
        "to": call.to,
        "from": call._from,
        "status": call.status,
        "direction": call.direction,
        "duration": call.duration,
        "date_created": call.date_created.isoformat() if call.date_created else None,
        "uri": call.uri,
    }


def validate():
    """Whether the SDK's validator takes each of the signatures that the server's own code made."""
    validator = RequestValidator(TOKEN)
    return [validator.validate(one["url"], one["params"], one["signature"]) for one in GIVEN]


def account():
    fetched = client().api.accounts(ACCOUNT).fetch()
    return {"sid": fetched.sid, "status": fetched.status, "uri": fetched.uri}


def refusals():
    """What the server refuses whether or not its telephone is on."""
    twilio = client()
    return {
        "wrong_token": refused(lambda: client("wrong").calls.list(limit=1)),
        "no_url": refused(lambda: twilio.calls.create(to="+15005550006", from_="+15005550001")),
        "bad_url": refused(lambda: twilio.calls.create(to="+15005550006", from_="+15005550001", url="nonsense")),
        "no_such_thing": refused(lambda: twilio.calls("CA123").fetch()),
        "bad_page": refused(lambda: twilio.calls.list(limit=1, page_size=5000)),
        "mp3": twilio.http_client.request(
            "GET", f"{BASE_URL}/2010-04-01/Accounts/{ACCOUNT}/Recordings/RE{'0' * 32}.mp3", auth=(ACCOUNT, TOKEN)
        ).status_code,
    }


def off():
    """What every resource answers while the telephone is off."""
    twilio = client()
    call, conference, queue = "CA" + "0" * 32, "CF" + "0" * 32, "QU" + "0" * 32
    acts = {
        "calls": lambda: twilio.calls.list(limit=1),
        "create": lambda: twilio.calls.create(to="+15005550006", from_="+15005550001", twiml="<Response/>"),
        "recordings": lambda: twilio.recordings.list(limit=1),
        "conferences": lambda: twilio.conferences.list(limit=1),
        "participants": lambda: twilio.conferences(conference).participants.list(limit=1),
        "queues": lambda: twilio.queues.list(limit=1),
        "members": lambda: twilio.queues(queue).members.list(limit=1),
        "streams": lambda: twilio.calls(call).streams.create(url="wss://bot.example/media"),
        "transcriptions": lambda: twilio.transcriptions.list(limit=1),
    }
    return {name: refused(act) for name, act in acts.items()}


def drive():
    """Places a call, sees it in the lists, changes what it does, and ends it.

    Given: to, from, url or twiml; second_twiml for the change. It is ended once somebody has taken it.
    """
    twilio = client()
    instructions = {key: GIVEN[key] for key in ("url", "twiml") if key in GIVEN}
    placed = twilio.calls.create(to=GIVEN["to"], from_=GIVEN["from"], **instructions)
    fetched = twilio.calls(placed.sid).fetch()
    listed = [call.sid for call in twilio.calls.list(to=GIVEN["to"], limit=20)]
    report = {"placed": shown(placed), "fetched": shown(fetched), "is_listed": placed.sid in listed}
    if "second_twiml" in GIVEN:
        report["changed"] = shown(twilio.calls(placed.sid).update(twiml=GIVEN["second_twiml"]))
    for _ in range(1_000):
        report["taken"] = shown(twilio.calls(placed.sid).fetch())
        if report["taken"]["status"] not in ("queued", "ringing"):
            break
    report["ended"] = shown(twilio.calls(placed.sid).update(status="completed"))
    report["again"] = shown(twilio.calls(placed.sid).fetch())
    return report


def confer():
    """Announces something to a conference, lets one of it coach another, and holds them.

    Given: conference, call, coached, announce and hold.
    """
    conference = client().conferences(GIVEN["conference"])
    announced = conference.update(announce_url=GIVEN["announce"])
    coach = conference.participants(GIVEN["call"])
    coaching = coach.update(coaching=True, call_sid_to_coach=GIVEN["coached"])
    held = coach.update(coaching=False, hold=True, hold_url=GIVEN["hold"])
    return {
        "status": announced.status,
        "coaching": [coaching.coaching, coaching.call_sid_to_coach],
        "held": [held.hold, held.coaching, held.call_sid_to_coach],
    }


def pages():
    """Every call, two on a page, as the SDK walks through them."""
    return [call.sid for call in client().calls.list(page_size=2)]


def voice_response():
    """Documents as the SDK writes them, for the interpreter to read."""
    menu = VoiceResponse()
    gather = Gather(input="dtmf speech", action="/menu", num_digits=1, timeout=5, language="de-DE", hints="Termin, Öffnungszeiten")
    gather.say("Guten Tag. Für Termine drücken Sie die 1 & für Öffnungszeiten die 2.", language="de-DE", voice="alice")
    menu.append(gather)
    menu.redirect("/voice", method="POST")

    transfer = VoiceResponse()
    dial = Dial(action="/after", timeout=20, record="record-from-answer-dual", caller_id="+15005550001", answer_on_bridge=True)
    dial.number("+15005550006", status_callback="/status", status_callback_event="initiated ringing answered completed")
    dial.sip("sip:ada@example.org", username="ada", password="hush")
    transfer.append(dial)
    transfer.hangup()

    voicemail = VoiceResponse()
    voicemail.say("Please leave a message after the beep.")
    voicemail.record(action="/recorded", max_length=60, finish_on_key="#", play_beep=True, transcribe=True, transcribe_callback="/words")

    conference = VoiceResponse()
    room = Dial()
    room.conference("sales", start_conference_on_enter=True, end_conference_on_exit=False, wait_url="/wait", beep="onEnter")
    conference.append(room)

    queue = VoiceResponse()
    queue.enqueue("support", wait_url="/hold")
    queue.leave()

    bot = VoiceResponse()
    connect = Connect(action="/bot-done")
    stream = connect.stream(url="wss://bot.example/media", name="bot")
    stream.parameter(name="FirstName", value="Ada")
    bot.append(connect)

    ears = VoiceResponse()
    start = Start()
    start.stream(url="wss://bot.example/ears", track="both_tracks", name="ears")
    start.transcription(language_code="de-DE", status_callback_url="/words")
    ears.append(start)
    ears.pause(length=10)

    speech = VoiceResponse()
    say = speech.say("", voice="Polly.Vicki")
    say.break_(strength="weak", time="500ms")
    say.emphasis("wirklich", level="strong")
    say.prosody("langsam", rate="slow")
    say.say_as("123", interpret_as="digits")

    documents = {
        "menu": menu, "transfer": transfer, "voicemail": voicemail, "conference": conference,
        "queue": queue, "bot": bot, "ears": ears, "speech": speech,
    }
    return {name: str(document) for name, document in documents.items()}


print(json.dumps(globals()[SCENARIO]()))
