package policytest

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	testv1 "github.com/hookbastion/hookbastion/proto/hookbastion/test/v1"
)

// FuzzParse: whatever the text, each error has a place in it, and what has none can be
// read again as it is.
func FuzzParse(f *testing.F) {
	f.Add("now: 2026-11-24T10:00:00Z\ntests:\n  - name: a\n    steps:\n      - {sign: {webhook: a}, expect: {verdict: ALLOW, reason: ok}}\n")
	f.Add("tests: [{name: a, steps: [{copy: {}, after: 1s, change: [{tamper_body: {}}], expect: {verdict: DENY, reason: nothing}}]}]")
	f.Add("tests: [{name: a, steps: [{request: {path: /a, headers: [a]}, expect: {}}]}]")
	f.Fuzz(func(t *testing.T, text string) {
		file, errs := Parse("a_test.yaml", []byte(text))
		lines := strings.Count(text, "\n") + 2 // what ends too early is wrong behind its end
		for _, e := range errs {
			if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Message == "" {
				t.Errorf("%+v of %d lines", e, lines)
			}
		}
		if len(errs) > 0 {
			return
		}
		if len(file.tests.GetTests()) == 0 {
			t.Error("a file without a case is none")
		}
		if after, changed, byHand := file.Update(nil); !bytes.Equal(after, []byte(text)) || len(changed)+len(byHand) > 0 {
			t.Error("an update of nothing changes something")
		}
	})
}

// FuzzTamper: another text comes out, as long as before where there was a letter to change.
func FuzzTamper(f *testing.F) {
	f.Add("sha256=0f4a")
	f.Add("v1,dGVzdA==")
	f.Add("====")
	f.Fuzz(func(t *testing.T, text string) {
		after := tampered(text)
		if after == text || len(after) < len(text) || utf8.ValidString(text) && !utf8.ValidString(after) {
			t.Errorf("%q becomes %q", text, after)
		}
	})
}

func TestTamperKeepsTheAlphabet(t *testing.T) {
	for text, want := range map[string]string{
		"sha256=00ff00ff": "sha256=00f" + "a" + "00ff", // not in the last four
		"0a":              "0b",
		"ZZZZZZZZZZZZ==":  "ZZZZZZZZZAZZ==",
		"":                "0",
	} {
		if got := tampered(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	// Of a signature that stands in the middle of the body, too.
	const digits = "0123456789abcdefABCDEF"
	for _, c := range digits {
		s := &sent{body: []byte{'{', byte(c), '}'}}
		if err := s.changeOne(&testv1.Change{Change: &testv1.Change_TamperBody{}}); err != nil || s.body[1] == byte(c) || !strings.ContainsRune(digits, rune(s.body[1])) {
			t.Errorf("%c: %s, %v", c, s.body, err)
		}
	}
}

// TestChanges: each change does what it says to a request, and nothing else.
func TestChanges(t *testing.T) {
	const before = "POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\n\r\nbody"
	for want, change := range map[string]*testv1.Change{
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 9\r\nx-b: 2\r\ncontent-length: 4\r\n\r\nbody":                       {Change: &testv1.Change_SetHeader{SetHeader: "X-A:  9 "}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\nx-c: 9\r\n\r\nbody":   {Change: &testv1.Change_AddHeader{AddHeader: "X-C: 9"}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-b: 2\r\ncontent-length: 4\r\n\r\nbody":                                 {Change: &testv1.Change_RemoveHeader{RemoveHeader: "X-A"}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\nx-b: 2\r\n\r\nbody":   {Change: &testv1.Change_DoubleHeader{DoubleHeader: "X-B"}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 0\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\n\r\nbody":             {Change: &testv1.Change_TamperHeader{TamperHeader: "x-a"}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 3\r\n\r\nnew":              {Change: &testv1.Change_Body{Body: "new"}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 5\r\n\r\nbody\n":           {Change: &testv1.Change_AppendBody{AppendBody: "\n"}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 0\r\n\r\n":                 {Change: &testv1.Change_RemoveBody{}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\n\r\nboay":             {Change: &testv1.Change_TamperBody{}},
		"POST /b HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\n\r\nbody":             {Change: &testv1.Change_Path{Path: "/b"}},
		"PUT /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\n\r\nbody":              {Change: &testv1.Change_Method{Method: "PUT"}},
		"POST /a HTTP/1.1\r\nhost: other.example\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 4\r\n\r\nbody": {Change: &testv1.Change_Host{Host: "other.example"}},
		"POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\ncontent-length: 0004\r\n\r\nbody":          {Change: &testv1.Change_SetHeader{SetHeader: "Content-Length: 0004"}},
	} {
		s, err := from([]byte(before))
		if err == nil {
			err = s.change([]*testv1.Change{change})
		}
		if err != nil || string(s.raw()) != want {
			t.Errorf("%v: %v\n%q\nwant\n%q", change, err, s.raw(), want)
		}
	}
	for _, missing := range []*testv1.Change{
		{Change: &testv1.Change_RemoveHeader{RemoveHeader: "X-C"}}, {Change: &testv1.Change_DoubleHeader{DoubleHeader: "X-C"}}, {Change: &testv1.Change_TamperHeader{TamperHeader: "X-C"}},
	} {
		s, _ := from([]byte(before))
		if err := s.change([]*testv1.Change{missing}); err == nil {
			t.Errorf("%v changes nothing, and is no error", missing)
		}
	}
}
