package signature_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

func TestSignedIsVerified(t *testing.T) {
	for name := range schemes {
		h := scheme(t, name)
		for _, key := range []string{"new", "old"} {
			req := delivery(t, h, key)
			reason, call := run(h, req)
			if reason != authz.OK || call.KeyID != key || call.Proof != authz.ProofSignature || call.Fingerprint.IsZero() {
				t.Errorf("%s with key %s: %s, key %q", name, key, reason, call.KeyID)
			}
			if c := config(name); c.SignsTime() != call.SignedTime.Equal(now) {
				t.Errorf("%s: signed time %s", name, call.SignedTime)
			}
		}
		if reason, call := run(h, delivery(t, h, "gone")); reason != authz.KeyNotValidNow || call.Proof != authz.ProofNone || !call.SignedTime.IsZero() {
			t.Errorf("%s with a retired key: %s", name, reason)
		}
	}
}

func TestMutations(t *testing.T) {
	for name := range schemes {
		h := scheme(t, name)
		c := config(name)
		for what, m := range map[string]struct {
			change func(*authz.Request)
			want   authz.Reason
		}{
			"no header":     {func(r *authz.Request) { set(r, "x-sig") }, authz.SignatureMissing},
			"header twice":  {func(r *authz.Request) { set(r, "x-sig", value(r, "x-sig"), value(r, "x-sig")) }, authz.SignatureMalformed},
			"one byte less": {func(r *authz.Request) { v := value(r, "x-sig"); set(r, "x-sig", v[:len(v)-1]) }, authz.SignatureMalformed},
			"one byte more": {func(r *authz.Request) { set(r, "x-sig", value(r, "x-sig")+"0") }, authz.SignatureMalformed},
			"line break in it": {func(r *authz.Request) {
				v := value(r, "x-sig")
				set(r, "x-sig", v[:len(v)-4]+"\n"+v[len(v)-3:])
			}, authz.SignatureMalformed},
			"body changed":   {func(r *authz.Request) { r.Body.Segments = [][]byte{[]byte(strings.ToUpper(body))} }, authz.SignatureInvalid},
			"body empty":     {func(r *authz.Request) { r.Body.Segments = nil }, authz.SignatureInvalid},
			"body continued": {func(r *authz.Request) { r.Body.Segments = append(r.Body.Segments, []byte(" ")) }, authz.SignatureInvalid},
		} {
			req := delivery(t, h, "new")
			m.change(req)
			reason, call := run(h, req)
			if reason != m.want || call.Proof != authz.ProofNone {
				t.Errorf("%s, %s: %s, want %s", name, what, reason, m.want)
			}
		}
		if req := delivery(t, h, "new"); c.Encoding == signature.Hex {
			prefix, mac := value(req, "x-sig")[:len(value(req, "x-sig"))-64], value(req, "x-sig")[len(value(req, "x-sig"))-64:]
			set(req, "x-sig", prefix+strings.ToUpper(mac))
			if reason, _ := run(h, req); reason != authz.OK {
				t.Errorf("%s in upper case: %s", name, reason)
			}
		}
	}
}

