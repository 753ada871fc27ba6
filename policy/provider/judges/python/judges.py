"""One function for each library: it calls the verifier as the library's own
documentation does, and returns True or None, or raises, or returns False."""

import base64
import json
import time
import types
import urllib.parse
from datetime import datetime, timezone

import Adyen.util
import atlassian_jwt
import mercadopago.webhook.validator
import messagebird.request_validator
import messagebird.signed_request
import plivo.utils
import polar.webhooks
import pusher.authentication_client
import razorpay.utility.utility
import replicate.webhook
import resend.webhooks._webhooks
import slack_sdk.signature
import square.utils.webhooks_helper
import standardwebhooks
import stripe._webhook
import svix.webhooks
import twilio.request_validator
import vonage_jwt.verify_jwt
import workos.webhooks._verification
from box_sdk_gen.managers.webhooks import WebhooksManager
from braintree.webhook_notification_gateway import WebhookNotificationGateway
from braintree.util.crypto import Crypto
from coinbase_commerce.webhook import WebhookSignature
from elevenlabs.webhooks_custom import WebhooksClient
from gocardless_pro import webhooks as gocardless
from hubspot.utils.signature import Signature
from paddle_billing.Notifications.Secret import Secret
from paddle_billing.Notifications.Verifier import Verifier
from sinch.core.internal.sinch_events import authorization_helpers as sinch_service
from sinch.domains.authentication.sinch_events.v1 import authentication_validation as sinch

import django.conf

django.conf.settings.configure(ALLOWED_HOSTS=["*"], DEFAULT_CHARSET="utf-8", SECRET_KEY="x", USE_TZ=True)

from anymail.webhooks.mailgun import MailgunTrackingWebhookView  # noqa: E402 (needs the settings)
from anymail.webhooks.mandrill import MandrillCombinedWebhookView  # noqa: E402
from django.test import RequestFactory  # noqa: E402


def form(r):
    """The form parameters as a web framework gives them, None if the body is none."""
    if not r.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    return urllib.parse.parse_qs(r.text, keep_blank_values=True)


class MultiDict(dict):
    getlist = dict.__getitem__


def verify_twilio(r):
    params = form(r)
    return twilio.request_validator.RequestValidator(r.secret).validate(
        r.url, r.text if params is None else MultiDict(params), r.header("x-twilio-signature"))


def sign_twilio(r):
    params = form(r)
    return {"x-twilio-signature": twilio.request_validator.RequestValidator(r.secret).compute_signature(
        r.url, MultiDict(params or {}))}


def stamped(prefix, webhook):
    def sign(r):
        when = datetime.fromtimestamp(int(time.time()), timezone.utc)
        return {
            prefix + "-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
            prefix + "-timestamp": str(int(time.time())),
            prefix + "-signature": webhook(r.secret).sign("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", when, r.text),
        }
    return sign


def verify_slack(r):
    return slack_sdk.signature.SignatureVerifier(r.secret).is_valid_request(r.body, r.headers)


def sign_slack(r):
    stamp = str(int(time.time()))
    return {
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": slack_sdk.signature.SignatureVerifier(r.secret).generate_signature(
            timestamp=stamp, body=r.body),
    }


def verify_plivo_v3(r):
    return plivo.utils.validate_v3_signature(
        r.method, r.url, r.header("x-plivo-signature-v3-nonce"), r.secret, r.header("x-plivo-signature-v3"),
        dict(form(r) or {}))


def verify_messagebird_legacy(r):
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(r.url).query, keep_blank_values=True)
    request = messagebird.signed_request.SignedRequest(
        r.header("messagebird-signature"), r.header("messagebird-request-timestamp"),
        r.body.decode("latin-1"), query)
    return request.verify(r.secret) and request.is_recent()


def verify_messagebird(r):
    messagebird.request_validator.RequestValidator(r.secret).validate_signature(
        r.header("messagebird-signature-jwt"), r.url, r.body)


def verify_pusher(r):
    client = types.SimpleNamespace(key="2026", secret=r.secret, _json_decoder=None)
    return pusher.authentication_client.AuthenticationClient.validate_webhook(
        client, r.header("x-pusher-key"), r.header("x-pusher-signature"), r.text) is not None


def hubspot(version, header):
    def verify(r):
        if header == "x-hubspot-signature" and r.header("x-hubspot-signature-version") != version:
            return False
        return Signature.is_valid(
            signature=r.header(header), client_secret=r.secret, request_body=r.text, http_uri=r.url,
            http_method=r.method, signature_version=version, timestamp=r.headers.get("x-hubspot-request-timestamp"))
    return verify


