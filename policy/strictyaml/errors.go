package strictyaml

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"buf.build/go/protovalidate"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	validatepb "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
)

// Path leads from the root of a document to a value: keys are strings, places
// in a list ints.
type Path []any

// With returns a longer path and leaves p as it is.
func (p Path) With(steps ...any) Path { return append(p[:len(p):len(p)], steps...) }

// String writes the path as webhooks[0].match.path.
func (p Path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	return b.String()
}

// Error is one thing that is wrong, with its place.
type Error struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"`
	Message string `json:"message"`
	// Unread: what was named could not be read, so that nobody knows whether it is
	// wrong.
	Unread bool `json:"-"`
}

// Position writes file:line:col, or the file alone if there is no place in it.
func (e Error) Position() string {
	if e.Line == 0 {
		return e.File
	}
	return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
}

// Error writes file:line:col: path: message. Places that do not exist are left out.
func (e Error) Error() string {
	text := e.Position() + ":"
	if e.Path != "" {
		text += " " + e.Path + ":"
	}
	return text + " " + e.Message
}

// Errors is everything that is wrong with one or more files.
type Errors []Error

// Error writes one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the errors in the order of their places, or nil.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return e
}

// full reports whether no more errors are taken down. The last one says so.
func (d *Document) full() bool { return len(d.errs) > MaxErrors }

func (d *Document) addAt(line, column int, path Path, message string) {
	d.add(Error{File: d.File, Line: line, Column: column, Path: path.String(), Message: message})
}

func (d *Document) add(e Error) {
	if len(d.errs) == MaxErrors {
		e.Path, e.Message = "", TooMany
	}
	if len(d.errs) <= MaxErrors {
		d.errs = append(d.errs, e)
	}
}

// TooLarge is the message about a file of more than MaxBytes.
const TooLarge = "the file is larger than 64 MiB"

// TooMany is the message at the first error that is left out.
const TooMany = "more than 100 errors; the others show once these are mended"

// Error returns an error at the value that the path leads to, or at the last
// value on the way that the file has.
func (d *Document) Error(path Path, message string) Error {
	line, column := d.Place(path)
	return Error{File: d.File, Line: line, Column: column, Path: path.String(), Message: message}
}

// Place returns line and column, both from 1, of the key or list item that the
// path leads to, or 0 if the document has no text.
func (d *Document) Place(path Path) (line, column int) {
	node, line, column, path := d.start(path)
	if node == nil {
		return line, column
	}
	for _, step := range path {
		key, value := child(node, step)
		if value == nil {
			break
		}
		node, line, column = value, key.Line, key.Column
	}
	return line, column
}

// child returns the node to point at and the node to go on with.
func child(n *yaml.Node, step any) (at, value *yaml.Node) {
	switch step := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && step < len(n.Content) {
			return n.Content[step], n.Content[step]
		}
	case string:
		if n.Kind != yaml.MappingNode {
			return nil, nil
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i]; key.Value == step || snake(key.Value) == step {
				return key, n.Content[i+1]
			}
		}
	}
	return nil, nil
}

// snake turns lowerCamelCase into snake_case.
func snake(s string) string {
	var b strings.Builder
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

var validator = sync.OnceValues(func() (protovalidate.Validator, error) { return protovalidate.New() })

// validate adds what the rules in the .proto file say, but not what follows
// from an error that was found before. The message is the value at the path.
func (d *Document) validate(m proto.Message, at Path) {
	v, err := validator()
	if err == nil {
		err = v.Validate(m)
	}
	var violations *protovalidate.ValidationError
	switch {
	case err == nil:
	case errors.As(err, &violations):
		for _, violation := range violations.Violations {
			if d.full() {
				return
			}
			d.violation(violation, m.ProtoReflect().Descriptor(), at)
		}
	default:
		d.addAt(1, 1, nil, "the file cannot be checked: "+err.Error())
	}
}

func (d *Document) violation(v *protovalidate.Violation, message protoreflect.MessageDescriptor, at Path) {
	path := pathOf(v.Proto.GetField())
	words := plainWords(v)
	absent := !d.has(at.With(path...))
	switch {
	case v.Proto.GetRuleId() == "required":
		path, words = missing(message, path)
	case absent:
		words = "is missing; it " + words
	}
	if path = at.With(path...); !d.follows(path, absent) {
		d.ruled = append(d.ruled, path)
		d.add(d.Error(path, words))
	}
}

// follows reports whether an error at the path is only to be expected: the
// value or a part of it was not read, or what is absent may be misspelt.
func (d *Document) follows(path Path, absent bool) bool {
	for _, bad := range d.bad {
		if n := min(len(bad), len(path)); slices.Equal(bad[:n], path[:n]) {
			return true
		}
	}
	for _, mapping := range d.unknown {
		// The path is that of the value, or of the mapping that needs one of several.
		if n := len(mapping); absent && (n == len(path) || n == len(path)-1) && slices.Equal(mapping, path[:n]) {
			return true
		}
	}
	return false
}

// has reports whether the file has a value at the path.
func (d *Document) has(path Path) bool {
	node, _, _, path := d.start(path)
	for _, step := range path {
		if node == nil {
			return false
		}
		_, node = child(node, step)
	}
	return node != nil
}

func pathOf(field *validatepb.FieldPath) Path {
	var path Path
	for _, element := range field.GetElements() {
		path = append(path, element.GetFieldName())
		if _, ok := element.GetSubscript().(*validatepb.FieldPathElement_Index); ok {
			path = append(path, int(element.GetIndex()))
		}
	}
	return path
}

// missing words the absence of a field or of all fields of a oneof, which has
// no key of its own.
func missing(message protoreflect.MessageDescriptor, path Path) (Path, string) {
	if oneof := oneofAt(message, path); oneof != nil {
		return path[:len(path)-1], "needs one of " + strings.Join(fieldNames(oneof.Fields()), ", ")
	}
	if field := fieldAt(message, path); field != nil && field.Enum() != nil {
		return path, "is missing; it is one of " + strings.Join(valueNames(field.Enum()), ", ")
	}
	return path, "is missing"
}

// fieldAt returns the field that the path ends at, or nil.
func fieldAt(message protoreflect.MessageDescriptor, path Path) (field protoreflect.FieldDescriptor) {
	for _, step := range path {
		name, ok := step.(string)
		if !ok {
			continue
		}
		if message == nil {
			return nil
		}
		if field = message.Fields().ByName(protoreflect.Name(name)); field == nil {
			return nil
		}
		message = field.Message()
	}
	return field
}

// oneofAt returns the oneof that the path ends at, or nil.
func oneofAt(message protoreflect.MessageDescriptor, path Path) protoreflect.OneofDescriptor {
	for i, step := range path {
		name, ok := step.(string)
		if !ok {
			continue
		}
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil && i == len(path)-1 {
			return message.Oneofs().ByName(protoreflect.Name(name))
		}
		if field == nil || field.Message() == nil {
			return nil
		}
		message = field.Message()
	}
	return nil
}
