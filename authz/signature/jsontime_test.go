package signature_test

import (
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/signature"
)

func TestTimeInTheBody(t *testing.T) {
	untimed := several(t, func(*signature.Config) {}) // it adds no time to the body
	for _, c := range []struct {
		path string
		unit signature.Unit
		body string
		want authz.Reason
	}{
		{"time", signature.Seconds, `{"time":1795500000}`, authz.OK},
		{"time", signature.Seconds, ` {"a":{"time":[1,{"time":2}]},"time" : "1795500000","b":[{}]} `, authz.OK},
		{"time", signature.Milliseconds, `{"time":1795500000000}`, authz.OK},
		{"data.at", signature.RFC3339, `{"at":1,"data":{"x":[],"at":"2026-11-24T06:00:00Z"}}`, authz.OK},
		{"time", signature.Seconds, `{"Time":1795500000}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{}`, authz.TimestampMissing},
		{"time", signature.Seconds, `{"time":""}`, authz.TimestampMissing},
		{"data.at", signature.Seconds, `{"data":{}}`, authz.TimestampMissing},
		{"time", signature.Seconds, `{"time":1795500000,"time":1}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":1795500000,"\u0074ime":1}`, authz.TimestampMalformed},
		{"data.at", signature.Seconds, `{"data":{"at":1795500000},"data":{}}`, authz.TimestampMalformed},
		{"data.at", signature.Seconds, `{"data":[{"at":1795500000}]}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":1795500000.0}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":1.7955e9}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":-1}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":null}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":{"time":1}}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":1795500000}{"time":1}`, authz.TimestampMalformed},
		{"time", signature.Seconds, `{"time":1795500000`, authz.TimestampMalformed},
		{"time", signature.Seconds, `[1795500000]`, authz.TimestampMalformed},
		{"time", signature.Seconds, "time=1795500000", authz.TimestampMalformed},
		{"time", signature.Seconds, "", authz.TimestampMalformed},
		{"time", signature.Seconds, strings.Repeat(`{"a":`, 20_000), authz.TimestampMalformed},
	} {
		h := several(t, func(config *signature.Config) { config.Time = signature.Time{JSON: c.path, Unit: c.unit} })
		req := request()
		req.Body.Segments = [][]byte{[]byte(c.body[:len(c.body)/2]), []byte(c.body[len(c.body)/2:])}
		req.Headers = nil
		sign(t, untimed, req)
		reason, call := run(h, req)
		if reason != c.want || reason == authz.OK && call.SignedTime.IsZero() || reason != authz.OK && call.Proof != authz.ProofNone {
			t.Errorf("%s in %.60q: %s, want %s, time %s", c.path, c.body, reason, c.want, call.SignedTime)
		}
		// Nothing of the body is believed before the signature held.
		set(req, "x-sig", strings.Repeat("0", 64))
		if reason, call := run(h, req); reason != authz.SignatureInvalid || !call.SignedTime.IsZero() {
			t.Errorf("%.60q without a signature: %s", c.body, reason)
		}
	}
}
