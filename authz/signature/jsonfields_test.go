package signature

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
)

var fieldsPart = Part{
	Kind: JSONFields, Keys: []FieldKey{{Name: "Message"}, {Name: "Id"}, {Name: "Subject", Optional: true}, {Name: "Time"}}, Beside: []string{"Sig"},
}

func request(body string) *authz.Request {
	return &authz.Request{Method: authz.View("POST"), Body: authz.Body{Segments: [][]byte{[]byte(body)}, State: authz.BodyWhole, Size: int64(len(body))}}
}

func TestFieldsOfAnObject(t *testing.T) {
	config := Config{
		Name: "fields", Hash: SHA256, Encoding: Hex, Grammar: Bare, JSON: "Sig", MaxSignatures: 1, Content: []Part{fieldsPart},
		Time: Time{JSON: "Time", Unit: RFC3339},
	}
	scheme, err := New(config, []Key{{ID: "k", Secret: secret.New([]byte("a key of sixteen bytes"))}})
	if err != nil {
		t.Fatal(err)
	}
	const at = "2026-11-29T07:00:00Z"
	mac := func(content string) string {
		h := hmac.New(sha256.New, []byte("a key of sixteen bytes"))
		h.Write([]byte(content))
		return hex.EncodeToString(h.Sum(nil))
	}
	plain := mac("Message\nhello\nworld\nId\n1\nTime\n" + at + "\n")
	subject := mac("Message\nhello\nId\n1\nSubject\ns\nTime\n" + at + "\n")
	evil := mac("Message\na\nId\n1\nTime\n2026-11-28T07:00:00Z\nId\n2\nTime\n" + at + "\n")
	for _, tt := range []struct {
		name, body string
		want       authz.Reason
		proof      authz.Proof
	}{
		{"all is signed", `{"Message":"hello\nworld","Id":"1","Time":"` + at + `","Sig":"` + plain + `"}`, authz.OK, authz.ProofSignature},
		{"in another order", `{"Sig":"` + plain + `","Time":"` + at + `","Id":"1","Message":"hello\nworld"}`, authz.OK, authz.ProofSignature},
		{"with the optional one", `{"Message":"hello","Id":"1","Subject":"s","Time":"` + at + `","Sig":"` + subject + `"}`, authz.OK, authz.ProofSignature},
		{"with another key", `{"Message":"hello\nworld","Id":"1","Time":"` + at + `","Sig":"` + plain + `","Attributes":{}}`, authz.OK, authz.ProofPartial},
		{"without the optional one", `{"Message":"hello","Id":"1","Time":"` + at + `","Sig":"` + subject + `"}`, authz.SignatureInvalid, authz.ProofNone},
		{"another text", `{"Message":"hello\nworlt","Id":"1","Time":"` + at + `","Sig":"` + plain + `"}`, authz.SignatureInvalid, authz.ProofNone},
		{"a missing one", `{"Message":"hello\nworld","Time":"` + at + `","Sig":"` + plain + `"}`, authz.SignatureMalformed, authz.ProofNone},
		{"a number", `{"Message":"hello\nworld","Id":1,"Time":"` + at + `","Sig":"` + plain + `"}`, authz.SignatureMalformed, authz.ProofNone},
		{"null", `{"Message":"hello\nworld","Id":"1","Subject":null,"Time":"` + at + `","Sig":"` + plain + `"}`, authz.SignatureMalformed, authz.ProofNone},
		{"a key twice", `{"Message":"hello\nworld","Id":"2","Id":"1","Time":"` + at + `","Sig":"` + plain + `"}`, authz.SignatureMalformed, authz.ProofNone},
		{"a key in another letter case", `{"Message":"hello\nworld","Id":"1","id":"2","Time":"` + at + `","Sig":"` + plain + `"}`, authz.SignatureMalformed, authz.ProofNone},
		{"a message that looks like fields, as it was signed", `{"Message":"a\nId\n1\nTime\n2026-11-28T07:00:00Z","Id":"2","Time":"` + at + `","Sig":"` + evil + `"}`, authz.OK, authz.ProofSignature},
		{"the same, divided otherwise", `{"Message":"a","Id":"1\nTime\n2026-11-28T07:00:00Z\nId\n2","Time":"` + at + `","Sig":"` + evil + `"}`, authz.SignatureMalformed, authz.ProofNone},
		{"no object", `["` + plain + `"]`, authz.SignatureMalformed, authz.ProofNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			call := &authz.Call{Context: context.Background(), Request: request(tt.body), Now: time.Now()}
			got := scheme.Verify(call, nil)
			if got != tt.want || call.Proof != tt.proof {
				t.Errorf("%v, %v; want %v, %v", got, call.Proof, tt.want, tt.proof)
			}
			if got == authz.OK && call.SignedTime.Format(time.RFC3339) != at {
				t.Errorf("signed at %v", call.SignedTime)
			}
		})
	}
}

