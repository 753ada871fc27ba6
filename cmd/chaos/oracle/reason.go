package oracle

// statuses are those of docs/reasons.md; 0 is the provider's.
var statuses = map[string]int{
	"no_webhook": 404, "method_not_allowed": 405, "content_type": 415, "body_not_forwarded": 503, "body_truncated": 503,
	"body_altered": 503, "body_too_large": 413, "malformed_request": 400, "tls_required": 403, "client_certificate": 403,
	"source_denied": 403, "tenant_unknown": 404, "keys_unavailable": 503, "token_missing": 0, "token_invalid": 0, "token_expired": 0,
	"signature_missing": 0, "signature_malformed": 0, "signature_invalid": 0, "key_not_valid_now": 0, "timestamp_missing": 0,
	"timestamp_malformed": 0, "timestamp_too_old": 0, "timestamp_in_future": 0, "condition_failed": 403, "handshake_refused": 0,
	"replayed": 409, "in_flight": 503, "replay_uncertain": 503, "store_unavailable": 503, "not_ready": 503, "overloaded": 503,
	"call_unreadable": 503, "timeout": 503, "internal": 503,
}

// forwards are the reasons for which a request reaches the application.
var forwards = map[string]bool{"ok": true, "unverified": true}
