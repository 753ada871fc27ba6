package keys

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/token"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Tokens compiles the tokens that a policy asks for beside a provider.
func (l *Loader) Tokens(w *policyv1.Webhook, at strictyaml.Place, check *token.Check) {
	ids := map[string]int{}
	var all []Loaded
	for i, rule := range w.GetToken().GetAnyOf() {
		here := at.At("any_of", i)
		in, value, step := rulePlace(rule)
		k := Loaded{At: here, webhook: w.GetName(), kind: "token", allowWeak: rule.GetAllowWeak().GetReason()}
		if k.ID = rule.GetId(); k.ID == "" {
			k.ID = "token-" + strconv.Itoa(i+1)
		}
		if first, ok := ids[k.ID]; ok {
			l.Faults.Fail(here.At("id"), k.ID+" is the id of another token, at "+at.At("any_of", first).String())
		}
		ids[k.ID] = i
		k.NotBefore, k.NotAfter = l.validity(rule, here)
		if value.GetDigest() != "" {
			check.Candidates = append(check.Candidates, l.digest(&k, value.GetDigest(), in))
			all = append(all, k)
			continue
		}
		if !l.load(&k, value.GetFile(), value.GetEnv(), here.At(step, "value")) {
			continue
		}
		all = append(all, k)
		if candidate, ok := l.Candidate(&k, in); ok {
			check.Candidates = append(check.Candidates, candidate)
		}
	}
	l.perTenant(w, all, "token")
}

// digest is a token of which the policy has the SHA-256 only.
func (l *Loader) digest(k *Loaded, text string, in token.Place) token.Candidate {
	digest, _ := secret.ParseDigest(strings.TrimPrefix(text, "sha256:")) // its pattern was checked
	candidate := token.Candidate{ID: k.ID, Place: in, Digest: digest, NotBefore: k.NotBefore, NotAfter: k.NotAfter}
	var weakness error
	if source := provider.PublishedDigest(candidate.Digest); source != "" {
		weakness = fmt.Errorf("%w: %s", ErrPublished, source)
	}
	if weakness != nil && l.Strict && k.allowWeak == "" {
		l.Faults.Fail(k.At, weakness.Error()+"; use another one, or say allow_weak: {reason: …}")
	}
	if l.OnKey != nil {
		l.OnKey(Key{
			Webhook: k.webhook, ID: k.ID, Kind: k.kind, Digest: text, NotBefore: k.NotBefore, NotAfter: k.NotAfter,
			Weakness: weakness, AllowWeak: k.allowWeak, Place: k.At.Error(""), Alike: l.alike(&candidate.Digest),
			Guessed: candidate.Digest.Guessable(),
		})
	}
	return candidate
}

func rulePlace(rule *policyv1.TokenRule) (in token.Place, value *policyv1.TokenValue, step string) {
	switch r := rule.GetRule().(type) {
	case *policyv1.TokenRule_Header_:
		return token.Place{Header: strings.ToLower(r.Header.GetName())}, r.Header.GetValue(), "header"
	case *policyv1.TokenRule_Basic_:
		return basicPlace, r.Basic.GetValue(), "basic"
	case *policyv1.TokenRule_Query_:
		return token.Place{Query: r.Query.GetName()}, r.Query.GetValue(), "query"
	case *policyv1.TokenRule_Json_:
		return token.Place{JSON: r.Json.GetPath()}, r.Json.GetValue(), "json"
	default:
		return token.Place{Header: "authorization", Scheme: "bearer"}, rule.GetBearer().GetValue(), "bearer"
	}
}

var basicPlace = token.Place{Header: "authorization", Scheme: "basic", Basic: true}

// TokenValue is where the text of a token stands.
func TokenValue(rule *policyv1.TokenRule) *policyv1.TokenValue {
	_, value, _ := rulePlace(rule)
	return value
}

// TokenPlace is where a scheme's shared token stands.
func TokenPlace(t *policyv1.SharedToken) token.Place {
	switch p := t.GetPlace().(type) {
	case *policyv1.SharedToken_Basic:
		return basicPlace
	case *policyv1.SharedToken_Query:
		return token.Place{Query: p.Query}
	case *policyv1.SharedToken_Json:
		return token.Place{JSON: p.Json}
	default:
		return token.Place{Header: strings.ToLower(t.GetHeader()), Scheme: strings.ToLower(t.GetScheme())}
	}
}

// Candidate is a token whose text is known.
func (l *Loader) Candidate(k *Loaded, in token.Place) (token.Candidate, bool) {
	if k.KID != "" {
		l.Faults.Fail(k.At.At("kid"), "has no use: a token names no key")
	}
	if !l.shared(k) {
		return token.Candidate{}, false
	}
	cell := l.cell(k, func(text secret.Value) (secret.Value, error) { return text.Decode(secret.Text) }, nil)
	return token.Candidate{ID: k.ID, Place: in, Cell: cell, NotBefore: k.NotBefore, NotAfter: k.NotAfter}, cell != nil
}