// readFields reads signed content as another program would, from its end: all but the
// first text are one line.
func readFields(content string) map[string]string {
	lines := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	found := map[string]string{}
	for i := len(fieldsPart.Keys) - 1; i > 0; i-- {
		n := len(lines)
		if n < 4 || lines[n-2] != fieldsPart.Keys[i].Name {
			continue
		}
		found[lines[n-2]], lines = lines[n-1], lines[:n-2]
	}
	found[lines[0]] = strings.Join(lines[1:], "\n")
	return found
}

// Each content can be read in one way: what it was made of comes out again.
func FuzzJSONFields(f *testing.F) {
	f.Add("hello", "1", "", "t", false)
	f.Add("a\nId\n1\nTime\nx", "2", "s", "t", true)
	f.Add("a\nId\n1", "Subject", "Time", "Id", true)
	f.Add("", "", "", "", true)
	f.Fuzz(func(t *testing.T, message, id, subject, at string, with bool) {
		members := map[string]string{"Message": message, "Id": id, "Time": at}
		if with {
			members["Subject"] = subject
		}
		body, err := json.Marshal(members)
		if err != nil {
			t.Skip()
		}
		var written map[string]string // what is not UTF-8 was replaced
		if json.Unmarshal(body, &written) != nil {
			t.Skip()
		}
		content, ok := fieldsPart.jsonFields(request(string(body)))
		if !ok {
			return
		}
		if got := readFields(string(content)); !maps.Equal(got, written) {
			t.Fatalf("%q is read as %q, and was made of %q", content, got, written)
		}
	})
}

func TestWhen(t *testing.T) {
	check := &Check{When: [][]Condition{{{JSON: "Type", Values: []string{"A", "B"}}, {Header: "x-kind", Values: []string{"k"}}}, nil}}
	for _, tt := range []struct {
		body, header string
		want         bool
	}{
		{`{"Type":"A"}`, "k", true}, {`{"Type":"B"}`, "k", true}, {`{"Type":"C"}`, "k", false}, {`{"Type":"A"}`, "K", false}, {`{"Type":"A"}`, "", false},
		{`{"Type":["A"]}`, "k", false}, {`{"Type":"A","Type":"B"}`, "k", false}, {`{}`, "k", false}, {``, "k", false}, {`no`, "k", false},
	} {
		req := request(tt.body)
		if tt.header != "" {
			req.Set("x-kind", tt.header)
		}
		if got := check.meets(0, req); got != tt.want {
			t.Errorf("%s, %q: %v", tt.body, tt.header, got)
		}
		if !check.meets(1, req) || !check.meets(7, req) {
			t.Error("a scheme without conditions takes all")
		}
		check.signWhen(req)
		if tt.body != `no` && !check.meets(0, req) {
			t.Errorf("%s: after signing it does not fit", tt.body)
		}
	}
	req := request(`{"Type":"A"}`)
	req.Headers = authz.Headers{{Name: authz.View("x-kind"), Value: authz.View("k")}, {Name: authz.View("x-kind"), Value: authz.View("k")}}
	if check.meets(0, req) {
		t.Error("a header twice")
	}
}
