package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// truerReasons are reasons that say more than the word of the vector does.
var truerReasons = map[string]authz.Reason{
	"discord-split-shift":     authz.TimestampMalformed, // the time has nine digits, since one was moved into the body
	"cavage-C.1-new-default":  authz.TimestampMissing,   // (created) is the signed time
	"stdwh-v1a-wrong-version": authz.SignatureMissing,   // there is none of the version v1a
}

// ids are the texts that may be the id of a secret; other names of keys are its kid.
var ids = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// policyFields say what each word of a vector's policy is in a policy file; nil for
// those that the catalogue's entry says by itself.
var policyFields = map[string]func(hook map[string]any, value any){
	"tolerance_seconds":    freshness("tolerance"),
	"max_age_seconds":      freshness("tolerance"),
	"future_skew_seconds":  freshness("future"),
	"recipient_client_id":  parameter("recipient_client_id"),
	"broadcaster_user_ids": parameter("broadcaster_user_ids"),
	"topic_arns":           parameter("topic_arns"),
	"signature_versions":   parameter("signature_versions"),
	"webhook_id":           parameter("webhook_id"),
	"cert_hosts":           nil, // the keys are given with the URLs that they stand at
	"parameters":           parameters,
	"client_state":         clientState,
	"signing_string":       nil, // see signText
	"sig_header":           nil,
	// What follows is in httpSignature.
	"alg": nil, "label": nil, "required_components": nil, "verify_content_digest": nil,
	"required": nil, "default_headers": nil, "verify_digest": nil,
	"kid_header": nil,
}

// freshness sets a bound of the signed time, if the vector has one.
func freshness(name string) func(map[string]any, any) {
	return func(hook map[string]any, value any) {
		if value == nil {
			return
		}
		bounds, ok := hook["freshness"].(map[string]any)
		if !ok {
			bounds = map[string]any{}
		}
		bounds[name] = fmt.Sprintf("%vs", value)
		hook["freshness"] = bounds
	}
}

// parameter gives what the operator knows.
func parameter(name string) func(map[string]any, any) {
	return func(hook map[string]any, value any) {
		given, ok := hook["parameters"].(map[string]any)
		if !ok {
			given = map[string]any{}
		}
		given[name] = value
		hook["parameters"] = given
	}
}

// signText makes the signature of a vector that has the signed text and no signature: by a
// key of this test, over that text. So what is accepted is the text that was signed.
func (v *vector) signText(t *testing.T) {
	t.Helper()
	text, ok := v.Policy["signing_string"].(string)
	if !ok {
		return
	}
	header := func(name string) string {
		for _, h := range v.Headers {
			if strings.EqualFold(h[0], name) {
				return h[1]
			}
		}
		t.Fatalf("%s has no header %s", v.ID, name)
		return ""
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	made, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, header("PayPal-Transmission-Time"))
	if err != nil {
		t.Fatal(err)
	}
	v.TimestampNow = at.Unix()
	v.Headers = append(v.Headers, [2]string{"PayPal-Transmission-Sig", base64.StdEncoding.EncodeToString(made)})
	v.Keys = append(v.Keys, vectorKey{
		Kid: header("PayPal-Cert-Url"), Type: "rsa-public-pem", Value: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	})
}

// scheme is the entry's scheme; "" for those that are not optional. Vectors from elsewhere
// have names of their own for the one scheme that an entry has.
func (v *vector) scheme(t *testing.T) string {
	t.Helper()
	p, err := provider.Get(v.entry())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.GetSchemes() {
		if s.GetName() == v.Scheme {
			return v.Scheme
		}
	}
	return ""
}

// entry is the provider's name in the catalogue.
func (v *vector) entry() string {
	if v.Provider == "fireblocks" && strings.HasPrefix(v.Scheme, "rsa") {
		return "fireblocks-legacy"
	}
	return v.Provider
}
