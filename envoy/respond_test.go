package envoy

import (
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/authz"
)

// sameAnswer compares the written answer with the built one.
func sameAnswer(t testing.TB, m *answerMemory, req *authz.Request, d *authz.Decision, id string) {
	t.Helper()
	for _, settle := range []string{"", "sealed"} {
		sameSettled(t, m, req, d, id, settle)
	}
}

func sameSettled(t testing.TB, m *answerMemory, req *authz.Request, d *authz.Decision, id, settle string) {
	t.Helper()
	var got authv3.CheckResponse
	encoded := m.append(nil, req, d, id, []byte(settle))
	if err := proto.Unmarshal(encoded, &got); err != nil {
		t.Fatalf("%v: %x", err, encoded)
	}
	if want := built(req, d, id, settle); !proto.Equal(&got, want) {
		t.Fatalf("written\n%s\nbuilt\n%s", prototext.Format(&got), prototext.Format(want))
	}
}

// Short metadata has the id and the seal, and nothing else.
func TestShortMetadata(t *testing.T) {
	d := &authz.Decision{Verdict: authz.Allow, Reason: authz.OK, Webhook: &authz.Webhook{Name: "hook"}, KeyID: "1", Proof: authz.ProofSignature}
	for _, settle := range []string{"", "sealed"} {
		m := answerMemory{short: true}
		var got authv3.CheckResponse
		if err := proto.Unmarshal(m.append(nil, &authz.Request{}, d, anID, []byte(settle)), &got); err != nil {
			t.Fatal(err)
		}
		want := built(&authz.Request{}, d, anID, settle)
		for name := range want.GetDynamicMetadata().GetFields() {
			if name != "decision_id" && name != metadataSettle {
				delete(want.GetDynamicMetadata().GetFields(), name)
			}
		}
		if !proto.Equal(&got, want) {
			t.Errorf("%q:\n%s", settle, prototext.Format(&got))
		}
	}
}

const anID = "0123456789abcdef0123456789abcdef"

// webhooks differ in what their answers hold; nil stands for none.
func webhooks() []*authz.Webhook {
	return []*authz.Webhook{
		nil, {Name: "hook"}, {Name: "shadow", Shadow: true}, {Name: "status", DeniedStatus: 422}, {Name: "none", DeniedStatus: 200},
		{Name: "empty", DeniedEmpty: true}, {Name: "\xff"}, {Name: "a b\u00e9"},
		{Name: "wishes", DeniedHeaders: []authz.Header{
			{Name: authz.View("x-no-retry"), Value: authz.View("1")}, {Name: authz.View("X"), Value: authz.View("1")},
			{Name: authz.View("x-split"), Value: authz.View("a\r\nb")}, {Name: authz.View("x-empty")},
		}},
	}
}

func TestWrittenAnswersAreTheBuiltOnes(t *testing.T) {
	var m answerMemory // one for all
	req := &authz.Request{Headers: authz.Headers{
		{Name: authz.View("x-hookbastion-verified")}, {Name: authz.View("x_hookbastion_verified")}, {Name: authz.View("x-hookbastion-a:b")}, {Name: authz.View("accept")},
	}}
	for i := range authz.ReasonCount + 1 {
		for _, webhook := range webhooks() {
			for _, verdict := range []authz.Verdict{authz.Deny, authz.Allow} {
				for proof := authz.ProofNone; proof <= authz.ProofSignature; proof++ {
					for _, tenant := range []string{"", "acme", "a\nb"} {
						sameAnswer(t, &m, req, &authz.Decision{
							Verdict: verdict, Reason: authz.Reason(i), Webhook: webhook, Tenant: authz.View(tenant), Proof: proof,
							KeyID: tenant, Assertion: tenant, Mark: authz.Mark(i % 5), AllowedMethods: "POST, PUT", Acknowledged: i%3 == 0,
						}, anID)
					}
				}
			}
		}
	}
}

// FuzzWrite compares written and built answers of any decision.
func FuzzWrite(f *testing.F) {
	f.Add(uint16(1), true, uint8(1), uint8(3), uint8(1), "key", "tenant", anID, "x_hookbastion_verified", "POST")
	f.Add(uint16(4), false, uint8(8), uint8(0), uint8(0), "\xff", "\x00", "", "x-hookbastion-", "\r\n")
	f.Add(uint16(1), true, uint8(1), uint8(3), uint8(1), strings.Repeat("k", 300), strings.Repeat("t", 4096), anID, "", "")
	f.Fuzz(func(t *testing.T, reason uint16, allow bool, hook, proof, mark uint8, key, tenant, id, name, methods string) {
		all := webhooks()
		d := &authz.Decision{
			Reason: authz.Reason(reason), Webhook: all[int(hook)%len(all)], Tenant: authz.View(tenant), Proof: authz.Proof(proof),
			KeyID: key, Mark: authz.Mark(mark), Acknowledged: mark&8 != 0, AllowedMethods: methods,
		}
		if allow {
			d.Verdict = authz.Allow
		}
		if !isHeaderValue(id) {
			return // ids are ours
		}
		req := &authz.Request{Headers: authz.Headers{{Name: authz.View(name)}, {Name: authz.View("x-hookbastion-" + name)}}}
		sameAnswer(t, &answerMemory{}, req, d, id)
	})
}

// A denial without a status is an allow, and an answer without bytes too.
func TestTheFallbackIsADenial(t *testing.T) {
	var got authv3.CheckResponse
	if err := proto.Unmarshal(fallback, &got); err != nil {
		t.Fatal(err)
	}
	if got.GetDeniedResponse().GetStatus().GetCode() != 503 || got.GetStatus().GetCode() != 14 {
		t.Errorf("%v", &got)
	}
}
