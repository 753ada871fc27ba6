"""An application behind the gateway: it takes a delivery only with an assertion
for itself, of this very body, that has not expired."""

import argparse
import hashlib
import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

MAX_BODY = 1 << 20  # as in Envoy's max_request_bytes
KEEP_FOR = 300  # seconds that the keys are used without another look


class Refused(Exception):
    pass


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Keys:
    """The gateway's public keys by their ids."""

    def __init__(self, url, refetch):
        self.url, self.refetch = url, refetch
        self.lock = threading.Lock()
        self.keys, self.fetched, self.tried = {}, float("-inf"), float("-inf")
        self.opener = urllib.request.build_opener(NoRedirect)

    def find(self, kid):
        """An unknown id fetches the keys again, but not for each: anybody can
        make up ids."""
        with self.lock:
            now = time.monotonic()
            due = kid not in self.keys or now - self.fetched > KEEP_FOR
            if due and now - self.tried >= self.refetch:
                self.tried = now
                try:
                    with self.opener.open(self.url, timeout=3) as response:
                        found = jwt.PyJWKSet.from_dict(json.loads(response.read(64 << 10)))
                    self.keys = {key.key_id: key for key in found.keys}
                    self.fetched = now
                except (OSError, ValueError, jwt.PyJWTError) as error:
                    print(f"keys not fetched: {error}", file=sys.stderr)
            if kid not in self.keys:
                raise Refused("no such key")
            return self.keys[kid]


def verify(assertions, body, keys, issuer, audience):
    """Returns what the gateway says of the delivery."""
    if len(assertions) != 1:
        raise Refused(f"{len(assertions)} assertions")
    try:
        head = jwt.get_unverified_header(assertions[0])
        key = keys.find(head.get("kid"))
        claims = jwt.decode(
            assertions[0],
            key,
            algorithms=[key.algorithm_name],  # the key's own, not the token's
            issuer=issuer,
            audience=audience,
            leeway=5,  # clocks differ
            options={"require": ["iss", "aud", "exp", "iat", "jti"]},
        )
    except jwt.PyJWTError as error:
        raise Refused(error) from error
    if head.get("typ") != "hookbastion+jwt":
        raise Refused("a token of another kind")
    if claims.get("body_sha256") != hashlib.sha256(body).hexdigest():
        raise Refused("an assertion of another body")
    return claims


def handler(keys, issuer, audience):
    class Application(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            try:
                length = int(self.headers.get("Content-Length", ""))
                if not 0 <= length <= MAX_BODY:
                    raise ValueError
            except ValueError:
                return self.answer(411, b"")
            body = self.rfile.read(length)
            try:
                got = verify(self.headers.get_all("X-Hookbastion-Assertion", []), body, keys, issuer, audience)
            except Refused as why:
                self.log_error("refused: %s", why)
                return self.answer(403, b"")
            self.answer(200, f"received {got['verified']} of {got['webhook']}, decision {got['jti']}\n".encode())

        def answer(self, status, text):
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if status == 411:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text)

    return Application


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8080", help="address and port")
    parser.add_argument("--keys", default="http://127.0.0.1:9002/.well-known/jwks.json", help="where the gateway publishes its keys")
    parser.add_argument("--issuer", default="hookbastion", help="assertion.issuer in the gateway's settings")
    parser.add_argument("--audience", required=True, help="assertion.audience in the webhook's policy")
    parser.add_argument("--refetch", type=float, default=10, help="seconds that an unknown key id does not fetch the keys again")
    args = parser.parse_args()
    host, port = args.listen.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), handler(Keys(args.keys, args.refetch), args.issuer, args.audience))
    print("listening on %s:%d" % server.server_address[:2], file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
