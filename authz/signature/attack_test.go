package signature_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// Where the segments of a body end changes nothing.
func TestSegmentsDoNotMatter(t *testing.T) {
	for name := range schemes {
		h := scheme(t, name)
		req := request()
		long := strings.Repeat(body, 2000) // longer than what is hashed at once
		req.Body.Segments = [][]byte{[]byte(long)}
		sign(t, h, req)
		_, whole := run(h, req)
		for _, size := range []int{1, 3, 63, 64, 65, 4096, 16 << 10, 16<<10 + 1, len(long) - 1, len(long)} {
			reason, call := run(h, authztest.Segmented(req, size))
			if reason != authz.OK || call.Fingerprint != whole.Fingerprint {
				t.Errorf("%s in segments of %d: %s", name, size, reason)
			}
			changed := authztest.Segmented(req, size)
			last := len(changed.Body.Segments) - 1
			tail := []byte(string(changed.Body.Segments[last]))
			tail[len(tail)-1] ^= 1
			changed.Body.Segments[last] = tail
			if reason, _ := run(h, changed); reason != authz.SignatureInvalid {
				t.Errorf("%s in segments of %d with another last byte: %s", name, size, reason)
			}
		}
	}
}

// Every bit counts, of the body and of the signature header.
func TestEveryBit(t *testing.T) {
	for name := range schemes {
		h := scheme(t, name)
		req := delivery(t, h, "new")
		sig := value(req, "x-sig")
		for i := range len(body) * 8 {
			text := []byte(body)
			text[i/8] ^= 1 << (i % 8)
			req.Body.Segments = [][]byte{text}
			if reason, _ := run(h, req); reason != authz.SignatureInvalid {
				t.Errorf("%s, bit %d of the body: %s", name, i, reason)
			}
		}
		req.Body.Segments = [][]byte{[]byte(body)}
		for i := range len(sig) * 8 {
			text := []byte(sig)
			text[i/8] ^= 1 << (i % 8)
			hexCase := config(name).Encoding == signature.Hex && strings.EqualFold(string(text), sig) && strings.HasPrefix(string(text), sig[:len(sig)-64])
			set(req, "x-sig", string(text))
			if reason, _ := run(h, req); (reason == authz.OK) != hexCase {
				t.Errorf("%s, bit %d of the signature: %s: %q for %q", name, i, reason, text, sig)
			}
		}
	}
}

// A header of many candidates is refused before anything is computed, and the
// bound itself still passes.
func TestCandidateBound(t *testing.T) {
	wrong := strings.Repeat("0", 64)
	for _, name := range []string{"key-value", "positional"} {
		h := scheme(t, name)
		for n, want := range map[int]authz.Reason{3: authz.OK, 4: authz.OK, 5: authz.SignatureMalformed, 5000: authz.SignatureMalformed} {
			req := delivery(t, h, "new")
			item := ",v1=" + wrong
			if name == "positional" {
				item = "," + wrong
			}
			set(req, "x-sig", value(req, "x-sig")+strings.Repeat(item, n))
			if reason, _ := run(h, req); reason != want {
				t.Errorf("%s with %d more: %s, want %s", name, n, reason, want)
			}
		}
	}
}

// What explain prints must help nobody to sign.
func TestExplanationsHoldNoSecret(t *testing.T) {
	for name := range schemes {
		h := scheme(t, name)
		good := delivery(t, h, "new")
		mac := value(good, "x-sig")
		for what, change := range map[string]func(*authz.Request){
			"good":      func(*authz.Request) {},
			"forged":    func(r *authz.Request) { r.Body.Segments = [][]byte{[]byte("a private body")} },
			"no header": func(r *authz.Request) { set(r, "x-sig") },
			"cut":       func(r *authz.Request) { set(r, "x-sig", mac[:len(mac)-2]) },
			"twice":     func(r *authz.Request) { set(r, "x-sig", mac, mac) },
		} {
			req := delivery(t, h, "new")
			change(req)
			explanation := &authz.Explanation{}
			var d authz.Decision
			authztest.Table(&signature.Check{Schemes: []signature.Scheme{h}}).DecideExplained(t.Context(), req, now, &d, explanation)
			right := *req
			sign(t, h, &right)
			text := fmt.Sprint(explanation.Findings)
			for _, key := range keys() {
				if strings.Contains(text, string(key.Secret.Reveal())) {
					t.Errorf("%s, %s: a key in %s", name, what, text)
				}
			}
			sum := value(&right, "x-sig")
			if strings.Contains(text, sum[len(sum)-20:]) || strings.Contains(text, "private") || strings.Contains(text, mac[len(mac)-20:]) {
				t.Errorf("%s, %s: a MAC or the body in %s", name, what, text)
			}
			if len(explanation.Findings) != 1 || explanation.Findings[0].Expected == "" {
				t.Errorf("%s, %s: nothing is explained: %+v", name, what, explanation.Findings)
			}
		}
	}
}

// RFC 4231, test cases 1, 3 and 6 with SHA-256.
func TestMoreKnownAnswers(t *testing.T) {
	for _, c := range []struct{ key, data, mac string }{
		{strings.Repeat("\x0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{strings.Repeat("\xaa", 20), strings.Repeat("\xdd", 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{strings.Repeat("\xaa", 131), "Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	} {
		raw, err := hex.DecodeString(c.mac)
		if err != nil {
			t.Fatal(err)
		}
		for encoding, text := range map[signature.Encoding]string{
			signature.Hex: c.mac, signature.Base64: base64.StdEncoding.EncodeToString(raw), signature.Base64URL: base64.RawURLEncoding.EncodeToString(raw),
		} {
			cfg := config("bare")
			cfg.Encoding = encoding
			h, err := signature.New(cfg, []signature.Key{{ID: "1", Secret: secret.New([]byte(c.key))}})
			if err != nil {
				t.Fatal(err)
			}
			req := authztest.POST("h", "/", c.data, "x-sig", text)
			if reason, _ := run(h, req); reason != authz.OK {
				t.Errorf("%q: %s", c.data, reason)
			}
		}
	}
}

// A header that is constant or holds the time may be signed too: Sign must not
// send it twice.
func TestSignSendsEachHeaderOnce(t *testing.T) {
	cfg := config("bare")
	cfg.Content = []signature.Part{
		{Kind: signature.HeaderValue, Text: "x-version"}, {Kind: signature.HeaderValue, Text: "x-id"}, {Kind: signature.HeaderValue, Text: "x-id"},
		{Kind: signature.Timestamp}, {Kind: signature.Body},
	}
	cfg.Constants = []signature.Constant{{Name: "x-version", Value: "1"}}
	cfg.Time = signature.Time{Header: "x-time", Unit: signature.Seconds}
	h, err := signature.New(cfg, keys())
	if err != nil {
		t.Fatal(err)
	}
	if reason, call := run(h, delivery(t, h, "new")); reason != authz.OK {
		t.Errorf("%s: %q", reason, call.Request.Headers)
	}
}
