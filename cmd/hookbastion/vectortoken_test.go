package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// Vectors of JSON Web Tokens from elsewhere say in their policy where the token stands and
// what it must be. Their policy file has a scheme that is written out of that, so that it
// shows that the words of the language are enough; docs/jwt.md has the table. Those of the
// catalogue are judged by its entries.

// token reports whether the vector has a scheme of its own.
func (v *vector) token() bool {
	_, placed := v.Policy["location"]
	_, chained := v.Policy["leaf_oid"]
	_, detached := v.Policy["sig_header"]
	_, listed := v.Policy["required_headers"]
	return placed || chained || detached && v.Scheme == "detached-jws-body" || listed && v.Scheme == "truelayer"
}

// tokenScheme writes scheme.jws into a webhook.
func (v *vector) tokenScheme(t *testing.T, hook map[string]any) {
	t.Helper()
	jws := map[string]any{}
	switch v.Scheme {
	case "detached-jws-body":
		jws["detached"] = map[string]any{}
	case "truelayer":
		jws["header"], jws["algorithms"] = "Tl-Signature", []any{"ES512"}
		jws["header_claims"] = []any{map[string]any{"claim": "tl_version", "equals": "2"}}
		jws["detached"] = map[string]any{"request_line": true, "listed": "tl_headers"}
	case "apple-asn2":
		jws["json"], jws["alone"], jws["algorithms"] = "signedPayload", true, []any{"ES256"}
		jws["x5c"] = map[string]any{"certificates": 3}
	}
	for key, value := range v.Policy {
		if field := tokenFields[key]; field != nil && value != nil {
			field(jws, value)
		} else if field == nil && policyFields[key] == nil {
			t.Fatalf("no test knows the policy %s of a token", key)
		}
	}
	delete(hook, "provider")
	delete(hook, "provider_scheme")
	hook["scheme"] = map[string]any{"jws": jws}
}

// list returns a value, or the values of a list.
func list(value any) []any {
	if all, ok := value.([]any); ok {
		return all
	}
	return []any{value}
}

func addClaim(jws map[string]any, claim map[string]any) {
	claims, _ := jws["claims"].([]any)
	jws["claims"] = append(claims, claim)
}

// tokenFields say what each word of a vector's policy is in scheme.jws.
var tokenFields = map[string]func(jws map[string]any, value any){
	"location": func(jws map[string]any, value any) {
		where := fmt.Sprint(value)
		switch header, isHeader := strings.CutPrefix(where, "header:"); {
		case isHeader:
			jws["header"] = header
		case where == "bearer":
			jws["header"], jws["scheme"] = "Authorization", "Bearer"
		case where == "authorization-jwt":
			jws["header"], jws["scheme"] = "Authorization", "JWT"
		case where == "body":
			jws["whole_body"] = true
		default:
			jws["json"] = strings.TrimPrefix(where, "json:") + "[]"
		}
	},
	"algs":       func(jws map[string]any, value any) { jws["algorithms"] = value },
	"iss":        func(jws map[string]any, value any) { jws["issuers"] = list(value) },
	"aud":        func(jws map[string]any, value any) { jws["audiences"] = list(value) },
	"sig_header": func(jws map[string]any, value any) { jws["header"] = value },
	"skew_seconds": func(jws map[string]any, value any) {
		jws["leeway"], jws["expires"] = fmt.Sprintf("%vs", value), true
	},
	"require": func(jws map[string]any, value any) {
		claims, _ := value.(map[string]any)
		for name, want := range claims {
			if is, ok := want.(bool); ok {
				addClaim(jws, map[string]any{"claim": name, "is": is})
			} else {
				addClaim(jws, map[string]any{"claim": name, "equals": want})
			}
		}
	},
	"api_key": func(jws map[string]any, value any) {
		addClaim(jws, map[string]any{"claim": "api_key", "equals": value})
	},
	"bundle_id": func(jws map[string]any, value any) {
		addClaim(jws, map[string]any{"claim": "data.bundleId", "equals": value})
	},
	"environment": func(jws map[string]any, value any) {
		addClaim(jws, map[string]any{"claim": "data.environment", "equals": value})
	},
	"body_hash_claim": func(jws map[string]any, value any) { bodyHash(jws)["claim"] = value },
	"body_hash": func(jws map[string]any, value any) {
		bodyHash(jws)["encoding"] = map[any]string{"hex-sha256": "HEX", "base64-sha256": "BASE64"}[value]
	},
	"max_age_seconds": func(jws map[string]any, value any) {
		jws["time"], jws["tolerance"] = "iat", fmt.Sprintf("%vs", value)
	},
	"qsh":               func(jws map[string]any, value any) { jws["query_hash"] = value },
	"base_path":         func(map[string]any, any) {}, // it is empty: public_url has none
	"service_url_claim": func(jws map[string]any, value any) { serviceURL(jws)["claim"] = value },
	"service_url_field": func(jws map[string]any, value any) { serviceURL(jws)["json"] = value },
	"leaf_oid":          func(jws map[string]any, value any) { member(jws, "x5c")["leaf_oid"] = value },
	"intermediate_oid":  func(jws map[string]any, value any) { member(jws, "x5c")["intermediate_oid"] = value },
	"allowed_jku":       func(jws map[string]any, value any) { jws["jku"] = value },
	"required_headers":  func(jws map[string]any, value any) { member(jws, "detached")["required"] = value },
	"tolerance_seconds": func(jws map[string]any, value any) {
		member(jws, "detached")["timestamp"] = map[string]any{"header": "X-Tl-Webhook-Timestamp", "unit": "RFC3339", "tolerance": fmt.Sprintf("%vs", value)}
	},
}

func member(jws map[string]any, name string) map[string]any {
	m, ok := jws[name].(map[string]any)
	if !ok {
		m = map[string]any{}
		jws[name] = m
	}
	return m
}

func bodyHash(jws map[string]any) map[string]any { return member(jws, "body") }

// serviceURL is the one claim that must be a text of the body.
func serviceURL(jws map[string]any) map[string]any {
	claims, _ := jws["claims"].([]any)
	for _, c := range claims {
		if claim, _ := c.(map[string]any); claim["json"] != nil || claim["claim"] == "serviceurl" {
			return claim
		}
	}
	claim := map[string]any{}
	addClaim(jws, claim)
	return claim
}

// parameters are given as they are.
func parameters(hook map[string]any, value any) {
	given, _ := value.(map[string]any)
	for name, text := range given {
		parameter(name)(hook, text)
	}
}

// clientState is a token in the body, of which the policy has the digest.
func clientState(hook map[string]any, value any) {
	sum := sha256.Sum256([]byte(fmt.Sprint(value)))
	hook["token"] = map[string]any{"any_of": []any{map[string]any{"json": map[string]any{
		"path": "value[].clientState", "value": map[string]any{"digest": "sha256:" + hex.EncodeToString(sum[:])},
	}}}}
}
