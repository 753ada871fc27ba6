package policy

import (
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// notInline is said wherever somebody writes a secret into a policy. It does not repeat
// it.
const notInline = "a secret never stands in a policy: name its file with file, or its variable with env"

// advice says what to write in place of what people try first.
func advice(message protoreflect.FullName, found strictyaml.Found, text string) string {
	switch message {
	case "hookbastion.policy.v1.Secret", "hookbastion.policy.v1.TokenValue":
		if found == strictyaml.SingleValue {
			return notInline
		}
		switch text {
		case "value", "secret", "key", "text", "token", "inline", "data", "literal":
			return notInline
		}
	case "hookbastion.policy.v1.Part":
		if found == strictyaml.SingleValue && len(text) <= 16 && !isPart(text) {
			return "fixed text is written {literal: " + strconv.Quote(text) + "}"
		}
	}
	return ""
}

// isPart reports whether a text names a part of signed content.
func isPart(text string) bool {
	return (&policyv1.Part{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(text)) != nil
}
