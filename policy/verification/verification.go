// Package verification compiles what a webhook asks for as proof: the schemes of its
// provider or its own, with its secrets, its tokens, how old a delivery may be and what
// happens to copies. It reports what contradicts, and what would have no effect.
package verification

import (
	"crypto/x509"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/authz/token"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/scheme"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/watermark"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Defaults of the policy language.
const (
	DefaultTolerance = 300 * time.Second
	DefaultFuture    = 60 * time.Second
	DefaultWindow    = 24 * time.Hour
)

// Compiler compiles what the webhooks of one set ask for as proof. It is not safe for
// concurrent use.
type Compiler struct {
	// Faults is told of what is wrong.
	Faults *strictyaml.Faults
	// Keys, Plans and Marks are those of the set.
	Keys  *keys.Loader
	Plans *scheme.Plans
	Marks *watermark.Marks
	// Store holds the nonces; Settler, which may be nil, ends what is reserved in it.
	Store   replay.Store
	Settler *replay.Settler
	// Fingerprinter makes the keys of the store.
	Fingerprinter *authz.Fingerprinter
	// Tenants returns the cache of the set's tenants.
	Tenants func() *tenant.Cache
	// Roots are the authorities of signing certificates; nil: those of the machine.
	Roots *x509.CertPool
	// Lasting says that the store outlives the process and is that of all replicas, and
	// Pretend that nothing is to be written.
	Lasting, Pretend bool
	// Named are the files that the set has secrets in.
	Named map[string]bool

	learners map[string]string // webhooks that have learnt, by the file
}

// Verification is what a webhook asks for as proof.
type Verification struct {
	Checks []authz.Check
	// ReadsBody says that one of the checks must have the whole body.
	ReadsBody bool
	// DeniedStatus, 0 for the usual one, DeniedHeaders and DeniedEmpty are what the
	// provider wants of a denial.
	DeniedStatus  int
	DeniedHeaders []authz.Header
	DeniedEmpty   bool
	// Challenge is what the sender of a missing password is told.
	Challenge string
	// Handshakes are what the checks answer themselves; nil if nothing.
	Handshakes *handshake.Set
}

// basicChallenge asks for a password (RFC 7617). Of what is behind it, the realm
// says nothing.
const basicChallenge = `Basic realm="webhooks", charset="UTF-8"`

// Webhook compiles what a webhook asks for. After an error it is of no use.
func (c *Compiler) Webhook(w *policyv1.Webhook, at strictyaml.Place) Verification {
	var v Verification
	before := c.Faults.Len()
	c.Keys.Tenants = nil
	schemes := c.schemes(w, at, &v)
	c.Plans.Parameters(w, schemes, at)
	learnt, there := c.learnt(w, at)
	loaded := c.Keys.Secrets(w, at, !publishes(schemes) && w.GetHandshake().GetLearnt() == nil)
	if there {
		loaded = append(loaded, learnt)
	}
	c.learntBeside(w, at)
	publicURL := c.Plans.PublicURL(w, at)
	signed := &signature.Check{Fingerprinter: c.Fingerprinter}
	issued, configured := &token.Check{}, &token.Check{}
	for _, s := range schemes {
		if t := s.GetSharedToken(); t != nil {
			if len(s.GetPins()) > 0 {
				c.Faults.Fail(at.At("scheme", "pins"), "need a signature; a token covers nothing of the body")
			}
			for i := range loaded {
				if candidate, ok := c.Keys.Candidate(&loaded[i], keys.TokenPlace(t)); ok {
					issued.Candidates = append(issued.Candidates, candidate)
				}
			}
			v.ReadsBody = v.ReadsBody || t.GetJson() != ""
			continue
		}
		when := c.Plans.When(s, at)
		if compiled := c.scheme(s, w, loaded, publicURL, at); compiled != nil {
			signed.Schemes = append(signed.Schemes, compiled)
			signed.Pinned = append(signed.Pinned, c.Plans.Pinned(s))
			signed.When = append(signed.When, when)
			v.ReadsBody = v.ReadsBody || scheme.WhenReadsBody(s)
			v.ReadsBody = v.ReadsBody || len(s.GetPins()) > 0
			v.ReadsBody = v.ReadsBody || compiled.ReadsBody()
		}
	}
	c.credentialsUsed(w, schemes, at)
	c.Keys.Tokens(w, at.At("token"), configured)
	v.ReadsBody = v.ReadsBody || slices.ContainsFunc(configured.Candidates, func(c token.Candidate) bool { return c.JSON != "" })
	var jwt *signature.TokenCheck
	if w.GetToken().GetJwt() != nil {
		jwt, v.ReadsBody = c.token(w, publicURL, at.At("token", "jwt")), true
	}
	waits := w.GetHandshake().GetLearnt() != nil && len(loaded) == 0 && len(schemes) > 0
	// After an error, what else seems to be missing may follow from it.
	good := c.Faults.Len() == before
	c.agree(w, at, len(schemes) > 0)
	if good {
		c.noEffect(w, at, schemes, len(signed.Schemes) > 0 || jwt != nil || waits)
		c.handshakes(w, schemes, loaded, publicURL, at, &v)
	}
	if waits {
		notYet(&v)
	}
	if len(c.Keys.Tenants) > 0 && c.Faults.Len() == before {
		v.Checks = append(v.Checks, &tenant.Check{Source: c.Tenants().NewSource(c.Keys.Tenants)})
	}
	if v.challenged(w, configured, issued) {
		v.Challenge = basicChallenge
	}
	for _, check := range []*token.Check{configured, issued} {
		if len(check.Candidates) > 0 {
			v.Checks = append(v.Checks, check)
		}
	}
	if jwt != nil {
		v.Checks = append(v.Checks, jwt)
		if len(signed.Schemes) == 0 {
			jwt.Fingerprinter = c.Fingerprinter // copies are known by the token
		}
	}
	if len(signed.Schemes) > 0 {
		v.Checks = append(v.Checks, signed)
	}
	if jwt != nil || len(signed.Schemes) > 0 {
		v.Checks = append(v.Checks, c.timeChecks(w, at, schemes)...)
	}
	return v
}

// challenged reports whether a missing password is asked for. Senders that take it
// from a URL send it after a challenge only, such as Twilio. An entry of the
// catalogue that is refused with another status sends it at once.
func (v *Verification) challenged(w *policyv1.Webhook, configured, issued *token.Check) bool {
	if status := w.GetRespond().GetDeniedStatus(); status != 0 && status != authz.DefaultDeniedStatus {
		return false
	}
	basic := func(c token.Candidate) bool { return c.Basic }
	return slices.ContainsFunc(configured.Candidates, basic) ||
		slices.ContainsFunc(issued.Candidates, basic) && (v.DeniedStatus == 0 || v.DeniedStatus == authz.DefaultDeniedStatus)
}

// agree looks for settings that contradict each other or have no effect.
func (c *Compiler) agree(w *policyv1.Webhook, at strictyaml.Place, hasScheme bool) {
	proofs := hasScheme || w.GetToken() != nil
	switch {
	case w.GetUnverified() != nil && (proofs || w.GetProvider() != "" || w.GetScheme() != nil):
		c.Faults.Fail(at.At("unverified"), "contradicts provider, scheme or token; a webhook is verified or it is not")
	case w.GetUnverified() == nil && !proofs && w.GetProvider() == "" && w.GetScheme() == nil:
		c.Faults.Fail(at, "has no verification: give it provider, scheme or token, or say unverified: {reason: …}")
	case w.GetToken() != nil && len(w.GetToken().GetAnyOf()) == 0 && w.GetToken().GetJwt() == nil:
		c.Faults.Fail(at.At("token"), "needs any_of or jwt")
	case len(w.GetSecrets()) > 0 && !hasScheme && w.GetProvider() == "":
		c.Faults.Fail(at.At("secrets"), "have no use without provider or scheme")
	}
}

// noEffect looks for what has no effect without a signature, or without one
// over a time.
func (c *Compiler) noEffect(w *policyv1.Webhook, at strictyaml.Place, schemes []*policyv1.Scheme, signed bool) {
	if _, timed := signedTime(schemes); w.GetFreshness() != nil && !timed {
		c.Faults.Fail(at.At("freshness"), "needs a signature over a time; this webhook has none")
	}
	if w.PinnedQuery != nil && !slices.ContainsFunc(schemes, scheme.SignsQuery) {
		c.Faults.Fail(at.At("pinned_query"), "has no use: the scheme does not sign the query as it stands")
	}
	if w.GetReplay() != nil && !signed {
		c.Faults.Fail(at.At("replay"), "needs a signature over the content or a JSON Web Token; a static token covers nothing")
	}
	if len(w.GetFormerly()) > 0 && !signed {
		c.Faults.Fail(at.At("formerly"), "needs a signature over the content or a JSON Web Token; of others nothing is remembered")
	}
}

// schemes returns the schemes that the webhook accepts.
func (c *Compiler) schemes(w *policyv1.Webhook, at strictyaml.Place, v *Verification) []*policyv1.Scheme {
	switch {
	case w.GetProvider() != "" && w.GetScheme() != nil:
		c.Faults.Fail(at.At("scheme"), "contradicts provider; give one of them")
		return nil
	case w.GetScheme() != nil:
		if w.GetProviderScheme() != "" {
			c.Faults.Fail(at.At("provider_scheme"), "has no use without provider")
		}
		return []*policyv1.Scheme{w.GetScheme()}
	case w.GetProvider() == "":
		if w.GetProviderScheme() != "" {
			c.Faults.Fail(at.At("provider_scheme"), "has no use without provider")
		}
		return nil
	}
	p, err := provider.Get(w.GetProvider())
	if err != nil {
		c.Faults.Fail(at.At("provider"), "the catalogue cannot be read: "+err.Error())
		return nil
	}
	if p == nil {
		names, _ := provider.Names() // read without an error above
		c.Faults.Fail(at.At("provider"), strconv.Quote(w.GetProvider())+" is not in the catalogue"+strictyaml.Suggest(w.GetProvider(), names))
		return nil
	}
	v.DeniedStatus, v.DeniedEmpty = int(p.GetDeniedStatus()), p.GetDeniedEmpty()
	for _, h := range p.GetDeniedHeaders() {
		v.DeniedHeaders = append(v.DeniedHeaders, authz.Header{Name: authz.View(strings.ToLower(h.GetName())), Value: authz.View(h.GetValue())})
	}
	schemes := provider.Accepted(p, w.GetProviderScheme())
	if len(schemes) == 0 {
		var names []string
		for _, s := range p.GetSchemes() {
			names = append(names, s.GetName())
		}
		c.Faults.Fail(at.At("provider_scheme"), strconv.Quote(w.GetProviderScheme())+" is not a scheme of "+p.GetName()+
			", which has "+strings.Join(names, ", ")+strictyaml.Suggest(w.GetProviderScheme(), names))
	}
	return schemes
}

// timeChecks returns the freshness and replay checks of a signed webhook.
func (c *Compiler) timeChecks(w *policyv1.Webhook, at strictyaml.Place, schemes []*policyv1.Scheme) []authz.Check {
	check := &replay.Check{Store: c.Store, Settler: c.Settler, Window: DefaultWindow, Likenesses: c.Fingerprinter}
	if window := w.GetReplay().GetWindow(); window != nil {
		check.Window = window.AsDuration()
	}
	var checks []authz.Check
	stamp, timed := signedTime(schemes)
	check.OnCopy, check.Rules = replayRules(w.GetReplay(), c.retry(w), timed)
	if c.Settler.OnlyFailures() && w.GetReplay().GetOnReplay() == policyv1.Replay_ACKNOWLEDGE {
		c.Faults.Fail(at.At("replay", "on_replay"), "ACKNOWLEDGE needs the whole access log, and the setting replay.access_log is FAILURES: no delivery is known to have been taken")
	}
	if timed {
		fresh := &replay.Freshness{Tolerance: DefaultTolerance, Future: DefaultFuture}
		if stamp.GetTolerance() != nil {
			fresh.Tolerance = stamp.GetTolerance().AsDuration()
		}
		if stamp.GetFuture() != nil {
			fresh.Future = stamp.GetFuture().AsDuration()
		}
		if tolerance := w.GetFreshness().GetTolerance(); tolerance != nil {
			fresh.Tolerance = tolerance.AsDuration()
		}
		if future := w.GetFreshness().GetFuture(); future != nil {
			fresh.Future = future.AsDuration()
		}
		check.Tolerance, check.Future = fresh.Tolerance, fresh.Future
		checks = append(checks, fresh)
	}
	check.Watermark = c.Marks.Of(w, check)
	return append(checks, check)
}

// signedTime returns the time of the schemes, which all have one or none have.
func signedTime(schemes []*policyv1.Scheme) (policyv1.Stamp, bool) {
	for _, s := range schemes {
		if t, signed := s.Stamp(); signed {
			return t, true
		}
	}
	return nil, false
}
