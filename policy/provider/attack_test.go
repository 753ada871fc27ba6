package provider_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Every scheme lets in what it signs, and says what was proven.
func TestSchemesAcceptWhatTheySign(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		d := s.decide(t, s.delivery(t, now), now)
		body, _, _, _ := s.covers()
		want := authz.ProofPartial
		switch {
		case s.token() != nil, s.jws() != nil && !s.jws().CoversBody() && !s.jws().CoversURL():
			want = authz.ProofToken
		case body && !s.open():
			want = authz.ProofSignature
		}
		if d.Reason != authz.OK || d.Proof != want || d.KeyID != "key-1" {
			t.Errorf("%s, proof %s, key %q; want proof %s", d.Reason, d.Proof, d.KeyID, want)
		}
		tolerance, future, timed := s.timed()
		if timed != !d.SignedTime.IsZero() {
			t.Errorf("signed time %s", d.SignedTime)
		}
		if !timed || s.jws() != nil || s.named.GetScheme().GetHttpSignature().GetExpires() {
			return
		}
		for at, want := range map[time.Time]authz.Reason{
			now.Add(tolerance): authz.OK, now.Add(-future): authz.OK,
			now.Add(tolerance + time.Second): authz.TimestampTooOld, now.Add(-future - time.Second): authz.TimestampInFuture,
		} {
			if got := s.decide(t, s.delivery(t, now), at).Reason; got != want {
				t.Errorf("%s after it was signed: %s, want %s", at.Sub(now), got, want)
			}
		}
	})
}

// A token ends with its exp, whatever the tolerance is.
func TestTokensExpire(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		if s.jws() == nil || s.jws().GetDetached() != nil {
			return
		}
		leeway := s.jws().GetLeeway().AsDuration()
		for at, want := range map[time.Time]authz.Reason{
			now.Add(time.Minute + leeway - time.Second): authz.OK, now.Add(time.Minute + leeway + time.Second): authz.TokenExpired,
			now.Add(-leeway - 61*time.Second): authz.TimestampInFuture,
		} {
			if got := s.decide(t, s.delivery(t, now), at).Reason; got != want {
				t.Errorf("%s after it was signed: %s, want %s", at.Sub(now), got, want)
			}
		}
	})
}

// Copies are found whatever else of the request is changed, at every replica.
func TestSchemesRefuseCopies(t *testing.T) {
	eachScheme(t, func(t *testing.T, s *scheme) {
		want := authz.Replayed
		if s.token() != nil {
			want = authz.OK // a token covers nothing, so that no two deliveries can be told apart
		}
		if got := decideBy(t, s.table, s.delivery(t, now), now).Reason; got != authz.OK {
			t.Fatalf("the first: %s", got)
		}
		if got := decideBy(t, s.table, s.delivery(t, now), now).Reason; got != want {
			t.Errorf("a copy: %s", got)
		}
		other := s.delivery(t, now)
		for _, name := range []string{"x-request-id", "x-delivery-id", "user-agent", "x-github-delivery"} {
			if !s.signsHeader(name) {
				other.Set(name, "another")
			}
		}
		if got := decideBy(t, s.table, other, now.Add(time.Second)).Reason; got != want {
			t.Errorf("a copy with other headers: %s", got)
		}
		if got := decideBy(t, s.compile(t), s.delivery(t, now), now).Reason; got != want {
			t.Errorf("a copy at another replica: %s", got)
		}
	})
}

func (s *scheme) signsHeader(name string) bool {
	return s.signs(func(p *policyv1.Part) bool {
		return strings.EqualFold(p.GetHeader().GetName(), name) || p.GetCode() == policyv1.Part_MERCADO_PAGO && name == "x-request-id"
	})
}

// attack is one way to change a delivery, and what follows.
type attack struct {
	name   string
	change func(t *testing.T, s *scheme, req *authz.Request) bool // false: it cannot be made
	want   func(s *scheme) []authz.Reason
}

func always(reasons ...authz.Reason) func(*scheme) []authz.Reason {
	return func(*scheme) []authz.Reason { return reasons }
}

// proof chooses what follows for signatures and for tokens.
func proof(signature []authz.Reason, token ...authz.Reason) func(*scheme) []authz.Reason {
	return func(s *scheme) []authz.Reason {
		if s.token() != nil {
			return token
		}
		return signature
	}
}

var (
	missing = []authz.Reason{authz.SignatureMissing, authz.SignatureMalformed, authz.TokenMissing}
	broken  = []authz.Reason{authz.SignatureMalformed, authz.SignatureInvalid, authz.SignatureMissing, authz.TimestampMissing, authz.TimestampMalformed, authz.TokenMissing}
)

// ifCovered is SignatureInvalid where the proof covers that part, else OK.
func ifCovered(part func(s *scheme) bool) func(*scheme) []authz.Reason {
	return func(s *scheme) []authz.Reason {
		if part(s) {
			return []authz.Reason{authz.SignatureInvalid, authz.TokenInvalid}
		}
		return []authz.Reason{authz.OK}
	}
}

// inHeader changes the header that holds the proof.
func inHeader(change func(value string) string) func(*testing.T, *scheme, *authz.Request) bool {
	return func(_ *testing.T, s *scheme, req *authz.Request) bool {
		value, count := req.Headers.Lookup(s.place())
		if count == 0 {
			return false
		}
		req.Set(s.place(), change(string(value)))
		return true
	}
}

