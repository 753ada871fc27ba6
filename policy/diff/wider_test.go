package diff

import (
	"testing"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// A key that is added to the language must say what a change of it lets in.
func TestEveryKeyHasAWiderRule(t *testing.T) {
	fields := (&policyv1.Webhook{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); widerRules[name] == nil {
			t.Errorf("webhooks[].%s has no rule", name)
		}
	}
}
