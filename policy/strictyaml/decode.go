// Package strictyaml reads YAML into a protobuf message and reports everything
// that is wrong with it at once, each with its place.
//
// It is stricter than YAML: unknown and doubled keys, empty texts and lists,
// nulls, aliases, tags, second documents and characters that hide what stands there
// are errors. Names are those of the
// .proto file or their lowerCamelCase form, enum values their names, durations
// Go's (300s, 24h), sizes plain numbers or with KiB, MiB, GiB, times RFC 3339.
// Rules that stand in the .proto file as protovalidate options hold as well.
//
// Files are bounded in size and depth before they are parsed, and so is the
// number of errors that are reported.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of a file.
const (
	MaxBytes = 64 << 20
	// MaxErrors is how many errors of one file are reported. Reading ends with
	// the next one.
	MaxErrors = 100
	maxDepth  = 32
)

// Document is one file that was read.
type Document struct {
	File string
	root *yaml.Node
	errs Errors
	// bad are the values that were not read, unknown the mappings that have
	// an unknown key.
	bad, unknown []Path
	// ruled are the values that break a rule.
	ruled []Path
	// text places errors after the tree is gone; see DecodeEach.
	text *text
}

// Options change what is accepted.
type Options struct {
	// EmptyLists are full names of list fields that may be empty, because
	// that can only mean "none".
	EmptyLists []protoreflect.FullName
	// Advice, if it is not nil, says what to write in place of a key that a message
	// does not have, or of a single value where the message should stand; "" if there is
	// nothing to say. It must not repeat a text that may be a secret.
	Advice func(message protoreflect.FullName, found Found, text string) string
}

// Found is what stands where a message, or a key of it, should.
type Found int

// What can be found.
const (
	UnknownKey Found = iota
	SingleValue
)

// advice begins with "; " if there is any.
func (o Options) advice(m protoreflect.MessageDescriptor, found Found, text string) string {
	if o.Advice != nil {
		if words := o.Advice(m.FullName(), found, text); words != "" {
			return "; " + words
		}
	}
	return ""
}

// What people are told of YAML that is not read.
const (
	oneDocument = "read is one document a file, so that none is overlooked: move the second one into a file of its own, or its entries under the keys of the first"
	noAliases   = "anchors, aliases and merges are not allowed: what counts must stand where it counts, for readers and in a diff; write the value out"
)

// Decode reads data, the content of file, into m. The document is never nil;
// it serves to place errors that are found later. Without an error, m has
// everything that the file says.
func (o Options) Decode(file string, data []byte, m proto.Message) (*Document, error) {
	d := &decoder{doc: &Document{File: file}, options: o}
	if d.readable(data) {
		d.parse(data)
	}
	if d.doc.root != nil {
		d.message(d.doc.root, m.ProtoReflect())
		d.doc.validate(m, nil)
	}
	return d.doc, d.doc.errs.Err()
}

// Empty returns a document without a file, for errors that have no place.
func (o Options) Empty(name string) *Document { return &Document{File: name} }

type decoder struct {
	doc     *Document
	options Options
	path    Path // of the value that is being read
	// stream is the list whose items are handed over one by one, if any.
	stream *stream
}

// parse sets the root unless the text is not one YAML document.
func (d *decoder) parse(data []byte) {
	if len(data) > MaxBytes {
		d.doc.addAt(1, 1, nil, TooLarge)
		return
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := reader.Decode(&first); err != nil {
		d.syntax(err, data, span{line: 1, column: 1})
		return
	}
	switch err := reader.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err, data, span{line: 1, column: 1})
		return
	default:
		d.doc.addAt(second.Line, second.Column, nil, "a second document begins; "+oneDocument)
		return
	}
	if len(first.Content) != 1 || first.Content[0].Kind == yaml.ScalarNode && first.Content[0].Tag == "!!null" {
		d.doc.addAt(1, 1, nil, "the file is empty")
		return
	}
	d.doc.root = first.Content[0]
}

// step goes on to a part of the value; back returns from it.
func (d *decoder) step(step any) { d.path = append(d.path, step) }
func (d *decoder) back()         { d.path = d.path[:len(d.path)-1] }

// errorf reports an error of the value that is being read.
func (d *decoder) errorf(n *yaml.Node, format string, args ...any) {
	if d.doc.full() {
		return
	}
	d.doc.bad = append(d.doc.bad, slices.Clone(d.path))
	d.doc.addAt(n.Line, n.Column, d.path, fmt.Sprintf(format, args...))
}

