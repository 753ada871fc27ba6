package telemetry_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// Strangers can have handshakes answered at will, which must not fill a disk. What is proven,
// what was forwarded and what has set a secret has its record, and denials are counted apart.
func TestAnswersAreLimited(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r := recorder(t, w, 2)
	shake := func(name string, times int, change func(*authz.Decision)) {
		for range times {
			e := event(authz.OK)
			d := *e.Decision
			e.Decision = &d
			d.Reason, d.Proof, d.Handshake, d.Answer = authz.Handshake, authz.ProofNone, name, &authz.Answer{Status: 200}
			change(&d)
			r.Record(e)
		}
	}
	for range 3 {
		r.Record(event(authz.SignatureInvalid))
	}
	shake("asked", 5, func(*authz.Decision) {})
	shake("proven", 3, func(d *authz.Decision) { d.Proof = authz.ProofSignature })
	shake("taken", 3, func(d *authz.Decision) { d.Answer.Learnt = true })
	shake("forwarded", 3, func(d *authz.Decision) {
		hook := *d.Webhook
		hook.Shadow, d.Webhook = true, &hook
	})
	w.Close()
	for text, want := range map[string]int{`"verdict":"deny"`: 2, `"asked"`: 2, `"proven"`: 3, `"taken"`: 3, `"forwarded"`: 3} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%d records with %s, want %d", got, text, want)
		}
	}
}
