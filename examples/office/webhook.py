#!/usr/bin/env python3
"""Prints the messages that callers of the office leave. Needs nothing but Python: `python3 webhook.py`.

Set TWILIO_AUTH_TOKEN to the account's token, and requests that are not signed with it are refused.
"""
import base64
import hashlib
import hmac
import http.server
import os
import urllib.parse

TOKEN = os.environ.get("TWILIO_AUTH_TOKEN", "")
LONGEST = 64 * 1024


class Messages(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if length > LONGEST:
            return self.answer(413)
        form = urllib.parse.parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True)
        if TOKEN and not self.is_signed(form):
            return self.answer(403)
        message = dict(form)
        print(f"{self.path[1:]} from {message.get('From')}: {message.get('TranscriptionText') or '(no text)'}")
        print(f"  to be heard at {message.get('RecordingUrl')}", flush=True)
        self.answer(204)

    def is_signed(self, form):
        url = f"http://{self.headers.get('Host')}{self.path}"
        text = url + "".join(name + value for name, value in sorted(set(form)))
        ours = base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
        return hmac.compare_digest(ours, self.headers.get("X-Twilio-Signature", ""))

    def answer(self, status):
        self.send_response(status)
        self.end_headers()


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Messages).serve_forever()
