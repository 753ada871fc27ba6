package signature

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/httpsig"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// httpCandidate is one signature of the request in the form that all dialects share.
type httpCandidate struct {
	httpsig.Params
	value  []byte
	covers func(httpsig.Component) bool
	field  func(name string) bool // all of it
	name   func(name string) bool
	base   func(*httpsig.Message) ([]byte, httpsig.Problem)
}

// httpFailure is why a candidate does not count.
type httpFailure struct {
	reason          authz.Reason
	expected, found string
}

// Verify checks that one of the signatures is by a key of the webhook, over enough of
// the request, and then that its digest is the body's.
func (h *HTTP) Verify(call *authz.Call, f *authz.Fingerprinter) authz.Reason {
	fail := func(failure httpFailure) authz.Reason {
		call.Explain(failure.expected, failure.found)
		return failure.reason
	}
	if h.asksHost && !plainHost(call.Request.Host) {
		explainHost(call)
		return authz.SignatureMalformed
	}
	candidates, problem := h.read(call.Request.Headers)
	if problem.Exists() {
		return fail(httpFailure{problem.Reason, "signatures that can be read in one way", problem.Found})
	}
	failure := httpFailure{authz.SignatureMissing, h.expected(), "none"}
	tries := 0 // of all candidates
	for i := range candidates {
		if failure = h.verify(call, &candidates[i], f, &tries); failure.reason == authz.OK {
			call.Explain(h.expected(), failure.found)
			return authz.OK
		}
	}
	return fail(failure)
}

func (h *HTTP) expected() string {
	var names []string
	for _, c := range h.config.Required {
		names = append(names, c.Name())
	}
	text := "a signature"
	if h.config.Tag != "" {
		text += fmt.Sprintf(" with tag %q", h.config.Tag)
	}
	return text + " that covers " + strings.Join(names, ", ")
}

// read returns the signatures that are looked at.
func (h *HTTP) read(headers authz.Headers) ([]httpCandidate, httpsig.Problem) {
	if h.config.Cavage != "" {
		c, problem := httpsig.ReadCavage(headers, h.config.Cavage, h.config.CavageDefault)
		if problem.Exists() || c == nil {
			return nil, problem
		}
		// These parameters are signed only where they are listed. Who has a delivery could add
		// or change any other, and make a copy look new. An expires that nothing signs can end
		// a delivery's life, but is not the one that a policy asks for.
		params := httpsig.Params{
			Created: c.Created, HasCreated: c.HasCreated && c.Covers("(created)"),
			Expires: c.Expires, HasExpires: c.HasExpires && (!h.config.Expires || c.Covers("(expires)")),
			KeyID: c.KeyID, HasKeyID: true, Alg: c.Algorithm,
		}
		return []httpCandidate{{params, c.Value, func(of httpsig.Component) bool { return c.Covers(cavageName(of)) }, c.Covers, c.Covers, c.Base}}, httpsig.Problem{}
	}
	all, problem := httpsig.Read(headers, h.config.MaxSignatures, h.config.Dialect)
	var candidates []httpCandidate
	for i := range all {
		s := &all[i]
		if h.config.Label == "" || s.Label == h.config.Label {
			candidates = append(candidates, httpCandidate{s.Params, s.Value, s.Covers, s.CoversField, s.CoversName, s.Base})
		}
	}
	return candidates, problem
}

// cavageName is what the draft calls a component of RFC 9421.
func cavageName(c httpsig.Component) string {
	if c.Name() == "@request-target" {
		return "(request-target)"
	}
	return c.Name()
}

// verify judges one signature: what it covers first, then who made it, then what it
// says, since nothing of it is true before.
func (h *HTTP) verify(call *authz.Call, s *httpCandidate, f *authz.Fingerprinter, tries *int) httpFailure {
	if failure := h.enough(call.Request, s); failure.reason != authz.OK {
		return failure
	}
	var base []byte
	var match *key
	var valid, unavailable bool
	for _, m := range h.messages(call.Request) {
		var problem httpsig.Problem
		if base, problem = s.base(m); problem.Exists() {
			return httpFailure{problem.Reason, "what the signature covers", problem.Found}
		}
		if match, valid, unavailable = h.by(call, s, base, tries); match != nil {
			break
		}
	}
	if match == nil && unavailable {
		return httpFailure{authz.KeysUnavailable, "the key that the signature names", "keys that are being fetched"}
	}
	if reason := h.keys.verdict(call, match, valid); reason != authz.OK {
		return httpFailure{reason, fmt.Sprintf("a signature by %s with one of the keys %s", h.algorithms(), h.keys.names(call.Now)),
			fmt.Sprintf("keyid %.60q, alg %.30q: ", s.KeyID, s.Alg) + foundText(match, valid, 1)}
	}
	signed, failure := h.holds(call, s)
	if failure.reason != authz.OK {
		return failure
	}
	call.SignedTime = signed
	if f != nil {
		call.Fingerprint, call.Alternate = h.fingerprint(call, s, base, f)
	}
	call.Proof = authz.ProofSignature
	if h.config.BodyUnsigned {
		call.Proof = authz.ProofPartial
	}
	return httpFailure{authz.OK, "", "a signature by key " + match.ID}
}

