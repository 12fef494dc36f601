"""A small web application of the kind in Twilio's documentation: a menu, a transfer, voicemail.

Usage: twilio_app.py PORT AUTH_TOKEN. Every request must carry a valid signature, or it is refused with 403. `GET /log`
shows what came, as JSON. Prints `ready` when it listens.
"""

import functools
import logging
import sys

from flask import Flask, abort, jsonify, request, session
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Gather, VoiceResponse
from werkzeug.serving import make_server

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]

app = Flask(__name__)
app.secret_key = "only for the session's cookie"
log = []


def validate_twilio_request(handler):
    """Lets in what Twilio signed, as its documentation has it."""

    @functools.wraps(handler)
    def decorated(*args, **kwargs):
        validator = RequestValidator(TOKEN)
        is_genuine = validator.validate(request.url, request.form, request.headers.get("X-Twilio-Signature", ""))
        log.append({"path": request.full_path.rstrip("?"), "method": request.method, "is_genuine": is_genuine, "params": request.values.to_dict()})
        return handler(*args, **kwargs) if is_genuine else abort(403)

    return decorated


@app.route("/voice", methods=["GET", "POST"])
@validate_twilio_request
def voice():
    session["visits"] = session.get("visits", 0) + 1
    response = VoiceResponse()
    gather = Gather(num_digits=1, action="/gather", timeout=5)
    gather.say("For sales, press 1. For support, press 2.")
    response.append(gather)
    response.redirect("/voice")
    return str(response)


@app.route("/gather", methods=["GET", "POST"])
@validate_twilio_request
def gather():
    session["visits"] = session.get("visits", 0) + 1
    log[-1]["visits"] = session["visits"]
    response = VoiceResponse()
    choice = request.values.get("Digits")
    if choice == "1":
        response.say("You selected sales. Good for you!")
    elif choice == "2":
        response.say("You need support. Please leave a message.")
        response.record(action="/recorded", max_length=30, finish_on_key="#")
    else:
        response.say("Sorry, I don't understand that choice.")
        response.redirect("/voice")
    return str(response)


@app.route("/recorded", methods=["POST"])
@validate_twilio_request
def recorded():
    response = VoiceResponse()
    response.say("Thank you. Goodbye.")
    response.hangup()
    return str(response)


@app.route("/status", methods=["POST"])
@validate_twilio_request
def status():
    return "", 204


@app.get("/log")
def show_log():
    return jsonify(log)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", PORT, app, threaded=True)
    print("ready", flush=True)
    server.serve_forever()
