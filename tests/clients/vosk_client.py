"""Speaks vosk-server's protocol as its example client does: configure, then a reply for every piece sent.

usage: vosk_client.py URL KEY FILE   ·   prints what it received as one JSON object
"""

import json
import sys
import time
import wave

import websocket

PIECE_S = 0.2


def main(url, key, path):
    with wave.open(path) as file:
        rate, audio = file.getframerate(), file.readframes(file.getnframes())
    socket = websocket.create_connection(url + "/vosk", header=[f"Authorization: Bearer {key}"], timeout=60)
    socket.send(json.dumps({"config": {"sample_rate": rate, "words": True}}))
    replies = []

    def stream(pieces):
        size = int(rate * PIECE_S) * 2
        for offset in range(0, len(pieces), size):
            began = time.monotonic()
            socket.send_binary(pieces[offset : offset + size])
            replies.append(json.loads(socket.recv()))
            time.sleep(max(0.0, began + PIECE_S - time.monotonic()))

    # After the first words, and before their pause has lasted long enough to end the utterance by itself.
    cut = int(rate * 2.3) * 2
    stream(audio[:cut])
    socket.send('{"reset" : 1}')
    reset = json.loads(socket.recv())
    replies.append(reset)
    stream(audio[cut:])
    socket.send('{"eof" : 1}')
    replies.append(json.loads(socket.recv()))
    opcode, frame = socket.recv_data()
    results = [reply for reply in replies if "text" in reply]
    return {
        "text": " ".join(reply["text"] for reply in results if reply["text"]),
        "words": [word for reply in results for word in reply.get("result", [])],
        "partials": [reply["partial"] for reply in replies if "partial" in reply],
        "reset": reset,
        "close": int.from_bytes(frame[:2], "big") if opcode == websocket.ABNF.OPCODE_CLOSE else None,
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
