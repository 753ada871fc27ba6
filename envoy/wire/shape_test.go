package wire

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A new version of the messages may have new fields, which a reader that does
// not know them would take for valid.
func TestShapesAreThoseOfTheDescriptors(t *testing.T) {
	seen := map[shape]bool{}
	var walk func(s shape, d protoreflect.MessageDescriptor)
	walk = func(s shape, d protoreflect.MessageDescriptor) {
		if seen[s] {
			return
		}
		seen[s] = true
		known := 0
		for number := range shapes[s] {
			f := shapes[s][number]
			if f.kind == unknown {
				continue
			}
			known++
			fd := d.Fields().ByNumber(protoreflect.FieldNumber(number))
			if fd == nil {
				t.Errorf("%s has no field %d", d.FullName(), number)
				continue
			}
			if want := kindOf(fd); f.kind != want {
				t.Errorf("%s is of kind %d, want %d", fd.FullName(), f.kind, want)
			} else if want >= message {
				walk(f.of, fd.Message())
			}
		}
		if known != d.Fields().Len() {
			t.Errorf("%s has %d fields, %d are known", d.FullName(), d.Fields().Len(), known)
		}
		if d.ExtensionRanges().Len() > 0 {
			t.Errorf("%s can be extended", d.FullName())
		}
	}
	walk(checkRequest, (&authv3.CheckRequest{}).ProtoReflect().Descriptor())
	if len(seen) != int(shapeCount)-1 {
		t.Errorf("%d of %d shapes are used", len(seen), shapeCount-1)
	}
}

func kindOf(fd protoreflect.FieldDescriptor) kind {
	switch {
	case fd.IsMap():
		return entry
	case fd.Kind() == protoreflect.MessageKind:
		return message
	case fd.IsList():
		return unknown // a list of numbers could be packed
	}
	switch fd.Kind() {
	case protoreflect.StringKind:
		return text
	case protoreflect.BytesKind:
		return octets
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return fixed64
	case protoreflect.EnumKind, protoreflect.BoolKind, protoreflect.Int64Kind, protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return varint
	default:
		return unknown
	}
}
