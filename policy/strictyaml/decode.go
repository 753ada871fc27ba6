// Package strictyaml reads YAML into a protobuf message and reports everything
// that is wrong with it at once, each with its place.
//
// It is stricter than YAML: unknown and doubled keys, empty texts and lists,
// nulls, aliases, tags and second documents are errors. Names are those of the
// .proto file or their lowerCamelCase form, enum values their names, durations
// Go's (300s, 24h), sizes plain numbers or with KiB, MiB, GiB, times RFC 3339.
// Rules that stand in the .proto file as protovalidate options hold as well.
//
// Files are bounded in size and depth before they are parsed.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of a file.
const (
	MaxBytes = 64 << 20
	maxDepth = 32
)

// Document is one file that was read.
type Document struct {
	File string
	root *yaml.Node
	errs Errors
	// bad are the values that were not read, unknown the mappings that have
	// an unknown key.
	bad, unknown []Path
}

// Options change what is accepted.
type Options struct {
	// EmptyLists are full names of list fields that may be empty, because
	// that can only mean "none".
	EmptyLists []protoreflect.FullName
}

// Decode reads data, the content of file, into m. The document is never nil;
// it serves to place errors that are found later. Without an error, m has
// everything that the file says.
func (o Options) Decode(file string, data []byte, m proto.Message) (*Document, error) {
	d := &decoder{doc: &Document{File: file}, options: o}
	d.parse(data)
	if d.doc.root != nil {
		d.message(d.doc.root, m.ProtoReflect(), nil)
	}
	if d.doc.root != nil {
		d.doc.validate(m)
	}
	return d.doc, d.doc.errs.Err()
}

// Empty returns a document without a file, for errors that have no place.
func (o Options) Empty(name string) *Document { return &Document{File: name} }

type decoder struct {
	doc     *Document
	options Options
}

// parse sets the root unless the text is not one YAML document.
func (d *decoder) parse(data []byte) {
	if len(data) > MaxBytes {
		d.doc.addAt(1, 1, nil, fmt.Sprintf("the file is larger than %d MiB", MaxBytes>>20))
		return
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := reader.Decode(&first); err != nil {
		d.syntax(err, data)
		return
	}
	switch err := reader.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err, data)
		return
	default:
		d.doc.addAt(second.Line, second.Column, nil, "a second document; write one document a file")
		return
	}
	if len(first.Content) != 1 || first.Content[0].Kind == yaml.ScalarNode && first.Content[0].Tag == "!!null" {
		d.doc.addAt(1, 1, nil, "the file is empty")
		return
	}
	d.doc.root = first.Content[0]
}

func (d *decoder) errorf(n *yaml.Node, path Path, format string, args ...any) {
	d.doc.bad = append(d.doc.bad, path)
	d.doc.addAt(n.Line, n.Column, path, fmt.Sprintf(format, args...))
}

// plain refuses what hides the value from a reader.
func (d *decoder) plain(n *yaml.Node, path Path) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.errorf(n, path, "anchors and aliases are not allowed; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		d.errorf(n, path, "tags such as %s are not allowed", n.Tag)
	case len(path) > maxDepth:
		d.errorf(n, path, "nested too deeply")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		d.errorf(n, path, "has no value; leave the key out, or write {} for an empty one")
	default:
		return true
	}
	return false
}

func (d *decoder) message(n *yaml.Node, m protoreflect.Message, path Path) {
	if !d.plain(n, path) || d.wellKnown(n, m, path) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.errorf(n, path, "must be a mapping of keys to values, not %s", kindName(n))
		return
	}
	fields := m.Descriptor().Fields()
	seen := map[protoreflect.FieldNumber]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field := fieldByName(fields, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0:
			d.unknownKey(key, path, "keys must be plain names")
		case field == nil:
			d.unknownKey(key, path, "unknown key "+quote(key.Value)+suggest(key.Value, fieldNames(fields)))
		case seen[field.Number()] != nil:
			first := seen[field.Number()]
			d.errorf(key, path.field(field), "given twice; the first one is at %d:%d", first.Line, first.Column)
		default:
			seen[field.Number()] = key
			if other := otherOfOneof(field, m); other != nil {
				first := seen[other.Number()]
				d.errorf(key, path.field(field), "only one of %s and %s may be given; %s is at %d:%d",
					other.Name(), field.Name(), other.Name(), first.Line, first.Column)
				continue
			}
			d.field(value, m, field, path.field(field))
		}
	}
}

func (d *decoder) unknownKey(key *yaml.Node, path Path, message string) {
	d.doc.unknown = append(d.doc.unknown, path)
	d.doc.bad = append(d.doc.bad, path.With(key.Value))
	d.doc.addAt(key.Line, key.Column, path, message)
}

// otherOfOneof returns the field of the same oneof that is set already.
func otherOfOneof(field protoreflect.FieldDescriptor, m protoreflect.Message) protoreflect.FieldDescriptor {
	oneof := field.ContainingOneof()
	if oneof == nil || oneof.IsSynthetic() {
		return nil
	}
	return m.WhichOneof(oneof)
}

func fieldByName(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if f := fields.ByName(protoreflect.Name(name)); f != nil {
		return f
	}
	return fields.ByJSONName(name)
}

// fieldList is what a message and a oneof have in common.
type fieldList interface {
	Len() int
	Get(i int) protoreflect.FieldDescriptor
}

func fieldNames(fields fieldList) []string {
	var names []string
	for i := range fields.Len() {
		names = append(names, string(fields.Get(i).Name()))
	}
	return names
}

func (d *decoder) field(n *yaml.Node, m protoreflect.Message, field protoreflect.FieldDescriptor, path Path) {
	switch {
	case field.IsList():
		d.list(n, m, field, path)
	case field.Kind() == protoreflect.MessageKind:
		d.message(n, m.Mutable(field).Message(), path)
	default:
		if value, ok := d.scalar(n, field, path); ok {
			m.Set(field, value)
		}
	}
}

func (d *decoder) list(n *yaml.Node, m protoreflect.Message, field protoreflect.FieldDescriptor, path Path) {
	if !d.plain(n, path) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, path, "must be a list, not %s", kindName(n))
		return
	}
	if len(n.Content) == 0 {
		for _, name := range d.options.EmptyLists {
			if name == field.FullName() {
				return
			}
		}
		d.errorf(n, path, "must not be empty; leave the key out if there is nothing to list")
		return
	}
	list := m.Mutable(field).List()
	for i, item := range n.Content {
		if field.Kind() == protoreflect.MessageKind {
			element := list.AppendMutable().Message()
			d.message(item, element, path.index(i))
		} else if value, ok := d.scalar(item, field, path.index(i)); ok {
			list.Append(value)
		} else {
			list.Append(list.NewElement()) // the others keep their places
		}
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return "a single value"
	default:
		return "this"
	}
}

// quote shortens and escapes text from a file for an error.
func quote(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return strconv.Quote(s)
}
