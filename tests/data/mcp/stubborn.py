"""An MCP server without any library, which misbehaves as its tools' names say. Speaks over its standard streams.

`stubborn.py FILE`: ends at once if FILE is not there, and makes it; so the second start is the first that works.
`stubborn.py mute` says nothing at all, `stubborn.py endless` has no last page of tools.
"""

import json
import os
import subprocess
import sys
import time

mode = sys.argv[1] if len(sys.argv) > 1 else ""
names = ["echo", "env", "pid", "child", "hang", "cancelled", "die", "huge", "garbage", "error", "more"]
cancelled = []


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tool(name):
    return {"name": name, "description": name, "inputSchema": {"type": "object"}}


def call(name, arguments):
    """The text of a result; none where there is none."""
    if name == "echo":
        return json.dumps(arguments, sort_keys=True)
    if name == "env":
        return json.dumps(dict(os.environ))
    if name == "pid":
        return str(os.getpid())
    if name == "child":
        return str(subprocess.Popen(["sleep", "1000"]).pid)
    if name == "cancelled":
        return str(len(cancelled))
    if name == "die":
        sys.exit(3)
    if name == "huge":
        return "x" * (1 << 20)
    if name == "garbage":
        sys.stdout.flush()
        sys.stdout.buffer.write(b'this is no message\n\xff\xfe\n{"jsonrpc":\n' + b"y" * (5 << 20) + b"\n")
        return "after garbage"
    if name == "more":
        names.append("another")
        say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return "there is more"
    return None


if mode == "mute":
    time.sleep(1000)
elif mode.startswith("/") and not os.path.exists(mode):
    open(mode, "w").close()
    sys.stderr.write("this is not the day\n")
    sys.exit(1)

for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if method == "notifications/cancelled":
        cancelled.append(message["params"]["requestId"])
    if number is None:
        continue
    answer = {"jsonrpc": "2.0", "id": number}
    if method == "initialize":
        answer["result"] = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "stubborn", "version": "1"},
        }
    elif method == "tools/list":
        answer["result"] = {"tools": [tool(name) for name in names]}
        if mode == "endless":
            answer["result"]["nextCursor"] = "on"
    elif method == "tools/call":
        name = message["params"]["name"]
        if name == "hang":
            continue
        text = call(name, message["params"].get("arguments", {}))
        if text is None:
            answer["error"] = {"code": -32000, "message": "there is\nno such thing"}
        else:
            answer["result"] = {"content": [{"type": "text", "text": text}]}
    else:
        answer["result"] = {}
    say(answer)
