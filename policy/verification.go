package policy

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/authz/token"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// verification is what a webhook asks for as proof.
type verification struct {
	checks       []authz.Check
	signsBody    bool
	deniedStatus int
}

func (c *compiler) verification(w *policyv1.Webhook, at place) verification {
	var v verification
	before := len(c.errs)
	schemes := c.schemes(w, at, &v)
	keys := c.secrets(w, at)
	publicURL := c.publicURL(w, at)
	signed := &signature.Check{Fingerprinter: c.deps.Fingerprinter}
	issued, configured := &token.Check{}, &token.Check{}
	for _, s := range schemes {
		switch kind := s.GetKind().(type) {
		case *policyv1.Scheme_Hmac:
			if hmac := c.hmac(kind.Hmac, w, keys, publicURL, at); hmac != nil {
				signed.Schemes = append(signed.Schemes, hmac)
				v.signsBody = v.signsBody || hmac.Config().SignsBody()
			}
		case *policyv1.Scheme_SharedToken:
			for _, k := range keys {
				issued.Candidates = append(issued.Candidates, candidate(k, kind.SharedToken.GetHeader(), ""))
			}
		}
	}
	c.tokenRules(w.GetToken(), at.at("token"), configured)
	// After an error, what else seems to be missing may follow from it.
	good := len(c.errs) == before
	c.agree(w, at, len(schemes) > 0)
	if good {
		c.noEffect(w, at, schemes, len(signed.Schemes) > 0)
	}
	for _, check := range []*token.Check{configured, issued} {
		if len(check.Candidates) > 0 {
			v.checks = append(v.checks, check)
		}
	}
	if len(signed.Schemes) > 0 {
		v.checks = append(v.checks, signed)
		v.checks = append(v.checks, c.timeChecks(w, schemes)...)
	}
	return v
}

// agree looks for settings that contradict each other or have no effect.
func (c *compiler) agree(w *policyv1.Webhook, at place, hasScheme bool) {
	proofs := hasScheme || w.GetToken() != nil
	switch {
	case w.GetUnverified() != nil && (proofs || w.GetProvider() != "" || w.GetScheme() != nil):
		c.fail(at.at("unverified"), "contradicts provider, scheme or token; a webhook is verified or it is not")
	case w.GetUnverified() == nil && !proofs && w.GetProvider() == "" && w.GetScheme() == nil:
		c.fail(at, "has no verification: give it provider, scheme or token, or say unverified: {reason: …}")
	case len(w.GetSecrets()) > 0 && !hasScheme && w.GetProvider() == "":
		c.fail(at.at("secrets"), "have no use without provider or scheme")
	}
}

// noEffect looks for what has no effect without a signature, or without one
// over a time.
func (c *compiler) noEffect(w *policyv1.Webhook, at place, schemes []*policyv1.Scheme, signed bool) {
	if w.GetFreshness() != nil && signedTime(schemes) == nil {
		c.fail(at.at("freshness"), "needs a signature over a time; this webhook has none")
	}
	if w.GetReplay() != nil && !signed {
		c.fail(at.at("replay"), "needs a signature over the content; a token covers nothing")
	}
}

