package convert

import (
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// hookdeck reads sources as Hookdeck's API gives and takes them: one, a list, or those of
// connections.
//
// Source: Hookdeck's OpenAPI description of 2025-07-01, read on 2026-11-29.
func (c *converter) hookdeck(data []byte) error {
	root, err := c.root(data)
	if err != nil {
		return err
	}
	list := []value{root}
	switch {
	case root.get("models").ok():
		root.rest("", "models", "pagination", "count")
		list = root.get("models").items()
	case root.get("sources").ok():
		root.rest("", "sources")
		list = root.get("sources").items()
	case !root.get("type").ok() && !root.get("source").ok() && !root.get("name").ok():
		list = root.items()
	}
	for _, s := range list {
		if s.get("source").ok() {
			s.rest(": deliveries go where Envoy's routes say", "source", "name", "id", "team_id", "created_at", "updated_at", "description", "full_name")
			s = s.get("source")
		}
		c.source(s)
	}
	return nil
}

func (c *converter) source(s value) {
	config := s.get("config")
	s.rest("", "name", "type", "config", "id", "team_id", "url", "description", "created_at", "updated_at", "disabled_at", "authenticated")
	config.rest("", "auth_type", "auth", "allowed_http_methods", "custom_response")
	if s.get("disabled_at").ok() {
		s.get("disabled_at").note("the source is switched off, and left out")
		return
	}
	name := s.get("name").text()
	if name == "" {
		name = s.get("type").text()
	}
	if custom := config.get("custom_response"); custom.ok() {
		custom.note("is not carried over: the application answers deliveries, and the service what providers ask at setup")
	}
	match := &policyv1.Match{At: &policyv1.Match_Path{Path: "/webhooks/" + slug(name)}, Methods: config.get("allowed_http_methods").texts()}
	kind, auth := s.get("type"), config.get("auth")
	switch kind.text() {
	case "", "WEBHOOK", "HTTP":
		kind = config.get("auth_type")
	}
	if !kind.ok() {
		if kind = s.get("type"); !kind.ok() {
			kind = s
		}
		kind.note("the source verifies nothing, and is left out: nothing passes here without a proof, unless its policy says unverified: {reason: …}")
		return
	}
	w := &Webhook{At: s.at(), Policy: &policyv1.Webhook{Name: slug(name), Match: match}}
	switch kind.text() {
	case "HMAC":
		if !c.hookdeckHMAC(w, auth) {
			return
		}
	case "BASIC_AUTH":
		auth.rest("", "username", "password")
		w.token(auth.get("password").at(), auth.get("username").text()+":"+auth.get("password").text(), "")
	case "API_KEY":
		auth.rest("", "header_key", "api_key")
		if auth.get("header_key").text() == "" {
			kind.note("is left out: it does not say in which header the key comes")
			return
		}
		w.token(auth.get("api_key").at(), auth.get("api_key").text(), auth.get("header_key").text())
	case "MANAGED", "PUBLISH_API":
		kind.note("is left out: only Hookdeck itself can verify it")
		return
	default:
		if !c.hookdeckProvider(w, kind, auth) {
			return
		}
	}
	s.note("is taken at %s: the provider delivers to Hookdeck's address, and must be given yours", match.GetPath())
	c.add(w)
}

var (
	hmacHashes = map[string]policyv1.Hmac_Hash{
		"sha256": policyv1.Hmac_SHA256, "sha512": policyv1.Hmac_SHA512, "sha1": policyv1.Hmac_SHA1, "md5": policyv1.Hmac_MD5,
	}
	hmacEncodings = map[string]policyv1.Hmac_Encoding{
		"hex": policyv1.Hmac_HEX, "base64": policyv1.Hmac_BASE64, "base64url": policyv1.Hmac_BASE64URL,
	}
)

func (c *converter) hookdeckHMAC(w *Webhook, auth value) bool {
	auth.rest("", "algorithm", "encoding", "header_key", "webhook_secret_key")
	hash, known := hmacHashes[strings.ToLower(auth.get("algorithm").text())]
	encoding, written := hmacEncodings[strings.ToLower(auth.get("encoding").text())]
	header := auth.get("header_key").text()
	if !known || !written || header == "" {
		auth.note("is left out: an HMAC needs algorithm, encoding and header_key")
		return false
	}
	w.Policy.Scheme = &policyv1.Scheme{Kind: &policyv1.Scheme_Hmac{Hmac: &policyv1.Hmac{
		Hash: hash, Encoding: encoding, Signature: &policyv1.Signature{Headers: []string{header}},
		Content: []*policyv1.Part{{Part: &policyv1.Part_Body{Body: &policyv1.Body{}}}},
	}}}
	key := auth.get("webhook_secret_key")
	w.keepGiven(key, w.Policy.GetScheme())
	return true
}

// keepGiven keeps a secret that is there, or a new one where it is not.
func (w *Webhook) keepGiven(key value, s *policyv1.Scheme) {
	w.keep(key.at(), key.text(), s).unless("the file does not have it")
}

// hookdeckProvider reads a source of a type of its own.
func (c *converter) hookdeckProvider(w *Webhook, kind, auth value) bool {
	p := c.provided(kind.at(), kind.text(), hookdeckNames)
	if p == nil {
		return false
	}
	given := map[string]string{}
	if id := auth.get("webhook_id").text(); id != "" {
		given["webhook_id"] = id
	}
	if names := missing(p, given); len(names) > 0 {
		kind.note("is left out: %s needs parameters that are not here (%s); see docs/providers/%s.md", p.GetName(), strings.Join(names, ", "), p.GetName())
		return false
	}
	name, match := w.Policy.GetName(), w.Policy.GetMatch()
	w.Policy = ofProvider(name, p, match)
	if len(given) > 0 {
		w.Policy.Parameters = &structpb.Struct{Fields: map[string]*structpb.Value{"webhook_id": structpb.NewStringValue(given["webhook_id"])}}
	}
	first := provider.First(p)
	auth.rest("", "webhook_secret_key", "public_key", "api_key", "token", "username", "password", "webhook_id")
	for _, key := range []string{"webhook_secret_key", "public_key", "api_key", "token"} {
		if auth.get(key).ok() {
			w.keepGiven(auth.get(key), first)
			return true
		}
	}
	switch {
	case auth.get("password").ok():
		w.keep(auth.get("password").at(), auth.get("username").text()+":"+auth.get("password").text(), first)
	case !published(p):
		w.keepGiven(auth, first)
	}
	return true
}
