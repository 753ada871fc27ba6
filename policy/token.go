package policy

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/token"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// tokenRules compiles the tokens that a policy asks for beside a provider.
func (c *compiler) tokenRules(t *policyv1.Token, at place, check *token.Check) {
	ids := map[string]int{}
	for i, rule := range t.GetAnyOf() {
		here := at.at("any_of", i)
		in, value, step := rulePlace(rule)
		k := token.Candidate{ID: rule.GetId(), Place: in}
		if k.ID == "" {
			k.ID = "token-" + strconv.Itoa(i+1)
		}
		if first, ok := ids[k.ID]; ok {
			c.fail(here.at("id"), k.ID+" is the id of another token, at "+at.at("any_of", first).String())
		}
		ids[k.ID] = i
		k.NotBefore, k.NotAfter = c.validity(rule, here)
		if digest := value.GetDigest(); digest != "" {
			_, _ = hex.Decode(k.Digest[:], []byte(strings.TrimPrefix(digest, "sha256:"))) // its pattern was checked
			check.Candidates = append(check.Candidates, k)
			continue
		}
		text, ok := c.load(value.GetFile(), value.GetEnv(), here.at(step, "value"))
		if !ok {
			continue
		}
		k.Secret, k.Digest = text, secret.DigestOf(text.Reveal())
		check.Candidates = append(check.Candidates, k)
	}
}

func rulePlace(rule *policyv1.TokenRule) (in token.Place, value *policyv1.TokenValue, step string) {
	switch r := rule.GetRule().(type) {
	case *policyv1.TokenRule_Header_:
		return token.Place{Header: strings.ToLower(r.Header.GetName())}, r.Header.GetValue(), "header"
	case *policyv1.TokenRule_Basic_:
		return basicPlace, r.Basic.GetValue(), "basic"
	case *policyv1.TokenRule_Query_:
		return token.Place{Query: r.Query.GetName()}, r.Query.GetValue(), "query"
	default:
		return token.Place{Header: "authorization", Scheme: "bearer"}, rule.GetBearer().GetValue(), "bearer"
	}
}

var basicPlace = token.Place{Header: "authorization", Scheme: "basic", Basic: true}

// tokenPlace is where a scheme's shared token stands.
func tokenPlace(t *policyv1.SharedToken) token.Place {
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

func candidate(k loaded, in token.Place) token.Candidate {
	return token.Candidate{
		ID: k.ID, Place: in,
		Secret: k.Secret, Digest: secret.DigestOf(k.Secret.Reveal()),
		NotBefore: k.NotBefore, NotAfter: k.NotAfter,
	}
}