// schemes returns the schemes that the webhook accepts.
func (c *compiler) schemes(w *policyv1.Webhook, at place, v *verification) []*policyv1.Scheme {
	switch {
	case w.GetProvider() != "" && w.GetScheme() != nil:
		c.fail(at.at("scheme"), "contradicts provider; give one of them")
		return nil
	case w.GetScheme() != nil:
		if w.GetProviderScheme() != "" {
			c.fail(at.at("provider_scheme"), "has no use without provider")
		}
		return []*policyv1.Scheme{w.GetScheme()}
	case w.GetProvider() == "":
		if w.GetProviderScheme() != "" {
			c.fail(at.at("provider_scheme"), "has no use without provider")
		}
		return nil
	}
	p, err := provider.Get(w.GetProvider())
	if err != nil {
		c.fail(at.at("provider"), "the catalogue cannot be read: "+err.Error())
		return nil
	}
	if p == nil {
		names, _ := provider.Names() // read without an error above
		c.fail(at.at("provider"), strconv.Quote(w.GetProvider())+" is not in the catalogue"+strictyaml.Suggest(w.GetProvider(), names))
		return nil
	}
	v.deniedStatus = int(p.GetDeniedStatus())
	var schemes []*policyv1.Scheme
	var names []string
	for _, s := range p.GetSchemes() {
		names = append(names, s.GetName())
		if w.GetProviderScheme() == s.GetName() || w.GetProviderScheme() == "" && !s.GetOptional() {
			schemes = append(schemes, s.GetScheme())
		}
	}
	if len(schemes) == 0 {
		c.fail(at.at("provider_scheme"), strconv.Quote(w.GetProviderScheme())+" is not a scheme of "+p.GetName()+
			", which has "+strings.Join(names, ", ")+strictyaml.Suggest(w.GetProviderScheme(), names))
	}
	return schemes
}

// loaded is a secret with its place.
type loaded struct {
	signature.Key
	format policyv1.Secret_Format
	at     place
}

func (c *compiler) secrets(w *policyv1.Webhook, at place) []loaded {
	needed := w.GetProvider() != "" || w.GetScheme() != nil
	if needed && len(w.GetSecrets()) == 0 {
		c.fail(at, "needs secrets: the keys that deliveries are signed with")
	}
	var keys []loaded
	ids := map[string]int{}
	for i, s := range w.GetSecrets() {
		here := at.at("secrets", i)
		key := loaded{at: here, format: s.GetFormat()}
		if key.ID = s.GetId(); key.ID == "" {
			key.ID = strconv.Itoa(i + 1)
		}
		if first, ok := ids[key.ID]; ok {
			c.fail(here.at("id"), key.ID+" is the id of another secret, at "+at.at("secrets", first).String())
		}
		ids[key.ID] = i
		if s.GetNotBefore() != nil {
			key.NotBefore = s.GetNotBefore().AsTime()
		}
		if s.GetNotAfter() != nil {
			key.NotAfter = s.GetNotAfter().AsTime()
			if !key.NotAfter.After(key.NotBefore) {
				c.fail(here.at("not_after"), "must be later than not_before")
			}
		}
		if value, ok := c.load(s.GetFile(), s.GetEnv(), here); ok {
			key.Secret = value
			keys = append(keys, key)
		}
	}
	return keys
}

// load reads a secret. A relative path begins at the policy file's directory.
func (c *compiler) load(file, env string, at place) (secret.Value, bool) {
	ref, step := secret.Ref{Env: env}, "env"
	if file != "" {
		ref, step = secret.Ref{File: relativeTo(at.doc.File, file)}, "file"
	}
	value, err := ref.Load()
	if err != nil {
		message := err.Error()
		if name := ref.String(); strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
			message = strings.Replace(message, name, strconv.Quote(name), 1)
		}
		c.fail(at.at(step), message)
		return secret.Value{}, false
	}
	return value, true
}

// decode makes a key of a secret as the scheme or the secret's format says.
func (c *compiler) decode(k loaded, h *policyv1.Hmac) (signature.Key, bool) {
	var value secret.Value
	var err error
	switch k.format {
	case policyv1.Secret_TEXT:
		value, err = k.Secret.Decode(secret.Text)
	case policyv1.Secret_HEX:
		value, err = k.Secret.Decode(secret.Hex)
	case policyv1.Secret_BASE64:
		value, err = k.Secret.Decode(secret.Base64)
	default:
		encoding := map[policyv1.Key_Encoding]secret.Encoding{
			policyv1.Key_BASE64: secret.Base64,
			policyv1.Key_HEX:    secret.Hex,
		}[h.GetKeyEncoding()]
		value, err = k.Secret.Decode(encoding, h.GetKeyPrefixes()...)
	}
	if err != nil {
		c.fail(k.at, "cannot be a key of this scheme: "+err.Error())
		return signature.Key{}, false
	}
	key := k.Key
	key.Secret = value
	return key, true
}