def verify_braintree(r):
    gateway = object.__new__(WebhookNotificationGateway)
    gateway.config = types.SimpleNamespace(public_key="public_key_2026", private_key=r.secret)
    params = form(r)
    payload = params["bt_payload"][0].encode("ascii")
    gateway._WebhookNotificationGateway__validate_signature(params["bt_signature"][0], payload)


def shake_braintree(r):
    gateway = object.__new__(WebhookNotificationGateway)
    gateway.config = types.SimpleNamespace(public_key="public_key_2026", private_key=r.secret)
    challenge = urllib.parse.parse_qs(urllib.parse.urlsplit(r.url).query)["bt_challenge"][0]
    return {"status": 200, "type": "text/plain", "body": gateway.verify(challenge)}


def sign_braintree(r):
    payload = "PG5vdGlmaWNhdGlvbj48L25vdGlmaWNhdGlvbj4=\n"
    signature = "public_key_2026|" + Crypto.sha1_hmac_hash(r.secret, payload)
    return {"": urllib.parse.urlencode({"bt_signature": signature, "bt_payload": payload})}


def verify_resend(r):
    resend.webhooks._webhooks.Webhooks.verify({
        "payload": r.text, "webhook_secret": r.secret,
        "headers": {k: r.headers.get("svix-" + k) for k in ("id", "timestamp", "signature")},
    })


class Request:
    def __init__(self, r):
        self.body = r.body
        self.headers = {"Paddle-Signature": r.headers.get("paddle-signature")}


def replicate_validate(r):
    return replicate.webhook.Webhooks.validate(
        headers=r.headers, body=r.text, secret=types.SimpleNamespace(key=r.secret), tolerance=300)


class Connect(atlassian_jwt.Authenticator):
    def __init__(self, secret):
        super().__init__()
        self.secret = secret

    def get_shared_secret(self, client_key):
        return {"client-1": self.secret}[client_key]


def verify_jira_connect(r):
    parts = urllib.parse.urlsplit(r.url)
    Connect(r.secret).authenticate(r.method, parts.path + ("?" + parts.query if parts.query else ""), r.headers)


def sign_jira_connect(r):
    parts = urllib.parse.urlsplit(r.url)
    token = atlassian_jwt.encode_token(
        r.method, parts.path + ("?" + parts.query if parts.query else ""), "client-1", r.secret, timeout_secs=180,
        payload_kwargs={"aud": ["client-1"]})
    return {"authorization": "JWT " + token}


def verify_mercado_pago(r):
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(r.url).query)
    mercadopago.webhook.validator.WebhookSignatureValidator.validate(
        r.header("x-signature"), r.headers.get("x-request-id"), query.get("data.id", [None])[0], r.secret,
        tolerance_seconds=300)


def verify_vonage(r):
    scheme, _, token = r.header("authorization").partition(" ")
    return scheme.lower() == "bearer" and vonage_jwt.verify_jwt.verify_signature(token, r.secret)


def verify_sinch_service(r):
    parts = urllib.parse.urlsplit(r.url)
    return sinch_service.validate_authentication_header(
        "sample", r.secret, r.headers, r.body, parts.path + ("?" + parts.query if parts.query else ""), r.method)


def django_request(r):
    parts = urllib.parse.urlsplit(r.url)
    headers = {"HTTP_" + k.upper().replace("-", "_"): v for k, v in r.headers.items() if k != "content-type"}
    return RequestFactory().generic(
        r.method, parts.path + ("?" + parts.query if parts.query else ""), r.body,
        content_type=r.headers.get("content-type", ""), secure=True, SERVER_NAME=parts.hostname, SERVER_PORT="443",
        **headers)


def verify_adyen(r):
    return Adyen.util.is_valid_hmac_notification(json.loads(r.text), r.secret) is True  # None if it finds no item


def sign_adyen(r):
    notification = json.loads(r.text)
    for item in notification["notificationItems"]:
        item = item["NotificationRequestItem"]
        item["additionalData"] = {"hmacSignature": Adyen.util.generate_notification_sig(item, r.secret).decode()}
    return {"": json.dumps(notification)}


def call(function, *headers):
    """A verifier that takes the secret, the body as text and headers, in the given order."""
    return lambda r: function(r, *(r.header(h) for h in headers))


