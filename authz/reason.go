package authz

import "fmt"

// Reason says in one word why a request was allowed or denied. The same word
// stands in records, metrics, traces, metadata and tests. It is never told to
// the sender. The set is closed.
type Reason uint8

// The reasons. Unset is the zero value, means that nobody decided, and denies.
const (
	Unset Reason = iota
	OK
	Unprotected // "unverified": the policy asks for no proof
	Handshake   // answered here, and not forwarded

	NoWebhook
	MethodNotAllowed
	ContentType
	BodyNotForwarded
	BodyTruncated
	BodyAltered
	BodyTooLarge
	MalformedRequest
	TLSRequired
	ClientCertificate
	SourceDenied
	TenantUnknown
	KeysUnavailable
	TokenMissing
	TokenInvalid
	TokenExpired
	SignatureMissing
	SignatureMalformed
	SignatureInvalid
	KeyNotValidNow
	TimestampMissing
	TimestampMalformed
	TimestampTooOld
	TimestampInFuture
	ConditionFailed
	HandshakeRefused
	Replayed
	InFlight
	ReplayUncertain
	StoreUnavailable
	NotReady
	Overloaded
	CallUnreadable
	Timeout
	Internal
	reasonCount
)

// ReasonCount is the number of reasons, for tables that a Reason indexes.
const ReasonCount = int(reasonCount)

// The status is 0 where the webhook's own denied status applies.
var reasons = [reasonCount]struct {
	name   string
	status int
}{
	Unset:              {"unset", 503},
	OK:                 {"ok", 200},
	Unprotected:        {"unverified", 200},
	Handshake:          {"handshake", 200},
	NoWebhook:          {"no_webhook", 404},
	MethodNotAllowed:   {"method_not_allowed", 405},
	ContentType:        {"content_type", 415},
	BodyNotForwarded:   {"body_not_forwarded", 503},
	BodyTruncated:      {"body_truncated", 503},
	BodyAltered:        {"body_altered", 503},
	BodyTooLarge:       {"body_too_large", 413},
	MalformedRequest:   {"malformed_request", 400},
	TLSRequired:        {"tls_required", 403},
	ClientCertificate:  {"client_certificate", 403},
	SourceDenied:       {"source_denied", 403},
	TenantUnknown:      {"tenant_unknown", 404},
	KeysUnavailable:    {"keys_unavailable", 503},
	TokenMissing:       {"token_missing", 0},
	TokenInvalid:       {"token_invalid", 0},
	TokenExpired:       {"token_expired", 0},
	SignatureMissing:   {"signature_missing", 0},
	SignatureMalformed: {"signature_malformed", 0},
	SignatureInvalid:   {"signature_invalid", 0},
	KeyNotValidNow:     {"key_not_valid_now", 0},
	TimestampMissing:   {"timestamp_missing", 0},
	TimestampMalformed: {"timestamp_malformed", 0},
	TimestampTooOld:    {"timestamp_too_old", 0},
	TimestampInFuture:  {"timestamp_in_future", 0},
	ConditionFailed:    {"condition_failed", 403},
	HandshakeRefused:   {"handshake_refused", 0},
	Replayed:           {"replayed", 409},
	InFlight:           {"in_flight", 503},
	ReplayUncertain:    {"replay_uncertain", 503},
	StoreUnavailable:   {"store_unavailable", 503},
	NotReady:           {"not_ready", 503},
	Overloaded:         {"overloaded", 503},
	CallUnreadable:     {"call_unreadable", 503},
	Timeout:            {"timeout", 503},
	Internal:           {"internal", 503},
}

// DefaultDeniedStatus is the status of a denial where neither the reason nor
// the webhook has one.
const DefaultDeniedStatus = 401

// String returns the reason's word.
func (r Reason) String() string {
	if r < reasonCount {
		return reasons[r].name
	}
	return reasons[Unset].name
}

// Allows reports whether the reason lets a request pass, or is that of a handshake, which
// is answered and does not.
func (r Reason) Allows() bool { return r == OK || r == Unprotected || r == Handshake }

// MarshalText writes the reason's word.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a reason's word and fails on any other.
func (r *Reason) UnmarshalText(text []byte) error {
	for i := range reasons {
		if reasons[i].name == string(text) {
			*r = Reason(i)
			return nil
		}
	}
	return fmt.Errorf("unknown reason %q", text)
}
