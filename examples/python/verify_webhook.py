"""Receives fluxgate's webhooks and verifies their signatures. Needs `pip install standardwebhooks`.

FLUXGATE_URL=http://127.0.0.1:3000 FLUXGATE_KEY=local-key PORT=8000 python3 examples/python/verify_webhook.py
"""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import Request, urlopen

from standardwebhooks import Webhook, WebhookVerificationError

request = Request(f"{os.environ['FLUXGATE_URL']}/v1/webhook-secret", headers={"x-api-key": os.environ["FLUXGATE_KEY"]})
with urlopen(request, timeout=35) as response:
    webhook = Webhook(json.load(response)["secret"])
seen: set[str] = set()  # in production, a store that survives a restart


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = webhook.verify(body, dict(self.headers))  # checks the signature, and the timestamp to five minutes
        except WebhookVerificationError as error:
            self.respond(401)
            print(f"Refused: {error}", flush=True)
            return
        self.respond(204)  # respond within 15 seconds; process the event afterwards
        if self.headers["webhook-id"] not in seen:  # webhooks are delivered at least once
            seen.add(self.headers["webhook-id"])
            print(event["type"], event["data"]["task_id"], event["data"]["status"], flush=True)

    def respond(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


with HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Receiver) as server:
    print(f"Send webhooks to http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
