package authz_test

import (
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

func likely(method, host, path, body string, headers ...string) *authz.Request {
	r := &authz.Request{Method: authz.View(method), Host: authz.View(host), Path: authz.View(path)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, authz.Header{Name: authz.View(headers[i]), Value: authz.View(headers[i+1])})
	}
	r.Body = authz.Body{State: authz.BodyWhole, Size: int64(len(body)), Segments: [][]byte{[]byte(body)}}
	return r
}

// Whatever the upstream would read otherwise is another likeness, and so is a byte
// that moves from one part to the next.
func TestLikeness(t *testing.T) {
	f := authz.NewFingerprinter(authz.FingerprintKey{1})
	seen := map[authz.Likeness]string{}
	for name, r := range map[string]*authz.Request{
		"as it was":               likely("POST", "a.example", "/hook?a=1", "body", "content-type", "application/json"),
		"another method":          likely("PUT", "a.example", "/hook?a=1", "body", "content-type", "application/json"),
		"another host":            likely("POST", "b.example", "/hook?a=1", "body", "content-type", "application/json"),
		"another path":            likely("POST", "a.example", "/hook/?a=1", "body", "content-type", "application/json"),
		"another query":           likely("POST", "a.example", "/hook?a=2", "body", "content-type", "application/json"),
		"no query":                likely("POST", "a.example", "/hook", "body", "content-type", "application/json"),
		"another body":            likely("POST", "a.example", "/hook?a=1", "bodY", "content-type", "application/json"),
		"no body":                 likely("POST", "a.example", "/hook?a=1", "", "content-type", "application/json"),
		"another type":            likely("POST", "a.example", "/hook?a=1", "body", "content-type", "text/plain"),
		"two types":               likely("POST", "a.example", "/hook?a=1", "body", "content-type", "application/json", "content-type", "text/plain"),
		"no type":                 likely("POST", "a.example", "/hook?a=1", "body"),
		"an empty type":           likely("POST", "a.example", "/hook?a=1", "body", "content-type", ""),
		"an encoding":             likely("POST", "a.example", "/hook?a=1", "body", "content-type", "application/json", "content-encoding", "gzip"),
		"the type as encoding":    likely("POST", "a.example", "/hook?a=1", "body", "content-encoding", "application/json"),
		"from the host":           likely("POST", "a.exampl", "e/hook?a=1", "body", "content-type", "application/json"),
		"from the type":           likely("POST", "a.example", "/hook?a=1", "nbody", "content-type", "application/jso"),
		"from the path to a type": likely("POST", "a.example", "/hook?a=", "body", "content-type", "1application/json"),
	} {
		l, other := f.Likeness(r)
		if before, ok := seen[l]; ok || l == 0 || other != 0 {
			t.Errorf("%s is like %s: %x, %x", name, before, l, other)
		}
		seen[l] = name
	}
	// What differs between a delivery and its retry, and the pieces in which a
	// body comes, are not in it.
	r := likely("POST", "a.example", "/hook?a=1", "", "content-type", "application/json", "date", "now", "x-request-id", "1")
	r.Body.Segments = [][]byte{[]byte("bo"), {}, []byte("dy")}
	if l, _ := f.Likeness(r); seen[l] != "as it was" || !l.Like(l) {
		t.Errorf("a retry is like %q", seen[l])
	}
	for _, state := range []authz.BodyState{authz.BodyUnknown, authz.BodyCut, authz.BodyChanged} {
		r.Body.State = state
		if l, _ := f.Likeness(r); l != 0 || l.Like(l) {
			t.Errorf("a body in state %d is like %q", state, seen[l])
		}
	}
	var none *authz.Fingerprinter
	if l, _ := none.Likeness(likely("POST", "a", "/", "")); l != 0 {
		t.Error("a likeness without a key")
	}
}

func TestLikenessOfBothKeys(t *testing.T) {
	one, two := authz.FingerprintKey{1}, authz.FingerprintKey{2}
	f := authz.NewFingerprinter(one)
	r := likely("POST", "a", "/", "body")
	first, _ := f.Likeness(r)
	f.SetKeys(two, &one)
	second, before := f.Likeness(r)
	if !before.Like(first) || second.Like(first) {
		t.Errorf("%x, then %x and %x", first, second, before)
	}
}