func candidate(k loaded, header, scheme string) token.Candidate {
	return token.Candidate{
		ID: k.ID, Header: strings.ToLower(header), Scheme: scheme,
		Secret: k.Secret, Digest: secret.DigestOf(k.Secret.Reveal()),
		NotBefore: k.NotBefore, NotAfter: k.NotAfter,
	}
}

func (c *compiler) tokenRules(t *policyv1.Token, at place, check *token.Check) {
	for i, rule := range t.GetAnyOf() {
		here, header, scheme := at.at("any_of", i), "authorization", "bearer"
		value, step := rule.GetBearer().GetValue(), "bearer"
		if h := rule.GetHeader(); h != nil {
			header, scheme, value, step = h.GetName(), "", h.GetValue(), "header"
		}
		if loadedValue, ok := c.load(value.GetFile(), value.GetEnv(), here.at(step, "value")); ok {
			k := loaded{Key: signature.Key{ID: "token-" + strconv.Itoa(i+1), Secret: loadedValue}}
			check.Candidates = append(check.Candidates, candidate(k, header, scheme))
		}
	}
}

// timeChecks returns the freshness and replay checks of a signed webhook.
func (c *compiler) timeChecks(w *policyv1.Webhook, schemes []*policyv1.Scheme) []authz.Check {
	check := &replay.Check{Store: c.deps.Store, Window: DefaultWindow}
	if w.GetReplay().GetOnReplay() == policyv1.Replay_MARK {
		check.OnCopy = replay.MarkCopy
	}
	if window := w.GetReplay().GetWindow(); window != nil {
		check.Window = window.AsDuration()
	}
	var checks []authz.Check
	if stamp := signedTime(schemes); stamp != nil {
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
		check.Watermark = c.watermark(w, check)
		checks = append(checks, fresh)
	}
	return append(checks, check)
}

// watermark is now for webhooks that accept what they did not accept before, or
// whose nonces were kept for another time or by another tenant: they are not
// found again.
func (c *compiler) watermark(w *policyv1.Webhook, check *replay.Check) time.Time {
	if c.deps.Previous == nil {
		return time.Time{}
	}
	before := c.deps.Previous.Webhook(w.GetName())
	if before == nil || !c.deps.Previous.SameTenant(w.GetName(), w.GetMatch().GetPath()) {
		return c.deps.Now
	}
	for _, other := range before.Chain {
		if r, ok := other.(*replay.Check); ok && r.Tolerance >= check.Tolerance && r.Span() == check.Span() {
			return r.Watermark
		}
	}
	return c.deps.Now
}

// signedTime returns the time of the schemes, which all have one or none have.
func signedTime(schemes []*policyv1.Scheme) *policyv1.Timestamp {
	for _, s := range schemes {
		if stamp := s.GetHmac().GetTimestamp(); stamp != nil {
			return stamp
		}
	}
	return nil
}

func (c *compiler) publicURL(w *policyv1.Webhook, at place) string {
	text := w.GetPublicUrl()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Scheme+"://"+u.Host != text {
		c.fail(at.at("public_url"), "must be scheme and host only, such as https://hooks.example.com")
	}
	return text
}

// hmac compiles a scheme. It returns nil after an error.
func (c *compiler) hmac(h *policyv1.Hmac, w *policyv1.Webhook, keys []loaded, publicURL string, at place) *signature.HMAC {
	before := len(c.errs)
	config := c.hmacConfig(h, w, publicURL, at)
	var decoded []signature.Key
	for _, k := range keys {
		if key, ok := c.decode(k, h); ok {
			decoded = append(decoded, key)
		}
	}
	if len(c.errs) > before || len(decoded) == 0 {
		return nil
	}
	hmac, err := signature.New(config, decoded)
	if err != nil {
		c.fail(at.at("secrets"), err.Error())
		return nil
	}
	return hmac
}

func lower(names []string) []string {
	out := slices.Clone(names)
	for i := range out {
		out[i] = strings.ToLower(out[i])
	}
	return out
}