func TestParticularMutations(t *testing.T) {
	for _, m := range []struct {
		name, scheme string
		change       func(*authz.Request)
		want         authz.Reason
	}{
		{"empty", "bare", func(r *authz.Request) { set(r, "x-sig", "") }, authz.SignatureMalformed},
		{"joined by a comma", "bare", func(r *authz.Request) { set(r, "x-sig", value(r, "x-sig")+","+value(r, "x-sig")) }, authz.SignatureMalformed},
		{"no prefix", "prefix", func(r *authz.Request) { set(r, "x-sig", value(r, "x-sig")[5:]) }, authz.SignatureMalformed},
		{"other prefix", "prefix", func(r *authz.Request) { set(r, "x-sig", "sha256="+value(r, "x-sig")[5:]) }, authz.SignatureMalformed},
		{"other method", "prefix", func(r *authz.Request) { r.Method = authz.View("PUT") }, authz.SignatureInvalid},
		{"other query", "prefix", func(r *authz.Request) { r.Path = authz.View("/h?x=2") }, authz.SignatureInvalid},
		{"other host", "prefix", func(r *authz.Request) { r.Host = authz.View("evil.example") }, authz.SignatureInvalid},
		{"padding bits", "space-list", func(r *authz.Request) { set(r, "x-sig", looser(value(r, "x-sig"))) }, authz.SignatureMalformed},
		{"other version only", "space-list", func(r *authz.Request) { set(r, "x-sig", "v2"+value(r, "x-sig")[2:]) }, authz.SignatureMissing},
		{"other versions beside", "space-list", func(r *authz.Request) { set(r, "x-sig", "v1a,AAAA v2,xx "+value(r, "x-sig")+",") }, authz.OK},
		{"several, one good", "space-list", func(r *authz.Request) {
			set(r, "x-sig", "v1,"+strings.Repeat("A", 43)+"= "+value(r, "x-sig")+" v1,short")
		}, authz.OK},
		{"too many", "space-list", func(r *authz.Request) { set(r, "x-sig", strings.Repeat("v1,x ", 5)+value(r, "x-sig")) }, authz.SignatureMalformed},
		{"no id", "space-list", func(r *authz.Request) { set(r, "x-id") }, authz.SignatureMissing},
		{"id twice", "space-list", func(r *authz.Request) { set(r, "x-id", "msg_1", "msg_1") }, authz.SignatureMalformed},
		{"dot in the id", "space-list", func(r *authz.Request) { set(r, "x-id", "msg_1.1") }, authz.SignatureMalformed},
		{"other id", "space-list", func(r *authz.Request) { set(r, "x-id", "msg_2") }, authz.SignatureInvalid},
		{"no time", "space-list", func(r *authz.Request) { set(r, "x-time") }, authz.TimestampMissing},
		{"empty time", "space-list", func(r *authz.Request) { set(r, "x-time", "") }, authz.TimestampMissing},
		{"time twice", "space-list", func(r *authz.Request) { set(r, "x-time", "1", "1") }, authz.TimestampMalformed},
		{"plus", "space-list", func(r *authz.Request) { set(r, "x-time", "+"+value(r, "x-time")) }, authz.TimestampMalformed},
		{"minus", "space-list", func(r *authz.Request) { set(r, "x-time", "-1") }, authz.TimestampMalformed},
		{"leading zero", "space-list", func(r *authz.Request) { set(r, "x-time", "0"+value(r, "x-time")) }, authz.TimestampMalformed},
		{"fraction", "space-list", func(r *authz.Request) { set(r, "x-time", value(r, "x-time")+".0") }, authz.TimestampMalformed},
		{"too long", "space-list", func(r *authz.Request) { set(r, "x-time", strings.Repeat("9", 16)) }, authz.TimestampMalformed},
		{"other digits", "space-list", func(r *authz.Request) { set(r, "x-time", "١٢٣") }, authz.TimestampMalformed},
		{"other time", "space-list", func(r *authz.Request) { set(r, "x-time", "1795500000001") }, authz.SignatureInvalid},
		{"no time", "key-value", func(r *authz.Request) { set(r, "x-sig", strings.SplitAfter(value(r, "x-sig"), ",")[1]) }, authz.TimestampMissing},
		{"time twice", "key-value", func(r *authz.Request) { set(r, "x-sig", "t=1,"+value(r, "x-sig")) }, authz.SignatureMalformed},
		{"other time", "key-value", func(r *authz.Request) {
			set(r, "x-sig", strings.Replace(value(r, "x-sig"), "t=1795500000", "t=1795500001", 1))
		}, authz.SignatureInvalid},
		{"only v0", "key-value", func(r *authz.Request) { set(r, "x-sig", strings.Replace(value(r, "x-sig"), "v1=", "v0=", 1)) }, authz.SignatureMissing},
		{"with v0 and spaces", "key-value", func(r *authz.Request) {
			set(r, "x-sig", strings.Replace(value(r, "x-sig"), ",", ", v0=00 , v1=zz, ", 1))
		}, authz.OK},
		{"an item without =", "key-value", func(r *authz.Request) { set(r, "x-sig", value(r, "x-sig")+",x") }, authz.SignatureMalformed},
		{"no constant", "prefix-list", func(r *authz.Request) { set(r, "x-version") }, authz.SignatureMissing},
		{"other constant", "prefix-list", func(r *authz.Request) { set(r, "x-version", "2") }, authz.SignatureMalformed},
		{"time of another form", "prefix-list", func(r *authz.Request) { set(r, "x-time", "1795500000") }, authz.TimestampMalformed},
		{"same moment, other text", "prefix-list", func(r *authz.Request) { set(r, "x-time", strings.Replace(value(r, "x-time"), "Z", "+00:00", 1)) }, authz.SignatureInvalid},
		{"no signature", "positional", func(r *authz.Request) { set(r, "x-sig", "1795500000000") }, authz.SignatureMalformed},
		{"nothing after the comma", "positional", func(r *authz.Request) { set(r, "x-sig", "1795500000000,") }, authz.SignatureMissing},
	} {
		h := scheme(t, m.scheme)
		req := delivery(t, h, "new")
		m.change(req)
		if reason, _ := run(h, req); reason != m.want {
			t.Errorf("%s, %s: %s, want %s (%q)", m.scheme, m.name, reason, m.want, value(req, "x-sig"))
		}
	}
}

