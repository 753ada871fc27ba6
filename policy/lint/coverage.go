package lint

import (
	"maps"
	"strings"

	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// coverage is what of a request a proof binds: what nobody can change who has no key.
type coverage struct {
	body, host, path, query, method, time bool
	// headers are by lower-case name.
	headers map[string]bool
}

// covered is what each scheme that the webhook accepts covers: a sender chooses which one
// a delivery is of.
func (w *webhook) covered() coverage {
	var all coverage
	schemes := w.schemes
	if t := w.GetToken().GetJwt(); t != nil && t.GetBodyHash() != nil && len(schemes) == 0 {
		return coverage{body: true}
	}
	for i, s := range schemes {
		one := coverageOf(s)
		if i == 0 {
			all = one
			continue
		}
		all = coverage{
			body: all.body && one.body, host: all.host && one.host, path: all.path && one.path,
			query: all.query && one.query, method: all.method && one.method, time: all.time && one.time, headers: all.headers,
		}
		maps.DeleteFunc(all.headers, func(name string, _ bool) bool { return !one.headers[name] })
	}
	return all
}

func coverageOf(s *policyv1.Scheme) coverage {
	c := coverage{headers: map[string]bool{}}
	_, c.time = s.Stamp()
	switch kind := s.GetKind().(type) {
	case *policyv1.Scheme_HttpSignature:
		c.body = !kind.HttpSignature.GetBodyUnsigned()
		for _, name := range kind.HttpSignature.GetRequired() {
			c.component(name)
		}
	case *policyv1.Scheme_Jws:
		c.token(kind.Jws)
	case *policyv1.Scheme_Code:
		c.body = true // of Adyen the fields that say what was paid
	case *policyv1.Scheme_SharedToken:
	default:
		c.body = s.SignsContent() && !s.Signed().GetBodyUnsigned()
		for _, part := range s.Signed().GetContent() {
			c.part(part)
			if part.GetTimestamp() != nil {
				c.headers[strings.ToLower(s.Signed().GetTimestamp().GetHeader())] = true
			}
		}
	}
	return c
}

func (c *coverage) part(part *policyv1.Part) {
	switch p := part.GetPart().(type) {
	case *policyv1.Part_Url:
		c.host, c.path, c.query = true, true, c.query || !p.Url.GetWithoutQuery()
	case *policyv1.Part_Path:
		c.path, c.query = true, c.query || !p.Path.GetWithoutQuery()
	case *policyv1.Part_Method:
		c.method = true
	case *policyv1.Part_Header:
		c.headers[strings.ToLower(p.Header.GetName())] = true
	case *policyv1.Part_Listed:
		for _, name := range p.Listed.GetRequired() {
			c.headers[name] = true
		}
	case *policyv1.Part_SortedQuery:
		c.query = true
	case *policyv1.Part_Code:
		switch p.Code {
		case policyv1.Part_PLIVO_V3:
			c.host, c.path, c.query = true, true, true
		case policyv1.Part_CONTENTFUL:
			c.method, c.path, c.query = true, true, true
		case policyv1.Part_MERCADO_PAGO:
			c.headers["x-request-id"] = true
		default:
		}
	default:
	}
}

// component is one that a signature of the HTTP message must cover (RFC 9421 section 2).
func (c *coverage) component(name string) {
	switch name = strings.ToLower(name); name {
	case "@method":
		c.method = true
	case "@target-uri":
		c.host, c.path, c.query = true, true, true
	case "@authority", "host":
		c.host = true
	case "@path":
		c.path = true
	case "@query":
		c.query = true
	case "@request-target", "(request-target)":
		c.path, c.query = true, true
		c.method = c.method || name == "(request-target)"
	default:
		c.headers[name] = true
	}
}

func (c *coverage) token(j *policyv1.Jws) {
	c.body = j.CoversBody()
	bound := j.GetAudienceUrl() && !j.GetAudienceOptional()
	line := j.GetDetached().GetRequestLine()
	c.host = bound || j.GetUrl() != nil
	c.path = j.CoversURL()
	c.query = j.GetUrl() != nil || j.GetQueryHash() || line
	c.method = j.GetQueryHash() || line
	for _, name := range j.GetDetached().GetRequired() {
		c.headers[strings.ToLower(name)] = true
	}
}

// strength is how much a webhook proves of what it forwards.
type strength int

const (
	nothing strength = iota // without verification, or in SHADOW
	tokenOnly
	partial
	signed
)

func (s strength) String() string {
	return [...]string{"nothing", "a token", "a signature that leaves something out", "a signature"}[s]
}

// strength is that of the weakest way to be accepted.
func (w *webhook) strength() strength {
	if w.GetUnverified() != nil || w.GetMode() == policyv1.Webhook_SHADOW {
		return nothing
	}
	words := map[string]strength{"token": tokenOnly, "partial": partial, "signature": signed}
	least := tokenOnly
	for i, s := range w.schemes {
		if one := words[provider.Proof(s)]; i == 0 || one < least {
			least = one
		}
	}
	if w.GetToken().GetJwt().GetBodyHash() != nil {
		least = signed
	}
	return least
}

// own reports whether the policy itself says how deliveries are proven. What a provider is
// weak in is not for the policy to mend.
func (w *webhook) own() bool { return w.provider == nil }
