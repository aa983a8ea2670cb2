"""Asks the vendor's own SDK whether events are valid, so that our verification can be compared with it.

Reads one JSON object per line from standard input: {"key": ..., "make": bool, "callback": {...}}. With "make"
the event's hash is first made the way the SDK checks it. Writes one line each: {"valid": bool, "callback":
{...}}; "valid" is null where the SDK's strict model refuses the callback before it looks at the hash.
"""

import hashlib
import hmac
import json
import sys

from dropbox_sign import EventCallbackHelper, EventCallbackRequest


def made(key, callback):
    event = callback["event"]
    message = f"{event['event_time']}{event['event_type']}".encode()
    event["event_hash"] = hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def is_valid(key, callback):
    try:
        request = EventCallbackRequest.init(callback)
    except Exception:
        return None
    return EventCallbackHelper.is_valid(key, request)


for line in sys.stdin:
    case = json.loads(line)
    if case["make"]:
        made(case["key"], case["callback"])
    print(json.dumps({"valid": is_valid(case["key"], case["callback"]), "callback": case["callback"]}))
