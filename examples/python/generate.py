"""Generates an image with fluxgate and prints its URL. Needs only the standard library.

FLUXGATE_URL=http://127.0.0.1:3000 FLUXGATE_KEY=local-key python3 examples/python/generate.py "A red fox in deep snow"
"""

import json
import os
import sys
import time
import uuid
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

URL, KEY = os.environ["FLUXGATE_URL"], os.environ["FLUXGATE_KEY"]
WAIT = os.environ.get("FLUXGATE_WAIT", "25")  # seconds that the server holds the request open, at most 25
HEADERS = {"x-api-key": KEY, "content-type": "application/json"}
RETRIED = {500, 503, 504}


def send(request: Request, tries: int = 3) -> dict[str, Any]:
    try:
        with urlopen(request, timeout=35) as response:
            return dict(json.load(response))
    except HTTPError as error:
        if error.code not in RETRIED or tries == 1:
            problem = json.load(error)
            fields = [f"\n  {violation['field']}: {violation['message']}" for violation in problem["errors"]]
            sys.exit(f"{problem['code']}: {problem['detail']}{''.join(fields)}")
    except OSError as error:
        if tries == 1:
            sys.exit(f"No response from {URL}: {error}")
    time.sleep(2)
    return send(request, tries - 1)  # the same Idempotency-Key, so the same task


prompt = sys.argv[1] if len(sys.argv) > 1 else "A red fox in deep snow"
order = json.dumps({"prompt": prompt, "model": "flux-dev", "size": "1024x768"}).encode()
headers = {**HEADERS, "Idempotency-Key": str(uuid.uuid4()), "Prefer": f"wait={WAIT}"}
task = send(Request(f"{URL}/v1/images/generations", order, headers))
while task["status"] in {"queued", "processing"}:
    time.sleep(2)
    task = send(Request(f"{URL}/v1/tasks/{task['task_id']}", headers=HEADERS))
if task["status"] != "succeeded":
    error = task["error"]  # None if the task expired
    sys.exit(f"{task['task_id']} {task['status']}" + (f": {error['code']}: {error['message']}" if error else ""))
print(*(image["url"] for image in task["images"]), sep="\n")
