package signature_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// What a delivery says of its key chooses among those that there are, and only that.
func TestKeyIDs(t *testing.T) {
	a := algorithms["ed25519"]
	one, two := generate(t, a), generate(t, a)
	x := func(key crypto.Signer) string {
		return base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // it was generated so
	}
	set := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":%q},{"kty":"OKP","crv":"Ed25519","kid":"two","x":%q}]}`, x(one), x(two))
	with := func(id signature.KeyID, change func(*signature.Config)) *signature.Content {
		c := public(t, a, change, one).Config()
		config := *c
		config.KeyID = id
		h, err := signature.New(config, []signature.Key{{ID: "set", Secret: secret.New([]byte(set)), Reader: &publickey.Reader{Format: publickey.JWKS, Kind: publickey.Ed25519}}})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	keyed := func(c *signature.Config) {
		c.Grammar, c.Key, c.Separator, c.Time = signature.KeyValue, "sig", ',', signature.Time{Header: "x-time", Unit: signature.Seconds}
		c.Encoding = signature.Hex
	}
	packed := func(c *signature.Config) { c.Grammar, c.Key = signature.Base64JSON, "signature" }
	for name, row := range map[string]struct {
		h     *signature.Content
		other func(*authz.Request, string) // names another key
	}{
		"header":         {with(signature.KeyID{Headers: []string{"x-key"}}, nil), func(req *authz.Request, id string) { req.Set("x-key", id) }},
		"item":           {with(signature.KeyID{Item: "keyId"}, keyed), func(req *authz.Request, id string) { replace(req, "x-sig", "keyId=two", "keyId="+id) }},
		"JSON in base64": {with(signature.KeyID{Item: "kid"}, packed), func(req *authz.Request, id string) { repack(t, req, id) }},
	} {
		t.Run(name, func(t *testing.T) {
			req := privately(t, row.h, two)
			reason, call := run(row.h, req)
			if reason != authz.OK || call.KeyID != "set" {
				t.Fatalf("%s by %q", reason, call.KeyID)
			}
			for id, want := range map[string]authz.Reason{
				"one": authz.SignatureInvalid, "three": authz.SignatureInvalid, "set": authz.SignatureInvalid, "two": authz.OK,
				strings.Repeat("k", 257): authz.SignatureMalformed, "a b": authz.SignatureMalformed,
			} {
				req := privately(t, row.h, two)
				row.other(req, id)
				if reason, _ := run(row.h, req); reason != want {
					t.Errorf("%.20q: %s, want %s", id, reason, want)
				}
			}
		})
	}
	h := with(signature.KeyID{JSON: "key.id"}, nil)
	req := privately(t, h, two)
	if reason, _ := run(h, req); reason != authz.OK || !bytes.Contains(req.Body.Joined(), []byte(`"id":"two"`)) {
		t.Errorf("in the body: %s, %s", reason, req.Body.Joined())
	}
	h = with(signature.KeyID{}, nil)
	if reason, _ := run(h, privately(t, h, two)); reason != authz.OK {
		t.Errorf("without an id all keys of a set are tried: %s", reason)
	}
}

func replace(req *authz.Request, header, old, with string) {
	req.Set(header, strings.Replace(value(req, header), old, with, 1))
}

// repack names another key in base64 of a JSON object.
func repack(t *testing.T, req *authz.Request, id string) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(value(req, "x-sig"))
	if err != nil {
		t.Fatal(err)
	}
	object := map[string]string{}
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	object["kid"] = id
	if text, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	req.Set("x-sig", base64.StdEncoding.EncodeToString(text))
}

// Of several signature headers each may name a key of its own.
func TestKeyIDForEachSignature(t *testing.T) {
	a := algorithms["rsa-2048"]
	known := generate(t, a)
	h := public(t, a, func(c *signature.Config) {
		c.Headers, c.KeyID.Headers = []string{"x-sig-1", "x-sig-2"}, []string{"x-key-1", "x-key-2"}
	}, known)
	first := privately(t, h, known)
	good := value(first, "x-sig-1")
	for _, row := range []struct {
		name    string
		headers map[string]string
		want    authz.Reason
	}{
		{"the first", map[string]string{"x-sig-1": good, "x-key-1": "key-1"}, authz.OK},
		{"the second", map[string]string{"x-sig-1": good, "x-key-1": "newer", "x-sig-2": good, "x-key-2": "key-1"}, authz.OK},
		{"with the other's name", map[string]string{"x-sig-1": good, "x-key-1": "newer", "x-key-2": "key-1"}, authz.SignatureInvalid},
		{"without a name", map[string]string{"x-sig-1": good}, authz.SignatureMissing},
		{"one without a name", map[string]string{"x-sig-1": good, "x-sig-2": good, "x-key-2": "key-1"}, authz.OK},
		{"an empty name", map[string]string{"x-sig-1": good, "x-key-1": ""}, authz.SignatureMalformed},
	} {
		req := request()
		req.Set("x-time", value(first, "x-time"))
		for name, text := range row.headers {
			req.Set(name, text)
		}
		if reason, _ := run(h, req); reason != row.want {
			t.Errorf("%s: %s, want %s", row.name, reason, row.want)
		}
	}
}

// source is where keys are found that the policy does not hold.
type source struct {
	keys   map[string]publickey.Key
	reason authz.Reason
	asked  []string
}

func (s *source) Find(_ *authz.Call, id authz.View) ([]publickey.Key, authz.Reason) {
	s.asked = append(s.asked, string(id))
	if key, ok := s.keys[string(id)]; ok {
		return []publickey.Key{key}, authz.OK
	}
	return nil, s.reason
}

func TestKeysFromElsewhere(t *testing.T) {
	a := algorithms["ecdsa-p256"]
	key := generate(t, a)
	found := &source{keys: map[string]publickey.Key{"known": {Public: key.Public()}}, reason: authz.KeysUnavailable}
	c := *public(t, a, func(c *signature.Config) { c.KeyID.Headers = []string{"x-key"} }, key).Config()
	h, err := signature.New(c, []signature.Key{{ID: "published", Source: found}})
	if err != nil {
		t.Fatal(err)
	}
	deliver := func(id string) *authz.Request {
		req := request()
		with := signing(id)
		with.Private = key
		if !h.Sign(req, with) {
			t.Fatal("not signed")
		}
		return req
	}
	if reason, call := run(h, deliver("known")); reason != authz.OK || call.KeyID != "published" {
		t.Errorf("%s by %q", reason, call.KeyID)
	}
	if reason, _ := run(h, deliver("unknown")); reason != authz.KeysUnavailable {
		t.Errorf("while it is fetched: %s", reason)
	}
	found.reason = authz.SignatureInvalid
	if reason, _ := run(h, deliver("unknown")); reason != authz.SignatureInvalid {
		t.Errorf("when it is known not to exist: %s", reason)
	}
	req := deliver("known")
	req.Body.Segments = [][]byte{[]byte("{}")}
	if reason, _ := run(h, req); reason != authz.SignatureInvalid {
		t.Errorf("another body: %s", reason)
	}
	if want := "known unknown unknown known"; strings.Join(found.asked, " ") != want {
		t.Errorf("asked for %q, want %s", found.asked, want)
	}
}
