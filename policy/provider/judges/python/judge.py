"""Answers, one JSON line for each on standard input, what a library says of a delivery.

The wheels named as arguments are imported as they are, without being unpacked. Only a
library's verifier is loaded: packages on the way to it are entered without running
their __init__, and what it imports for its HTTP client is stood in for.
"""

import base64
import datetime
import importlib.abc
import importlib.machinery
import json
import sys
import time
import types

NOW = 0.0  # the time that libraries see, Unix seconds


class Clocked(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)

    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)


time.time = lambda: NOW
datetime.datetime = Clocked


class AnyClass(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, key):
        return cls

    def __or__(cls, other):
        return cls

    __ror__ = __or__


class StandIn(Exception, metaclass=AnyClass):
    """Any name of a module that verifiers import and do not use."""

    def __init__(self, *args, **kwargs):
        super().__init__(str(args) + str(kwargs))


class StandInModule(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds stand-ins by name, and packages that are entered bare."""

    stand_ins = {
        "requests", "requests_toolbelt", "httpx", "nacl", "pydantic", "pytz", "urllib3", "aiohttp",
        "elevenlabs.errors", "elevenlabs.types", "elevenlabs.webhooks",
        "gocardless_pro.resources", "gocardless_pro.errors",
        "coinbase_commerce.api_resources", "workos.events", "polar.base", "replicate.resource",
        "stripe._event", "stripe._api_requestor", "stripe._error",
        "box_sdk_gen.networking", "box_sdk_gen.schemas", "box_sdk_gen.parameters", "braintree.webhook_notification", "braintree.util.xml_util", "pusher.crypto", "pusher.client", "vonage_jwt.errors", "resend._base_response", "resend.pagination_helper",
        "resend.request", "resend.webhooks._webhook", "resend.webhooks._webhook_event",
    }
    bare = {
        "stripe", "svix", "slack_sdk", "twilio", "plivo", "messagebird", "square", "square.utils", "pusher",
        "gocardless_pro", "coinbase_commerce", "hubspot", "hubspot.utils", "sinch", "sinch.domains",
        "sinch.domains.authentication", "sinch.domains.authentication.sinch_events",
        "sinch.domains.authentication.sinch_events.v1", "sinch.core", "sinch.core.internal",
        "sinch.core.internal.sinch_events", "braintree", "braintree.util", "razorpay", "razorpay.utility",
        "resend", "resend.webhooks", "paddle_billing", "paddle_billing.Notifications", "replicate", "polar",
        "workos", "workos.webhooks", "elevenlabs", "mercadopago", "mercadopago.webhook", "Adyen",
        "box_sdk_gen", "box_sdk_gen.managers", "vonage_jwt",
    }

    def find_spec(self, name, path=None, target=None):
        parts = name.split(".")
        if any(".".join(parts[: i + 1]) in self.stand_ins for i in range(len(parts))):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        if name in self.bare:
            spec = importlib.machinery.ModuleSpec(name, self, is_package=True)
            spec.submodule_search_locations = [place + "/" + parts[-1] for place in path or sys.path]
            return spec
        return None

    def create_module(self, spec):
        if spec.name in self.bare:
            return types.ModuleType(spec.name)
        return StandInModule(spec.name)

    def exec_module(self, module):
        pass


class Delivery:
    def __init__(self, message):
        self.secret = message["secret"]
        self.method = message["method"]
        self.url = message["url"]
        self.body = base64.b64decode(message["body"])
        self.headers = {}
        for name, value in message["headers"]:  # as servers join what comes twice
            name = name.lower()
            self.headers[name] = self.headers[name] + ", " + value if name in self.headers else value

    @property
    def text(self):
        return self.body.decode("utf-8")

    def header(self, name):
        return self.headers[name]  # a missing one is refused


def answer(message, verifiers, signers, answerers):
    global NOW
    NOW = message["now"]
    delivery = Delivery(message)
    if message["op"] == "shake":
        return {"ok": True, "answer": answerers[message["judge"]](delivery)}
    if message["op"] == "sign":
        return {"ok": True, "headers": signers[message["judge"]](delivery)}
    try:
        said = verifiers[message["judge"]](delivery)
    except Exception as error:  # libraries refuse by raising what they like
        return {"ok": False, "error": f"{type(error).__name__}: {error}"[:200]}
    return {"ok": said is None or said is True, "error": "" if said is None or said is True else repr(said)[:200]}


def main():
    sys.path[:0] = sys.argv[1:]
    sys.meta_path.insert(0, Finder())
    import judges

    for line in sys.stdin:
        message = json.loads(line)
        if message["op"] == "list":
            reply = {"ok": True, "verify": sorted(judges.VERIFIERS), "sign": sorted(judges.SIGNERS),
                     "shake": sorted(judges.ANSWERERS)}
        else:
            reply = answer(message, judges.VERIFIERS, judges.SIGNERS, judges.ANSWERERS)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