// plain refuses what hides the value from a reader.
func (d *decoder) plain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.errorf(n, "%s", noAliases)
	case n.Style&yaml.TaggedStyle != 0:
		d.errorf(n, "tags such as %s are not allowed", n.Tag)
	case len(d.path) > maxDepth:
		d.errorf(n, "nested too deeply")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		d.errorf(n, "has no value; leave the key out, or write {} for an empty one")
	default:
		return true
	}
	return false
}

func (d *decoder) message(n *yaml.Node, m protoreflect.Message) {
	if !d.plain(n) || d.wellKnown(n, m) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "must be a mapping of keys to values, not %s%s", kindName(n), d.instead(n, m))
		return
	}
	fields := m.Descriptor().Fields()
	seen := map[protoreflect.FieldNumber]*yaml.Node{}
	for i := 0; i+1 < len(n.Content) && !d.doc.full(); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field := fieldByName(fields, key.Value)
		switch {
		case key.Tag == "!!merge" || key.Anchor != "":
			d.unknownKey(key, noAliases)
		case key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0:
			d.unknownKey(key, "keys must be plain names")
		case field == nil:
			d.unknownKey(key, "unknown key "+quote(key.Value)+d.otherKey(m, key.Value))
		default:
			first := seen[field.Number()]
			if first == nil {
				seen[field.Number()] = key
			}
			d.step(string(field.Name()))
			d.key(key, value, m, field, first, seen)
			d.back()
		}
	}
}

// otherKey says what to write in place of a key that nobody knows.
func (d *decoder) otherKey(m protoreflect.Message, key string) string {
	if words := d.options.advice(m.Descriptor(), UnknownKey, key); words != "" {
		return words
	}
	names := fieldNames(m.Descriptor().Fields())
	words := suggest(key, names)
	if words == "" && len(names) <= fewKeys {
		words = "; there is " + strings.Join(names, ", ")
	}
	return words
}

// fewKeys are so few that all are listed.
const fewKeys = 6

// instead says what to write in place of a single value.
func (d *decoder) instead(n *yaml.Node, m protoreflect.Message) string {
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	if words := d.options.advice(m.Descriptor(), SingleValue, n.Value); words != "" {
		return words
	}
	if field := fieldByName(m.Descriptor().Fields(), n.Value); field != nil && field.Kind() == protoreflect.MessageKind && !field.IsList() {
		return "; write {" + string(field.Name()) + ": {}}"
	}
	return ""
}

// key reads the value of one key of a message.
func (d *decoder) key(key, value *yaml.Node, m protoreflect.Message, field protoreflect.FieldDescriptor, first *yaml.Node, seen map[protoreflect.FieldNumber]*yaml.Node) {
	if first != nil {
		d.errorf(key, "given twice; the first one is at %d:%d", first.Line, first.Column)
		return
	}
	if other := otherOfOneof(field, m); other != nil {
		first := seen[other.Number()]
		d.errorf(key, "only one of %s and %s may be given; %s is at %d:%d",
			other.Name(), field.Name(), other.Name(), first.Line, first.Column)
		return
	}
	d.field(value, m, field)
}

func (d *decoder) unknownKey(key *yaml.Node, message string) {
	if d.doc.full() {
		return
	}
	here := slices.Clone(d.path)
	d.doc.unknown = append(d.doc.unknown, here)
	d.doc.bad = append(d.doc.bad, here.With(key.Value))
	d.doc.addAt(key.Line, key.Column, here, message)
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

func (d *decoder) field(n *yaml.Node, m protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch {
	case field.IsList():
		d.list(n, m, field)
	case field.Kind() == protoreflect.MessageKind:
		d.message(n, m.Mutable(field).Message())
	default:
		if value, ok := d.scalar(n, field); ok {
			m.Set(field, value)
		}
	}
}

func (d *decoder) list(n *yaml.Node, m protoreflect.Message, field protoreflect.FieldDescriptor) {
	if !d.plain(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "must be a list, not %s", kindName(n))
		return
	}
	if len(n.Content) == 0 {
		if !slices.Contains(d.options.EmptyLists, field.FullName()) {
			d.errorf(n, "must not be empty; leave the key out if there is nothing to list")
		}
		return
	}
	if d.stream != nil && d.stream.field == field {
		for i := 0; i < len(n.Content) && !d.doc.full(); i++ {
			d.item(n.Content[i], i)
		}
		return
	}
	list := m.Mutable(field).List()
	for i := 0; i < len(n.Content) && !d.doc.full(); i++ {
		d.step(i)
		if field.Kind() == protoreflect.MessageKind {
			d.message(n.Content[i], list.AppendMutable().Message())
		} else if value, ok := d.scalar(n.Content[i], field); ok {
			list.Append(value)
		} else {
			list.Append(list.NewElement()) // the others keep their places
		}
		d.back()
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
