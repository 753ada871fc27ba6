// Package scheme turns the schemes of policies and of the catalogue into plans of
// package signature, and reports schemes that could not work or that prove less than
// they seem to: a time that is not signed, content that can be read in two ways.
package scheme

import (
	"net/url"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// DefaultMaxSignatures and MaxSignatures bound the candidates of a request.
const (
	// As many as a webhook can have secrets.
	DefaultMaxSignatures = 16
	// DefaultMaxPublicSignatures is the same for public keys, since each costs as much as
	// a hundred of the others and anybody can send them.
	DefaultMaxPublicSignatures = 5
	// MaxSignatures is the most that can be asked for, and the default where a
	// provider numbers its headers.
	MaxSignatures = 100
)

// Plans are those of one set. Webhooks with the same scheme share one. It is not safe
// for concurrent use.
type Plans struct {
	faults *strictyaml.Faults
	plans  map[planKey]any
	// params are the parameters of the webhook at hand.
	params Parameters
}

// NewPlans returns no plans. What is wrong with a scheme goes to the faults.
func NewPlans(faults *strictyaml.Faults) *Plans {
	return &Plans{faults: faults, plans: map[planKey]any{}}
}

// Content returns the plan of a webhook's scheme that signs content, after Parameters. The
// place is that of the webhook.
func (c *Plans) Content(s *policyv1.Scheme, w *policyv1.Webhook, publicURL string, at strictyaml.Place) *signature.Plan {
	return planned(c, newPlanKey(s, w, publicURL), func() *signature.Plan {
		return signature.NewPlan(c.contentConfig(s, MaxSignaturesOf(w, s), publicURL, pinOf(w, s), at))
	})
}

// JWS returns the plan of a webhook's scheme that is a JSON Web Token.
func (c *Plans) JWS(s *policyv1.Scheme, w *policyv1.Webhook, publicURL string, at strictyaml.Place) *signature.JWSPlan {
	return planned(c, newPlanKey(s, w, publicURL), func() *signature.JWSPlan {
		return signature.NewJWSPlan(c.jwsConfig(s.GetJws(), MaxSignaturesOf(w, s), publicURL, at.At("scheme", "jws")))
	})
}

// HTTP returns the plan of a webhook's scheme that is a signature of HTTP messages.
func (c *Plans) HTTP(s *policyv1.Scheme, w *policyv1.Webhook, publicURL string, at strictyaml.Place) *signature.HTTPPlan {
	return planned(c, newPlanKey(s, w, publicURL), func() *signature.HTTPPlan {
		return signature.NewHTTPPlan(c.httpConfig(s.GetHttpSignature(), MaxSignaturesOf(w, s), publicURL, at))
	})
}

// Token returns the plan of token.jwt of a webhook. The place is its own.
func (c *Plans) Token(w *policyv1.Webhook, publicURL string, at strictyaml.Place) *signature.JWSPlan {
	config := c.jwsConfig(JWSOf(w.GetToken().GetJwt()), DefaultMaxSignatures, publicURL, at)
	return signature.NewJWSPlan(config)
}

// planKey is all that a plan is made of.
type planKey struct {
	// scheme is a *policyv1.Scheme of the catalogue, or the text of one that
	// stands in a policy.
	scheme        any
	publicURL     string
	maxSignatures int
	pin           signature.Pin
	parameters    string
}

func newPlanKey(s *policyv1.Scheme, w *policyv1.Webhook, publicURL string) planKey {
	key := planKey{scheme: s, publicURL: publicURL, maxSignatures: MaxSignaturesOf(w, s), pin: pinOf(w, s)}
	if w.GetParameters() != nil {
		encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(w.GetParameters())
		key.parameters = string(encoded)
	}
	if w.GetProvider() == "" {
		encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(s) // it was read from the same form
		key.scheme = string(encoded)
	}
	return key
}

// planned returns the plan of another webhook with the same scheme, or a new one.
// One with errors is not kept, so that each webhook has its own.
func planned[P any](c *Plans, key planKey, compile func() *P) *P {
	if known, ok := c.plans[key].(*P); ok {
		return known
	}
	before := c.faults.Len()
	plan := compile()
	if c.faults.Len() == before {
		c.plans[key] = plan
	}
	return plan
}

// PublicURL returns the URL that a webhook says it has outside; empty if it says
// none.
func (c *Plans) PublicURL(w *policyv1.Webhook, at strictyaml.Place) string {
	text := w.GetPublicUrl()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(text, "?#"):
		c.faults.Fail(at.At("public_url"), "must be scheme and host, such as https://hooks.example.com, and the path before it that a gateway takes off")
	case strings.HasSuffix(text, "/"):
		c.faults.Fail(at.At("public_url"), "must not end in a slash; the request's own path begins with one")
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.faults.Fail(at.At("public_url"), "has a character that cannot stand in a path; write it percent-encoded, as the provider knows it")
	}
	return text
}

// MaxSignaturesOf bounds the candidates of a request. A provider that numbers its
// headers has one for each of its keys.
func MaxSignaturesOf(w *policyv1.Webhook, s *policyv1.Scheme) int {
	if n := w.GetLimits().GetMaxSignatures(); n != 0 {
		return int(n)
	}
	if s.Signed().GetSignature().GetNumbered() {
		return MaxSignatures
	}
	if s.Public() {
		return DefaultMaxPublicSignatures
	}
	return DefaultMaxSignatures
}