// enough looks at what can be known without a key.
func (h *HTTP) enough(req *authz.Request, s *httpCandidate) httpFailure {
	no := func(expected, found string) httpFailure { return httpFailure{authz.SignatureInvalid, expected, found} }
	if h.config.Tag != "" && s.Tag != h.config.Tag {
		return no(fmt.Sprintf("tag %q", h.config.Tag), fmt.Sprintf("tag %.60q", s.Tag))
	}
	if s.Alg != "" && len(h.named(s.Alg)) == 0 {
		return no("an algorithm of "+h.algorithms(), fmt.Sprintf("%.60q", s.Alg))
	}
	for _, c := range h.config.Required {
		if !s.covers(c) {
			return no("a signature that covers "+c.String(), "one that does not")
		}
	}
	for _, c := range h.config.IfPresent {
		if present(req, c.Name()) && !s.name(c.Name()) {
			return no("a signature that covers "+c.Name()+", which is there", "one that does not")
		}
	}
	switch {
	case h.ReadsBody() && req.Body.Len() > 0 && !s.field(h.config.Digest):
		return no("a signature that covers "+h.config.Digest+", since there is a body", "one that does not")
	case h.config.Time == Date && !s.field("date"):
		return no("a signature that covers date", "one that does not")
	case h.config.Time == Created && !s.HasCreated:
		return httpFailure{authz.TimestampMissing, "the parameter created", "none"}
	case h.config.Expires && !s.HasExpires:
		return httpFailure{authz.TimestampMissing, "the parameter expires", "none"}
	case h.config.Nonce && s.Params.Nonce == "":
		return no("the parameter nonce", "none")
	case s.HasCreated && s.HasExpires && s.Expires <= s.Created:
		return httpFailure{authz.TimestampMalformed, "expires behind created", "one that is not"}
	case h.config.Lifetime > 0 && s.HasExpires && (!s.HasCreated || s.Expires-s.Created > int64(h.config.Lifetime/time.Second)):
		return httpFailure{authz.TimestampMalformed, "a signature for at most " + h.config.Lifetime.String(), "one for longer"}
	}
	return httpFailure{reason: authz.OK}
}

// present reports whether a request has what a component names.
func present(req *authz.Request, name string) bool {
	if name == "@query" {
		return bytes.IndexByte(req.Path, '?') >= 0
	}
	_, count := req.Headers.Lookup(name)
	return count > 0 || name[0] == '@'
}

// named returns the algorithms that a signature may mean by a name. hs2019 leaves it to
// the key.
func (h *HTTP) named(name string) []HTTPAlgorithm {
	if name == "" || h.config.Cavage != "" && name == "hs2019" {
		return h.config.Algorithms
	}
	var all []HTTPAlgorithm
	for _, a := range h.config.Algorithms {
		if slices.Contains(a.Names, name) {
			all = append(all, a)
		}
	}
	return all
}

func (h *HTTP) algorithms() string {
	var names []string
	for _, a := range h.config.Algorithms {
		names = append(names, a.Names[0])
	}
	return strings.Join(names, " or ")
}

// messages are the request in the forms in which its sender may know it: as it is, and
// where a gateway took all of the path off, without the slash that is left.
func (h *HTTP) messages(req *authz.Request) []*httpsig.Message {
	all := []*httpsig.Message{h.message(req)}
	if path, query, _ := bytes.Cut(req.Path, []byte{'?'}); len(h.public.prefix) > 0 && len(path) == 1 {
		bare := *all[0]
		bare.Path = string(h.public.prefix)
		if len(query) > 0 {
			bare.Path += "?" + string(query)
		}
		all = append(all, &bare)
	}
	return all
}

