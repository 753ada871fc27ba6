package telemetry_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
	recordv1 "github.com/hookbastion/hookbastion/proto/hookbastion/record/v1"
)

// A line is the JSON form of the published message: strict libraries read it, and find
// in it what our reader finds.
func TestLinesAreThePublishedMessage(t *testing.T) {
	var out bytes.Buffer
	w := telemetry.NewWriter(&out)
	r, _ := recording(t, telemetry.Config{Records: w, DenialsPerSecond: 2, Replica: "replica-1"})
	refused := event(authz.Replayed)
	refused.Redeliver, refused.Decision.Mark = "ticket", authz.MarkCopy
	for _, e := range []*telemetry.Event{event(authz.OK), refused, event(authz.SignatureInvalid), event(authz.SignatureInvalid)} {
		r.Record(e)
	}
	r.Close()
	w.Close()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatal(out.String())
	}
	for _, line := range lines {
		message := &recordv1.Record{}
		if err := protojson.Unmarshal([]byte(line), message); err != nil {
			t.Errorf("%v: %s", err, line)
			continue
		}
		written, err := protojson.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		// The message as JSON, with its whole numbers as we write them.
		var fields map[string]any
		if err := json.Unmarshal(written, &fields); err != nil {
			t.Fatal(err)
		}
		ours, fault := record.Parse([]byte(line))
		if fault != nil {
			t.Fatal(fault)
		}
		v := reflect.ValueOf(*ours)
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if text, ok := v.Field(i).Interface().(string); ok && text != "" && fields[name] != text {
				t.Errorf("%s is %q for us, and %v for others", name, text, fields[name])
			}
		}
		if message.GetBodyBytes() != ours.BodyBytes || message.GetLeftOut() != ours.LeftOut || len(message.GetChecks()) != len(ours.Checks) || message.GetTime().AsTime() != ours.Time ||
			(message.SkewMs == nil) != (ours.SkewMS == nil) {
			t.Errorf("%s: %v", line, message)
		}
	}
}

// The message has the fields that are described and no others, and the reader's record too.
func TestThePublishedMessageHasTheFields(t *testing.T) {
	described := slices.Concat(telemetry.RecordFields(), telemetry.LeftOutFields())
	slices.Sort(described)
	described = slices.Compact(described)
	var published, read []string
	fields := (&recordv1.Record{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.JSONName() != string(f.Name()) {
			t.Errorf("%s is %s in JSON", f.Name(), f.JSONName())
		}
		published = append(published, fields.Get(i).JSONName())
	}
	for i := range reflect.TypeFor[record.Record]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[record.Record]().Field(i).Tag.Get("json"), ",")
		read = append(read, name)
	}
	slices.Sort(published)
	slices.Sort(read)
	if !slices.Equal(described, published) {
		t.Errorf("described %v\npublished %v", described, published)
	}
	if !slices.Equal(described, read) {
		t.Errorf("described %v\nread %v", described, read)
	}
}
