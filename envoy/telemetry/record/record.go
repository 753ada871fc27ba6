// Package record has the decision record as its readers see it: one decision,
// with what its checks said.
//
// It is redacted by construction: [Record] has no field for a secret, a computed
// MAC, a query, a body, or of the headers anything but two ids. Text in it was chosen by strangers where it is
// a path, a method, a tenant, a request id or an event id: whoever prints it escapes
// it first. A record says what was decided, and is not signed: whoever can write the
// file can write another one.
package record

import (
	"slices"
	"time"
)

// Record is one decision, in the fields of the line that the service writes; or, if
// LeftOut is not 0, what is said of decisions that were not written.
type Record struct {
	// Time is the time that was decided by.
	Time time.Time `json:"time"`
	// DecisionID is what the sender, the upstream and Envoy's metadata get.
	DecisionID string `json:"decision_id"`
	// TraceID is empty, or 32 hexadecimal digits.
	TraceID   string `json:"trace_id"`
	RequestID string `json:"request_id"`
	// EventID is the provider's own id; empty if none is known. If it is Unsigned, whoever
	// has seen a delivery could have changed it.
	EventID         string `json:"event_id,omitempty"`
	EventIDUnsigned bool   `json:"event_id_unsigned,omitempty"`
	// Webhook is empty if none matched, and Tenant and Provider then, too.
	Webhook  string `json:"webhook"`
	Tenant   string `json:"tenant"`
	Provider string `json:"provider"`
	// Mode is ENFORCE or SHADOW: of the latter, a denial was forwarded.
	Mode string `json:"mode"`
	// Verdict is allow or deny, Reason one of docs/reasons.md.
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	// Status is that of the answer to the sender; 200 if the request was forwarded.
	Status int    `json:"status"`
	KeyID  string `json:"key_id"`
	// Replay is copy, possible, redelivered or empty.
	Replay string `json:"replay,omitempty"`
	// Unverified is why the policy asks for no proof; empty where it asks for one.
	Unverified string `json:"unverified,omitempty"`
	// Handshake names the handshake that the request is; Told is where a person must go who
	// wants what it offers. Both are empty otherwise.
	Handshake string `json:"handshake,omitempty"`
	Told      string `json:"told,omitempty"`
	// Source is an address, or empty.
	Source string `json:"source"`
	Method string `json:"method"`
	// Path has no query.
	Path      string `json:"path"`
	BodyBytes int64  `json:"body_bytes"`
	// SkewMS is our time minus the signed time; nil if there is none.
	SkewMS *int64 `json:"skew_ms,omitempty"`
	// Checks are those that ran, in order.
	Checks []Check `json:"checks"`
	// Redeliver is the ticket for hookbastion redeliver, of a copy that was refused.
	Redeliver    string `json:"redeliver,omitempty"`
	DurationUS   int64  `json:"duration_us"`
	PolicyDigest string `json:"policy_digest"`
	Replica      string `json:"replica"`

	// LeftOut is how many decisions have no line of their own, of one webhook, verdict
	// and reason, from From to Time. Where these three are empty, it is the rest.
	LeftOut int64      `json:"left_out,omitempty"`
	From    *time.Time `json:"from,omitempty"`
	// Because says why: limit, filter or slow.
	Because string `json:"because,omitempty"`
}

// Clone returns a copy that shares nothing with the record.
func (r *Record) Clone() *Record {
	c := *r
	c.Checks = slices.Clone(r.Checks)
	return &c
}

// Check is what one check said: ok, or why it failed.
type Check struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
}