// message is the request as its sender knows it.
func (h *HTTP) message(req *authz.Request) *httpsig.Message {
	m := &httpsig.Message{
		Method: string(req.Method), Scheme: "https", Host: string(req.Host),
		Path: string(h.public.prefix) + string(req.Path), Headers: req.Headers,
	}
	if len(h.public.origin) > 0 {
		m.Scheme, m.Host, _ = strings.Cut(string(h.public.origin), "://")
		if at := strings.LastIndexByte(m.Host, '@'); at >= 0 {
			m.Host = m.Host[at+1:] // the credentials are in no component
		}
	}
	return m
}

// by finds the key that made the signature. One that names its key is tried with that
// key alone; one that names none with each, as long as the request has caused no more than
// maxVerifications.
func (h *HTTP) by(call *authz.Call, s *httpCandidate, base []byte, tries *int) (match *key, valid, unavailable bool) {
	algorithms := h.named(s.Alg)
	match, valid = h.keys.match(call, nil, func(k *key) bool {
		named := func(public *publickey.Key) bool {
			return !s.HasKeyID || secret.Equal([]byte(s.KeyID), []byte(k.name(public)))
		}
		for _, a := range algorithms {
			if a.Public.Kind == 0 {
				if k.Reader == nil && k.Source == nil && named(nil) && h.hmacHolds(k, base, s.value) {
					return true
				}
				continue
			}
			public := k.public
			if k.Source != nil {
				var id authz.View
				if s.HasKeyID {
					id = authz.View(s.KeyID)
				}
				var reason authz.Reason
				public, reason = k.Source.Find(call, id)
				unavailable = unavailable || reason == authz.KeysUnavailable
			}
			content := a.Public.Content(base)
			for i := range public {
				if k.Source == nil && !named(&public[i]) {
					continue
				}
				if *tries++; *tries > maxVerifications {
					return false
				}
				if a.Public.Verify(&public[i], content, s.value) {
					return true
				}
			}
		}
		return false
	})
	return match, valid, unavailable
}

func (h *HTTP) hmacHolds(k *key, base, value []byte) bool {
	mac := hmac.New(sha256.New, k.Secret.Reveal())
	_, _ = mac.Write(base) // hashes never fail
	return secret.Equal(mac.Sum(nil), value)
}

// holds compares what a signature that held says with the body and the time, and
// returns the signed time.
func (h *HTTP) holds(call *authz.Call, s *httpCandidate) (signed time.Time, failure httpFailure) {
	if s.field(h.config.Digest) {
		problem := httpsig.Digest(call.Request.Headers, &call.Request.Body)
		if h.config.Digest == "content-digest" {
			problem = httpsig.ContentDigest(call.Request.Headers, &call.Request.Body, h.config.Dialect)
		}
		if problem.Exists() {
			return signed, httpFailure{problem.Reason, "the digest of this body in " + h.config.Digest, problem.Found}
		}
	}
	if s.HasExpires && call.Now.Unix() >= s.Expires {
		return signed, httpFailure{authz.TokenExpired, "a signature whose expires is not over", "one that expired at " + time.Unix(s.Expires, 0).UTC().Format(time.RFC3339)}
	}
	if s.HasCreated && h.config.Time != NoTime {
		signed = time.Unix(s.Created, 0)
	}
	if h.config.Time == Date {
		value, count := call.Request.Headers.Lookup("date")
		date, err := time.Parse(httpDate, string(value))
		if count != 1 || err != nil {
			return signed, httpFailure{authz.TimestampMalformed, "one date as HTTP writes it", fmt.Sprintf("%d, %.60q", count, value)}
		}
		if !s.HasCreated || date.Before(signed) {
			signed = date
		}
	}
	return signed, httpFailure{reason: authz.OK}
}

// httpDate is the one form of a date that is sent (RFC 9110 §5.6.7).
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// fingerprint stands for what was signed: the lines of the base in an order that no
// signature chooses, and the time. Not the parameters: a sender that signs with two
// keys, for a rotation, has two sets of them for one delivery.
func (h *HTTP) fingerprint(call *authz.Call, s *httpCandidate, base []byte, f *authz.Fingerprinter) (current, alternate authz.Fingerprint) {
	lines := strings.Split(string(base), "\n")
	if h.config.Cavage == "" {
		lines = lines[:len(lines)-1] // @signature-params
	}
	slices.Sort(lines)
	if s.HasCreated && h.config.Time != NoTime {
		lines = append(lines, fmt.Sprintf("created: %d", s.Created))
	}
	if h.config.Nonce {
		lines = append(lines, "nonce: "+s.Params.Nonce)
	}
	digest := f.Begin(call.Identity, call.Tenant)
	for _, line := range lines {
		digest.Framed([]byte(line))
	}
	return f.End(digest)
}