// looser sets a bit of the last base64 character that no byte uses.
func looser(v string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := len(v) - 2 // before the padding
	return v[:last] + string(alphabet[strings.IndexByte(alphabet, v[last])+1]) + "="
}

// The values are those of RFC 4231 (test case 2) and RFC 2202 (test case 2).
func TestKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		hash signature.Hash
		mac  string
	}{
		{signature.SHA256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{signature.SHA512, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
		{signature.SHA1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
	} {
		config := config("bare")
		config.Hash = c.hash
		h, err := signature.New(config, []signature.Key{{ID: "1", Secret: secret.New([]byte("Jefe"))}})
		if err != nil {
			t.Fatal(err)
		}
		req := request()
		req.Body.Segments = [][]byte{[]byte("what do ya "), []byte("want for nothing?")}
		set(req, "x-sig", c.mac)
		if reason, _ := run(h, req); reason != authz.OK {
			t.Errorf("%s: %s", c.hash, reason)
		}
	}
}

func TestFingerprintIsOfTheSignedContentAlone(t *testing.T) {
	h := scheme(t, "space-list")
	_, first := run(h, delivery(t, h, "new"))
	same := map[string]func(*authz.Request){
		"another key":           func(r *authz.Request) { *r = *delivery(t, h, "old") },
		"two signatures":        func(r *authz.Request) { set(r, "x-sig", value(r, "x-sig")+" "+value(delivery(t, h, "old"), "x-sig")) },
		"an unsigned header":    func(r *authz.Request) { set(r, "x-other", "1") },
		"an unsigned path":      func(r *authz.Request) { r.Path = authz.View("/other") },
		"the body in pieces":    func(r *authz.Request) { r.Body.Segments = [][]byte{[]byte(body[:7]), {}, []byte(body[7:])} },
		"the header's position": func(r *authz.Request) { r.Headers[0], r.Headers[1] = r.Headers[1], r.Headers[0] },
	}
	for name, change := range same {
		req := delivery(t, h, "new")
		change(req)
		if reason, call := run(h, req); reason != authz.OK || call.Fingerprint != first.Fingerprint {
			t.Errorf("%s: %s, another fingerprint", name, reason)
		}
	}
	req := delivery(t, h, "new")
	for _, c := range []authz.Call{{Identity: "other"}, {Identity: "hook", Tenant: authz.View("t")}, {Identity: "hoo", Tenant: authz.View("k")}} {
		c.Context, c.Request, c.Now = context.Background(), req, now
		if reason := (&signature.Check{Schemes: []signature.Scheme{h}, Fingerprinter: fingerprinter}).Run(&c); reason != authz.OK || c.Fingerprint == first.Fingerprint {
			t.Errorf("webhook %q, tenant %q: %s, the same fingerprint", c.Identity, c.Tenant, reason)
		}
	}
}

func TestKeysMustBeThere(t *testing.T) {
	if _, err := signature.New(config("bare"), nil); err == nil {
		t.Error("no keys are accepted")
	}
	if _, err := signature.New(config("bare"), []signature.Key{{ID: "1"}}); err == nil {
		t.Error("an empty key is accepted")
	}
}

func TestVerificationAllocates(t *testing.T) {
	for name := range schemes {
		h := scheme(t, name)
		check := &signature.Check{Schemes: []signature.Scheme{h}, Fingerprinter: fingerprinter}
		call := &authz.Call{Context: context.Background(), Request: delivery(t, h, "new"), Now: now, Webhook: "hook", Identity: "hook"}
		if n := testing.AllocsPerRun(100, func() {
			if check.Run(call) != authz.OK {
				t.Fatal("not verified")
			}
		}); n > 0 && !raceDetector {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzFlip flips one bit of a valid delivery: of the body or of the signature.
func FuzzFlip(f *testing.F) {
	for i := range 40 {
		f.Add(i, true)
		f.Add(i*8+1, false)
	}
	f.Fuzz(func(t *testing.T, bit int, inBody bool) {
		for name := range schemes {
			h := scheme(t, name)
			req := delivery(t, h, "new")
			text := []byte(value(req, "x-sig"))
			if inBody {
				text = []byte(body)
			}
			i := uint(bit) % uint(len(text)*8)
			before := string(text)
			text[i/8] ^= 1 << (i % 8)
			if inBody {
				req.Body.Segments = [][]byte{text}
			} else {
				set(req, "x-sig", string(text))
			}
			if reason, _ := run(h, req); reason == authz.OK && !strings.EqualFold(before, string(text)) {
				t.Fatalf("%s: %q passes for %q", name, text, before)
			}
		}
	})
}

// FuzzHeader holds that no text passes as a signature unless it holds the MAC.
func FuzzHeader(f *testing.F) {
	for name := range schemes {
		f.Add(value(delivery(f, scheme(f, name), "new"), "x-sig"))
	}
	f.Add("t=,v1=,v1,v1= v1, ,,")
	f.Fuzz(func(t *testing.T, text string) {
		for name := range schemes {
			h := scheme(t, name)
			req := delivery(t, h, "new")
			good := value(req, "x-sig")
			mac := good[strings.LastIndexAny(good, "=, ")+1:]
			if c := config(name); c.Encoding == signature.Base64 {
				mac = good[strings.IndexAny(good, "=,")+1:]
			}
			set(req, "x-sig", text)
			if reason, _ := run(h, req); reason == authz.OK && !strings.Contains(strings.ToLower(text), strings.ToLower(mac)) && !otherKey(t, h, text) {
				t.Fatalf("%s: %q passes", name, text)
			}
		}
	})
}

func otherKey(t *testing.T, h *signature.Content, text string) bool {
	return strings.Contains(text, value(delivery(t, h, "old"), "x-sig"))
}

func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			h := scheme(b, "key-value")
			req := request()
			req.Body.Segments = [][]byte{make([]byte, size)}
			sign(b, h, req)
			check := &signature.Check{Schemes: []signature.Scheme{h}, Fingerprinter: fingerprinter}
			call := &authz.Call{Context: context.Background(), Request: req, Now: now, Webhook: "hook", Identity: "hook"}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if check.Run(call) != authz.OK {
					b.Fatal("not verified")
				}
			}
		})
	}
}
