package signature

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/jose"
	"github.com/hookbastion/hookbastion/authz/publickey"
)

// Sign gives the request a token that is good for a minute. With a public key in the
// policy, the private one must be given.
func (j *JWS) Sign(req *authz.Request, s authz.Signing) bool {
	k := j.keys.named(s)
	if j.config.Chain != nil {
		k = j.keys[0].now(s.Secrets) // a root, which does not sign
	}
	if k == nil || j.config.Chain != nil && len(s.X5C) != j.config.Chain.Length {
		return false
	}
	algorithm := j.signingAlgorithm(k, s.Private)
	if algorithm == "" {
		return false
	}
	header := map[string]any{"alg": algorithm}
	if id := k.publicID(s.Private); id != "" {
		header["kid"] = id
	}
	if j.config.Chain != nil {
		header["x5c"] = s.X5C
	}
	if len(j.config.KeyURLs) > 0 {
		header["jku"] = j.config.KeyURLs[0]
	}
	for i := range j.config.Members {
		j.config.Members[i].put(header, req)
	}
	token := &jose.Token{}
	var payload []byte
	if d := j.config.Detached; d != nil {
		d.list(req, header, s)
	} else {
		header["typ"] = "JWT"
		payload = encoded(j.signedClaims(req, k, s))
	}
	token.Header = jose.Members(maps.Clone(header))
	token.Signed = base64.RawURLEncoding.EncodeToString(encoded(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	preamble, reason := j.preamble(&authz.Call{Request: req}, token)
	if reason != authz.OK {
		return false
	}
	content := j.content(req, token, preamble)
	var signature []byte
	if algorithm.Shared() {
		signature = algorithm.SignShared(k.Secret.Reveal(), content)
	} else {
		signature = algorithm.Sign(s.Private, content)
	}
	if signature == nil {
		return false
	}
	j.config.Place.put(req, token.Signed+"."+base64.RawURLEncoding.EncodeToString(signature))
	return true
}

// signingAlgorithm is the first of the policy for which there is a key; empty if there
// is none.
func (j *JWS) signingAlgorithm(k *key, private crypto.Signer) jose.Algorithm {
	for _, a := range j.config.Algorithms {
		if a.Shared() && private == nil && k.Reader == nil && k.Source == nil && len(k.roots) == 0 ||
			private != nil && a.Fits(&publickey.Key{Public: private.Public()}) {
			return a
		}
	}
	return ""
}

// signedClaims are claims that fit the policy and the request.
func (j *JWS) signedClaims(req *authz.Request, k *key, s authz.Signing) map[string]any {
	c := &j.config
	claims := map[string]any{"jti": s.NewID(), "iat": s.Now.Unix(), "nbf": s.Now.Unix(), "exp": s.Now.Add(signedFor).Unix()}
	claims["iss"] = k.ID // the account, where nothing else is asked for
	if len(c.Issuers) > 0 {
		claims["iss"] = c.Issuers[0]
	}
	if c.KeyClaim != "" {
		claims[c.KeyClaim] = k.ID
	}
	switch {
	case len(c.Audiences) > 0:
		claims["aud"] = c.Audiences[0]
	case c.AudienceURL:
		claims["aud"] = j.urls(req, false)[0]
	}
	for i := range c.Claims {
		c.Claims[i].put(claims, req)
	}
	if c.QueryHash {
		claims["qsh"] = queryHash(req, j.public.prefix)
	}
	c.URL.sign(claims, []byte(j.urls(req, false)[0]))
	body, _ := io.ReadAll(req.Body.Reader()) // cannot fail
	c.Body.sign(claims, body)
	return claims
}

// put writes a claim that holds. Where it must be a text of the body, the body gets
// one, if it has none.
func (c *Claim) put(members map[string]any, req *authz.Request) {
	var value any
	switch {
	case c.Is != nil:
		value = *c.Is
	case c.Number != nil:
		value = *c.Number
	case c.JSON != "":
		texts, err := req.Body.JSON(c.JSON)
		if err != nil || len(texts) == 0 {
			texts = []string{"https://sample.example/"}
			setValue(req, strings.Split(c.JSON, "."), texts[0], false)
		}
		value = texts[0]
	default:
		value = c.Values[0]
	}
	if strings.Contains(c.Name, "/") {
		members[c.Name] = value
		return
	}
	steps := strings.Split(c.Name, ".")
	for _, step := range steps[:len(steps)-1] {
		next, ok := members[step].(map[string]any)
		if !ok {
			next = map[string]any{}
			members[step] = next
		}
		members = next
	}
	members[steps[len(steps)-1]] = value
}

func encoded(members map[string]any) []byte {
	text, err := json.Marshal(members)
	if err != nil {
		return nil // texts and numbers can always be written
	}
	return text
}
