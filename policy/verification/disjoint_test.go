package verification_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookbastion/hookbastion/policy/verification"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// A handshake signs what strangers choose only where no delivery can be that.
func TestGuards(t *testing.T) {
	for name, c := range map[string]struct {
		challenge, content string
		guards             int
		ok                 bool
	}{
		"the body":                        {"", `[{"body":{}}]`, 1, true},
		"fixed text of other characters":  {"", `[{"literal":"v0:"},{"timestamp":{}},{"body":{}}]`, 0, true},
		"fixed text that could be one":    {"", `[{"literal":"v0"},{"body":{}}]`, 0, false},
		"a time before an absent body":    {"", `[{"timestamp":{}},{"body":{}}]`, 0, false},
		"a header before an absent body":  {"", `[{"header":{"name":"x-id"}},{"body":{}}]`, 0, false},
		"a digest of the body":            {"", `[{"digest":{"hash":"SHA256","encoding":"HEX"}}]`, 0, false},
		"a field that the guard skips":    {"", `[{"body":{"formField":"payload"}}]`, 0, false},
		"a JSON string":                   {"", `[{"body":{"jsonString":true}}]`, 0, false},
		"one text of the body":            {"", `[{"json":"id"}]`, 0, false},
		"an alphabet that tokens have":    {"TOKEN", `[{"literal":"<"},{"body":{}}]`, 0, false},
		"a challenge that is long":        {"LONG", `[{"literal":"<"},{"body":{}}]`, 0, false},
		"no challenge, so nothing to add": {"NONE", `[{"body":{}}]`, 0, false},
	} {
		challenge := &policyv1.Handshake_Challenge{
			Place: &policyv1.Handshake_Challenge_Query{Query: "c"}, Alphabet: policyv1.Handshake_Challenge_WORD, MaxLength: 64,
		}
		switch c.challenge {
		case "TOKEN":
			challenge.Alphabet = policyv1.Handshake_Challenge_TOKEN
		case "LONG":
			challenge.MaxLength = 129
		case "NONE":
			challenge = nil
		}
		h := &policyv1.Handshake{Challenge: challenge, Answer: &policyv1.Handshake_Answer{Body: []*policyv1.Handshake_Piece{
			{Piece: &policyv1.Handshake_Piece_Mac{Mac: &policyv1.Handshake_Mac{Hash: policyv1.Handshake_SHA256, Encoding: policyv1.Handshake_HEX}}},
		}}}
		s := &policyv1.Scheme{}
		if err := protojson.Unmarshal([]byte(`{"hmac":{"content":`+c.content+`}}`), s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		guards, ok := verification.Guards(h, []*policyv1.Scheme{s})
		if len(guards) != c.guards || ok != c.ok {
			t.Errorf("%s: %v, %v", name, guards, ok)
		}
	}
}