VERIFIERS = {
    "adyen": verify_adyen,
    "adyen-platform": call(lambda r, s: Adyen.util.is_valid_hmac_payload(s, r.secret, r.body), "hmacsignature"),
    "atlassian-jwt": verify_jira_connect,
    "boxsdk": lambda r: WebhooksManager.validate_message(r.text, r.headers, r.secret),
    "braintree": verify_braintree,
    "coinbase-commerce": call(
        lambda r, s: WebhookSignature.verify_sig_header(r.text, s, r.secret), "x-cc-webhook-signature"),
    "anymail-mailgun": lambda r: MailgunTrackingWebhookView(webhook_signing_key=r.secret).validate_request(
        django_request(r)),
    "anymail-mandrill": lambda r: MandrillCombinedWebhookView(webhook_key=r.secret).validate_request(
        django_request(r)),
    "elevenlabs": call(
        lambda r, s: WebhooksClient.construct_event(None, r.text, s, r.secret) and None, "elevenlabs-signature"),
    "gocardless-pro": call(lambda r, s: gocardless._verify_signature(r.body, r.secret, s), "webhook-signature"),
    "hubspot-v1": hubspot("v1", "x-hubspot-signature"),
    "hubspot-v2": hubspot("v2", "x-hubspot-signature"),
    "hubspot-v3": hubspot("v3", "x-hubspot-signature-v3"),
    "mercadopago": verify_mercado_pago,
    "messagebird": verify_messagebird,
    "messagebird-legacy": verify_messagebird_legacy,
    "paddle": lambda r: Verifier().verify(Request(r), Secret(r.secret)),
    "plivo-v2": lambda r: plivo.utils.validate_signature(
        r.url, r.header("x-plivo-signature-v2-nonce"), r.header("x-plivo-signature-v2"), r.secret),
    "plivo-v3": verify_plivo_v3,
    "polar": lambda r: polar.webhooks._verify_signature(r.text, r.headers, r.secret),
    "pusher": verify_pusher,
    "razorpay": call(
        lambda r, s: razorpay.utility.utility.Utility().verify_webhook_signature(r.text, s, r.secret),
        "x-razorpay-signature"),
    "replicate": replicate_validate,
    "resend": verify_resend,
    "sinch-numbers": lambda r: sinch.validate_signature_header(r.secret, r.headers, r.body),
    "sinch-conversation": lambda r: sinch.validate_sinch_event_signature_with_nonce(r.secret, r.headers, r.text),
    "sinch-service": verify_sinch_service,
    "slack-sdk": verify_slack,
    "squareup": call(
        lambda r, s: square.utils.webhooks_helper.verify_signature(
            request_body=r.text, signature_header=s, signature_key=r.secret, notification_url=r.url),
        "x-square-hmacsha256-signature"),
    # As BigCommerce's page does it.
    "bigcommerce": lambda r: standardwebhooks.Webhook(base64.b64encode(r.secret.encode()).decode()).verify(r.body, r.headers, json_parse=False),
    "standardwebhooks": lambda r: standardwebhooks.Webhook(r.secret).verify(r.body, r.headers, json_parse=False),
    "stripe": call(
        lambda r, s: stripe._webhook.WebhookSignature.verify_header(
            r.body, s, r.secret, stripe._webhook.Webhook.DEFAULT_TOLERANCE), "stripe-signature"),
    "svix": lambda r: svix.webhooks.Webhook(r.secret).verify(r.body, r.headers),
    "twilio": verify_twilio,
    "vonage-jwt": verify_vonage,
    "workos": call(
        lambda r, s: workos.webhooks._verification.verify_header(
            event_body=r.body, event_signature=s, secret=r.secret), "workos-signature"),
}

SIGNERS = {
    "adyen": sign_adyen,
    "adyen-platform": lambda r: {
        "hmacsignature": Adyen.util.generate_payload_sig(r.body, r.secret).decode(), "protocol": "HmacSHA256"},
    "atlassian-jwt": sign_jira_connect,
    "braintree": sign_braintree,
    "hubspot-v1": lambda r: {
        "x-hubspot-signature-version": "v1",
        "x-hubspot-signature": Signature.get_signature(r.secret, r.text, "v1")},
    "hubspot-v2": lambda r: {
        "x-hubspot-signature-version": "v2",
        "x-hubspot-signature": Signature.get_signature(r.secret, r.text, "v2", r.url, r.method)},
    "hubspot-v3": lambda r: {
        "x-hubspot-request-timestamp": str(int(time.time() * 1000)),
        "x-hubspot-signature-v3": Signature.get_signature(
            r.secret, r.text, "v3", r.url, r.method, str(int(time.time() * 1000)))},
    "slack-sdk": sign_slack,
    "sinch-numbers": lambda r: {"x-sinch-signature": sinch.compute_hmac_signature(r.body, r.secret)},
    "standardwebhooks": stamped("webhook", standardwebhooks.Webhook),
    "stripe": lambda r: {"stripe-signature": stripe._webhook.WebhookSignature.generate_signature_header(
        r.text, r.secret)},
    "svix": stamped("svix", svix.webhooks.Webhook),
    "twilio": sign_twilio,
}

# What answers handshakes.
ANSWERERS = {"braintree": shake_braintree}