var attacks = []attack{
	{"the proof is gone", func(_ *testing.T, s *scheme, req *authz.Request) bool {
		place := s.place()
		req.Headers = slices.DeleteFunc(req.Headers, func(h authz.Header) bool { return string(h.Name) == place })
		if s.token().GetQuery()+s.content().GetSignature().GetQuery() != "" {
			req.Path = authz.View("/a/x")
		} else if place == "" {
			req.Body.Segments = [][]byte{[]byte("{}")}
		}
		return true
	}, always(missing...)},
	{"the header is there twice", func(_ *testing.T, s *scheme, req *authz.Request) bool {
		value, count := req.Headers.Lookup(s.place())
		if count == 0 || s.content().GetSignature().GetRepeated() {
			return false
		}
		req.Headers = append(req.Headers, authz.Header{Name: authz.View(s.place()), Value: value})
		return true
	}, proof([]authz.Reason{authz.SignatureMalformed}, authz.TokenMissing)},
	{"the header is empty", inHeader(func(string) string { return "" }), always(missing...)},
	{"its last characters are missing", inHeader(func(v string) string { return v[:len(v)-3] }), proof(broken, authz.TokenInvalid, authz.TokenMissing)},
	{"it has one more character", inHeader(func(v string) string { return v + "0" }), proof(broken, authz.TokenInvalid, authz.TokenMissing)},
	{"it has bytes beyond ASCII", inHeader(func(v string) string { return v + "\xff" }), proof(broken, authz.TokenInvalid, authz.TokenMissing)},
	{"it has another version", inHeader(func(v string) string { return "v99" + v[min(2, len(v)):] }), proof(broken, authz.TokenInvalid, authz.TokenMissing)},
	{"another key signed it", func(t *testing.T, s *scheme, req *authz.Request) bool {
		*req = *s.signed(t, "b", now)
		return true
	}, proof([]authz.Reason{authz.SignatureInvalid}, authz.TokenInvalid)},
	{"a byte of the body is changed", func(_ *testing.T, s *scheme, req *authz.Request) bool {
		body := bytes.Replace(req.Body.Joined(), []byte("evt_1"), []byte("evt_2"), 1)
		if s.place() == "" || bytes.Equal(body, req.Body.Joined()) {
			return false // Adyen, Braintree and Mailgun have tests of their own
		}
		req.Body.Segments = [][]byte{body}
		return true
	}, ifCovered(func(s *scheme) bool { body, _, _, _ := s.covers(); return body || s.summed() })},
	{"a byte is added to the body", func(_ *testing.T, s *scheme, req *authz.Request) bool {
		req.Body.Segments = append(slices.Clone(req.Body.Segments), []byte(" "))
		return s.place() != ""
	}, ifCovered(func(s *scheme) bool { body, _, _, _ := s.covers(); return body || s.summed() })},
	{"a byte of the path is changed", func(_ *testing.T, _ *scheme, req *authz.Request) bool {
		req.Path = bytes.Replace(req.Path, []byte("/a/x"), []byte("/a/y"), 1)
		return true
	}, ifCovered(func(s *scheme) bool { _, path, _, _ := s.covers(); return path })},
	{"a byte of the query is changed", func(_ *testing.T, s *scheme, req *authz.Request) bool {
		req.Path = bytes.Replace(req.Path, []byte("data.id=1"), []byte("data.id=2"), 1)
		return !s.jws().GetAudienceUrl() // with or without the query
	}, ifCovered(func(s *scheme) bool { _, _, query, _ := s.covers(); return query })},
	{"the method is another", func(_ *testing.T, _ *scheme, req *authz.Request) bool {
		req.Method = authz.View("PUT")
		return true
	}, ifCovered(func(s *scheme) bool { _, _, _, method := s.covers(); return method })},
	{"only the beginning of the body came", func(_ *testing.T, s *scheme, req *authz.Request) bool {
		req.Body.State = authz.BodyCut
		body, _, _, _ := s.covers()
		return body || s.place() == "" && s.token().GetQuery() == ""
	}, always(authz.BodyTruncated)},
	{"the body is over the limit", func(_ *testing.T, _ *scheme, req *authz.Request) bool {
		req.Body.Segments = [][]byte{make([]byte, 1<<20+1)}
		return true
	}, always(authz.BodyTooLarge)},
	{"it goes to another webhook", func(_ *testing.T, _ *scheme, req *authz.Request) bool {
		req.Path = bytes.Replace(req.Path, []byte("/a/x"), []byte("/b/x"), 1)
		return true
	}, proof([]authz.Reason{authz.SignatureInvalid}, authz.TokenInvalid)},
}

// Every scheme refuses every attack with a reason that fits, and with the
// status that its provider expects.
func TestSchemesRefuseAttacks(t *testing.T) {
	made := map[string]int{}
	eachScheme(t, func(t *testing.T, s *scheme) {
		for _, a := range attacks {
			req := s.delivery(t, now)
			if !a.change(t, s, req) {
				continue
			}
			made[a.name]++
			d := s.decide(t, req, now)
			if want := a.want(s); !slices.Contains(want, d.Reason) {
				t.Errorf("%s: %s, want %v", a.name, d.Reason, want)
			}
			if want := max(s.denied, 0); d.Reason == authz.SignatureInvalid && want != 0 && d.Status() != want {
				t.Errorf("%s: status %d, want %d", a.name, d.Status(), want)
			}
		}
	})
	for _, a := range attacks {
		if made[a.name] == 0 {
			t.Errorf("%s: no scheme was attacked so", a.name)
		}
	}
}
