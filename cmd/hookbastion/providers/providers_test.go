package providers

import (
	"strings"
	"testing"

	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// TestKinds: whoever finds nothing in the catalogue is told of each kind of scheme
// that a policy can have, but for those that are built in for one provider.
func TestKinds(t *testing.T) {
	text := (&wanted{text: "paypol"}).noMatch().Error()
	fields := (&policyv1.Scheme{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if name != "code" && !strings.Contains(text, "("+name+")") {
			t.Errorf("%s is not named:\n%s", name, text)
		}
	}
}
