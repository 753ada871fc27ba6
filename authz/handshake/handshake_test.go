package handshake_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/secret"
)

var now = time.Unix(1700000000, 0)

// echo wants the parameter challenge back.
func echo() *handshake.Handshake {
	return &handshake.Handshake{
		Name: "echo", Method: "GET", Verify: handshake.Nothing,
		Challenge: &handshake.Challenge{Query: "challenge", Alphabet: handshake.Word, Max: 16},
		Answer:    handshake.Answer{Status: 200, ContentType: "text/plain", Body: []handshake.Piece{{Challenge: true}}},
	}
}

// table has one webhook that answers the handshakes.
func table(set *handshake.Set, more ...authz.Check) *authz.Table {
	t := authz.NewTable()
	checks := append([]authz.Check{
		&authz.Limits{MaxBodyBytes: 1 << 20, MaxHeaderBytes: 1 << 16, BodySigned: true, ContentTypes: []string{"application/json"}},
		&handshake.Check{Set: set}, &handshake.Check{Set: set, Proven: true},
	}, more...)
	t.Add(&authz.Webhook{Name: "hook", Chain: authz.NewChain(checks...), Handshakes: set}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
	return t
}

func decide(t *authz.Table, req *authz.Request) *authz.Decision {
	d := &authz.Decision{}
	t.Decide(context.Background(), req, now, d)
	return d
}

func request(method, target, body string, headers ...string) *authz.Request {
	req := &authz.Request{Method: authz.View(method), Host: authz.View("h"), Path: authz.View(target)}
	for i := 0; i < len(headers); i += 2 {
		req.Headers = append(req.Headers, authz.Header{Name: authz.View(headers[i]), Value: authz.View(headers[i+1])})
	}
	if body != "" {
		req.Body = authz.Body{Segments: [][]byte{[]byte(body)}, State: authz.BodyWhole, Size: int64(len(body))}
	}
	return req
}

// The zero values answer nothing and deny.
func TestZeroValuesDeny(t *testing.T) {
	call := &authz.Call{Context: context.Background(), Request: request("GET", "/hook?challenge=a", "")}
	for name, check := range map[string]authz.Check{"check": &handshake.Check{}, "proven": &handshake.Check{Proven: true}, "waiting": handshake.NotYet{}} {
		if reason := check.Run(call); reason.Allows() || call.Answer != nil {
			t.Errorf("%s: %s", name, reason)
		}
	}
	if reason, _ := (&handshake.Learner{}).Learn(context.Background(), "a secret that is long", now); reason != authz.HandshakeRefused {
		t.Errorf("a learner: %s", reason)
	}
	if (&handshake.Set{}).Asks(call.Request, false) != authz.AsksNothing {
		t.Error("an empty set asks")
	}
	if d := decide(table(&handshake.Set{Handshakes: []*handshake.Handshake{{}}}), call.Request); d.Answered() != nil || d.Verdict == authz.Allow {
		t.Errorf("an empty handshake: %s", d.Reason)
	}
	for c := range 256 {
		if handshake.Alphabet(0).Has(byte(c)) || handshake.Alphabet(200).Has(byte(c)) {
			t.Fatalf("no alphabet has %q", byte(c))
		}
	}
}

func TestChallenges(t *testing.T) {
	set := &handshake.Set{Handshakes: []*handshake.Handshake{echo()}}
	for _, row := range []struct {
		method, target, body string
		want                 authz.Reason
		answer               string
	}{
		{"GET", "/hook?challenge=abc-DEF_123", "", authz.Handshake, "abc-DEF_123"},
		{"GET", "/hook?other=1&challenge=a%62c", "", authz.Handshake, "abc"},
		{"GET", "/hook?challenge=" + strings.Repeat("a", 16), "", authz.Handshake, strings.Repeat("a", 16)},
		{"GET", "/hook?challenge=" + strings.Repeat("a", 17), "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=a&challenge=b", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=a&ch%61llenge=b", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=%3Cscript%3E", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=a%0D%0Ab", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=a%00", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=%zz", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=a;b", "", authz.HandshakeRefused, ""},
		{"GET", "/hook?challenge=%C3%A9", "", authz.HandshakeRefused, ""},
		{"GET", "/hook", "", authz.MethodNotAllowed, ""},
		{"GET", "/hook?Challenge=a", "", authz.MethodNotAllowed, ""},
		{"HEAD", "/hook?challenge=a", "", authz.MethodNotAllowed, ""},
		{"get", "/hook?challenge=a", "", authz.MethodNotAllowed, ""},
		{"PUT", "/hook?challenge=a", "{}", authz.MethodNotAllowed, ""},
		{"GET", "/other?challenge=a", "", authz.NoWebhook, ""},
	} {
		d := decide(table(set), request(row.method, row.target, row.body))
		if d.Reason != row.want || d.Answered() != nil && d.Answered().Body != row.answer || (d.Answered() != nil) != (row.want == authz.Handshake) {
			t.Errorf("%s %s: %s, want %s", row.method, row.target, d.Reason, row.want)
		}
		if row.want == authz.HandshakeRefused && d.Status() != 401 {
			t.Errorf("%s: status %d", row.target, d.Status())
		}
	}
}

// A method that only a handshake has lets nothing else through, whatever comes behind.
func TestMethodsOfHandshakesCarryNoDelivery(t *testing.T) {
	proof := authzCheck{authz.StageSignature, func(call *authz.Call) authz.Reason {
		call.Proof = authz.ProofSignature
		return authz.OK
	}}
	h := echo()
	h.Verify = handshake.Delivery
	set := &handshake.Set{Handshakes: []*handshake.Handshake{h}}
	req := request("GET", "/hook?challenge=abc", "")
	req.Body.State = authz.BodyWhole
	if d := decide(table(set, proof), req); d.Reason != authz.Handshake || d.Forward() {
		t.Errorf("proven: %s", d.Reason)
	}
	if d := decide(table(set), req); d.Verdict == authz.Allow {
		t.Errorf("not proven: %s", d.Reason)
	}
	// A webhook whose chain lost its answering check: nothing passes.
	lost := authz.NewTable()
	lost.Add(&authz.Webhook{Name: "hook", Chain: authz.NewChain(proof), Handshakes: set}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
	if d := decide(lost, req); d.Reason != authz.Internal || d.Forward() {
		t.Errorf("without its check: %s", d.Reason)
	}
}

type authzCheck struct {
	stage authz.Stage
	run   func(*authz.Call) authz.Reason
}

func (c authzCheck) Stage() authz.Stage                { return c.stage }
func (c authzCheck) Run(call *authz.Call) authz.Reason { return c.run(call) }

// A reason without an answer, or from elsewhere, answers nothing.
func TestOnlyHandshakesAnswer(t *testing.T) {
	for _, stage := range []authz.Stage{authz.StageLimits, authz.StageToken, authz.StageSignature, authz.StageHandshake} {
		check := authzCheck{stage, func(call *authz.Call) authz.Reason {
			if stage != authz.StageHandshake {
				call.Answer = &authz.Answer{Status: 200}
			}
			return authz.Handshake
		}}
		hooks := authz.NewTable()
		hooks.Add(&authz.Webhook{Name: "hook", Chain: authz.NewChain(check)}, authz.Match{Path: "/hook", Methods: []string{"POST"}})
		if d := decide(hooks, request("POST", "/hook", "")); d.Reason != authz.Internal || d.Answered() != nil || d.Status() != 503 {
			t.Errorf("%s: %s", stage, d.Reason)
		}
	}
}

func TestVerifyToken(t *testing.T) {
	h := echo()
	h.Verify, h.VerifyQuery, h.Token = handshake.VerifyToken, "token", secret.NewCell(secret.New([]byte("right")))
	h.Answer.RefusedStatus = 403
	set := &handshake.Set{Handshakes: []*handshake.Handshake{h}}
	for target, want := range map[string]authz.Reason{
		"/hook?challenge=a&token=right": authz.Handshake, "/hook?challenge=a&token=righ": authz.HandshakeRefused,
		"/hook?challenge=a&token=": authz.HandshakeRefused, "/hook?challenge=a": authz.HandshakeRefused,
		"/hook?challenge=a&token=right&token=right": authz.HandshakeRefused, "/hook?challenge=a&token=wrong&token=right": authz.HandshakeRefused,
	} {
		d := decide(table(set), request("GET", target, ""))
		if d.Reason != want || want == authz.HandshakeRefused && d.Status() != 403 {
			t.Errorf("%s: %s, status %d", target, d.Reason, d.Status())
		}
	}
}

// While a secret is changed, a challenge is answered with the key that its sender signed
// with, and without a signature with the first one.
func TestAnswersWithTheKeyThatSigned(t *testing.T) {
	key := func(id string) handshake.Key {
		return handshake.Key{ID: id, Cell: secret.NewCell(secret.New([]byte("the secret " + id)))}
	}
	h := &handshake.Handshake{
		Name: "signed", Method: "POST", Verify: handshake.Delivery, Keys: []handshake.Key{key("new"), key("old")},
		Challenge: &handshake.Challenge{JSON: "challenge", Alphabet: handshake.Word, Max: 16},
		Answer:    handshake.Answer{Status: 200, ContentType: "text/plain", Body: []handshake.Piece{{MAC: &handshake.MAC{Hash: handshake.SHA256}}}},
	}
	for signed, want := range map[string]string{"old": "old", "new": "new", "": "new", "another": "new"} {
		check := authzCheck{authz.StageSignature, func(call *authz.Call) authz.Reason {
			call.KeyID, call.Proof = signed, authz.ProofSignature
			return authz.OK
		}}
		set := &handshake.Set{Handshakes: []*handshake.Handshake{h}}
		d := decide(table(set, check), request("POST", "/hook", `{"challenge":"abc"}`, "content-type", "application/json"))
		mac := hmac.New(sha256.New, []byte("the secret "+want))
		_, _ = mac.Write([]byte("abc")) // hashes never fail
		if d.Reason != authz.Handshake || d.Answered().Body != hex.EncodeToString(mac.Sum(nil)) || d.KeyID != want {
			t.Errorf("signed with %q: %s, with the key %q, want %q", signed, d.Reason, d.KeyID, want)
		}
	}
}

// FuzzEcho: whatever a stranger asks, what is echoed is of the alphabet.
func FuzzEcho(f *testing.F) {
	f.Add("abc", uint8(1), 16)
	f.Add("<script>alert(1)</script>", uint8(5), 1024)
	f.Add("a\r\nset-cookie: a=b", uint8(5), 1024)
	f.Add("\x00\xff", uint8(4), 3)
	f.Fuzz(func(t *testing.T, text string, alphabet uint8, most int) {
		h := echo()
		h.Challenge.Alphabet, h.Challenge.Max = handshake.Alphabet(alphabet), min(most, 1024)
		d := decide(table(&handshake.Set{Handshakes: []*handshake.Handshake{h}}), request("GET", "/hook?challenge="+url.QueryEscape(text), ""))
		a := d.Answered()
		if a == nil {
			return
		}
		if a.Body != text || len(text) > h.Challenge.Max || strings.ContainsAny(text, "<>&\"'`\\\r\n\x00") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is echoed", text)
		}
	})
}

// FuzzGuard: what may be a challenge is no delivery, in a body or in a field of a form.
func FuzzGuard(f *testing.F) {
	f.Add("abc", uint8(7), "\n")
	f.Add("0123456789abcdef0123", uint8(3), "")
	f.Add("{}", uint8(5), "\r\n")
	f.Fuzz(func(t *testing.T, text string, alphabet uint8, end string) {
		a := handshake.Alphabet(alphabet)
		if text == "" || len(text) > 128 || !a.HasAll(text) || strings.Trim(end, "\r\n") != "" || len(end) > 2 {
			return
		}
		for _, g := range []handshake.Guard{{Alphabet: a, Max: 128}, {Field: "payload", Alphabet: a, Max: 128}} {
			body := text + end
			if g.Field != "" {
				body = url.Values{"payload": {body}, "signature": {"s"}}.Encode()
			}
			req := request("POST", "/hook", body, "content-type", "application/json")
			if d := decide(table(&handshake.Set{Guards: []handshake.Guard{g}}), req); d.Reason != authz.HandshakeRefused {
				t.Errorf("%q: %s", body, d.Reason)
			}
		}
	})
}
