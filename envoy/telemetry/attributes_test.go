package telemetry_test

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// attributes writes a set as key=value with commas.
type attributes struct{}

func (attributes) Encode(i attribute.Iterator) string {
	var all []string
	for i.Next() {
		all = append(all, string(i.Attribute().Key)+"="+i.Attribute().Value.AsString())
	}
	return strings.Join(all, ",")
}

func (attributes) ID() attribute.EncoderID { return attribute.EncoderID{} }
