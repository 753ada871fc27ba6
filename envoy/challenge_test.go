package envoy_test

import (
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
)

// A missing or wrong token is answered by the webhook's challenge, with 401
// whatever the status of other denials is; nothing else is.
func TestChallenge(t *testing.T) {
	const challenge = `Basic realm="webhooks"`
	for _, c := range []struct {
		reason    authz.Reason
		challenge string
		status    int
		want      string
	}{
		{authz.TokenMissing, challenge, 401, challenge},
		{authz.TokenInvalid, challenge, 401, challenge},
		{authz.TokenMissing, "", 403, ""},
		{authz.TokenMissing, "Basic\r\nx: y", 401, ""},
		{authz.SignatureInvalid, challenge, 403, ""},
		{authz.SignatureMissing, challenge, 403, ""},
		{authz.Replayed, challenge, 409, ""},
		{authz.Overloaded, challenge, 503, ""},
	} {
		d := &authz.Decision{Reason: c.reason, Webhook: &authz.Webhook{Name: "a", DeniedStatus: 403, Challenge: c.challenge}}
		denial := envoy.NewDenial(d, "id")
		got := ""
		for _, h := range denial.Headers {
			if h.Name == "www-authenticate" {
				got = h.Value
			}
		}
		if denial.Status != c.status || got != c.want {
			t.Errorf("%s: status %d, challenge %q", c.reason, denial.Status, got)
		}
	}
}
