package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/httpsig"
)

// httpAlgorithms are the words of a vector's alg in a policy.
var httpAlgorithms = map[string]string{
	"ed25519": "ED25519", "ecdsa-p256-sha256": "ECDSA_P256_SHA256", "ecdsa-p384-sha384": "ECDSA_P384_SHA384", "rsa-pss-sha512": "RSA_PSS_SHA512",
	"rsa-v1_5-sha256": "RSA_V1_5_SHA256", "hmac-sha256": "HMAC_SHA256", "rsa-sha256": "RSA_V1_5_SHA256", "rsa-sha512": "RSA_V1_5_SHA512",
}

// httpSignature is the scheme of a vector that no entry of the catalogue has: what the
// vector's policy says of RFC 9421, or of the draft before it.
func (v *vector) httpSignature(t *testing.T) map[string]any {
	t.Helper()
	name, _ := v.Policy["alg"].(string)
	algorithm, ok := httpAlgorithms[name]
	if !ok {
		t.Fatalf("no test knows the algorithm %q", name)
	}
	scheme, required, digest := map[string]any{"algorithms": []string{algorithm}}, texts(v.Policy["required_components"]), "content-digest"
	if v.Provider == "cavage" {
		required, digest = texts(v.Policy["required"]), "digest"
		scheme["form"] = "CAVAGE"
		if v.Policy["default_headers"] == "date" {
			scheme["covered"] = "date"
		} else {
			scheme["time"] = "CREATED"
		}
		for _, h := range v.Headers {
			if strings.EqualFold(h[0], "authorization") {
				scheme["authorization"] = true
			}
		}
	} else {
		scheme["label"] = v.Policy["label"]
	}
	if !slices.Contains(required, digest) {
		scheme["body_unsigned"] = true
	}
	for i, name := range required {
		if name == "(request-target)" {
			required[i] = "@request-target"
		}
	}
	if len(required) > 0 {
		scheme["required"] = required
	}
	return scheme
}

func texts(value any) []string {
	var all []string
	list, _ := value.([]any)
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// judgeDigest judges a field with digests, which nothing signs: a policy cannot ask for
// it alone.
func (v *vector) judgeDigest(t *testing.T) {
	t.Helper()
	var headers authz.Headers
	for _, h := range v.Headers {
		headers = append(headers, authz.Header{Name: authz.View(strings.ToLower(h[0])), Value: authz.View(h[1])})
	}
	body := authz.Body{Segments: [][]byte{[]byte(v.Body)}, State: authz.BodyWhole, Size: int64(len(v.Body))}
	problem := httpsig.ContentDigest(headers, &body, httpsig.Dialect{})
	if problem.Exists() == (v.Expect == "accept") {
		t.Errorf("%v %s, want %s", problem.Reason, problem.Found, v.Expect)
	}
}
