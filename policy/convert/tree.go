package convert

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// value is a value of a YAML or JSON file with its place. The zero value is not there.
type value struct {
	c    *converter
	n    *yaml.Node
	path strictyaml.Path
	in   *yaml.Node // where it is written; of one that is not there, the last of the path that is
}

var lineOf = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// root reads the one document of a file.
func (c *converter) root(data []byte) (value, error) {
	if text := bytes.TrimLeft(data, " \t\r\n\ufeff"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		data = bytes.ReplaceAll(data, []byte{'\t'}, []byte{' '}) // which JSON has between values alone, and YAML does not like
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := reader.Decode(&doc); err != nil {
		return value{}, c.syntax(err)
	}
	if err := reader.Decode(&second); !errors.Is(err, io.EOF) {
		at := Note{File: c.file, Line: max(second.Line, 1), Column: max(second.Column, 1), Message: "a second document begins: give each a file of its own"}
		if err != nil {
			return value{}, c.syntax(err)
		}
		return value{}, strictyaml.Errors{at}
	}
	return value{c: c, n: doc.Content[0]}.follow(), nil
}

// syntax is what the parser says, which has no values in it.
func (c *converter) syntax(err error) error {
	at := Note{File: c.file, Line: 1, Column: 1, Message: "cannot be read as YAML or JSON"}
	if errors.Is(err, io.EOF) {
		at.Message = "the file is empty"
		return strictyaml.Errors{at}
	}
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			at.Line = line
		}
		at.Message += ": " + strings.TrimPrefix(err.Error(), m[0])
	}
	return strictyaml.Errors{at}
}

// follow goes where an alias points, a few times at most.
func (v value) follow() value {
	v.in = cmp.Or(v.n, v.in)
	for range 8 {
		if v.n != nil && v.n.Kind == yaml.AliasNode {
			v.n = v.n.Alias
		}
	}
	if v.c != nil {
		if v.c.left--; v.c.left < 0 { // more than anybody writes
			v.n = nil
		}
	}
	if v.n != nil && (v.n.Kind == yaml.AliasNode || v.n.Kind == yaml.ScalarNode && v.n.Tag == "!!null") {
		v.n = nil
	}
	return v
}

func (v value) ok() bool { return v.n != nil }

// at is the place of the value.
func (v value) at() Note {
	at := Note{File: v.c.file, Path: v.path.String()}
	if n := cmp.Or(v.n, v.in); n != nil {
		at.Line, at.Column = n.Line, n.Column
	}
	return at
}

func (v value) note(format string, args ...any) { v.c.note(v.at(), format, args...) }

func (v value) step(n *yaml.Node, step any) value {
	return value{c: v.c, n: n, path: append(v.path[:len(v.path):len(v.path)], step)}.follow()
}

// get returns the value of a key of a mapping.
func (v value) get(key string) value {
	if v.n != nil && v.n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(v.n.Content); i += 2 {
			if v.n.Content[i].Value == key {
				return v.step(v.n.Content[i+1], key)
			}
		}
	}
	return value{c: v.c, path: append(v.path[:len(v.path):len(v.path)], key), in: v.in}
}

// rest says of each key that is none of these that it is not carried over.
func (v value) rest(why string, known ...string) {
	if v.n == nil || v.n.Kind != yaml.MappingNode {
		return
	}
	seen := map[string]bool{}
	for _, key := range known {
		seen[key] = false
	}
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		key := v.n.Content[i]
		again, expected := seen[key.Value]
		seen[key.Value] = true
		at := Note{File: v.c.file, Line: key.Line, Column: key.Column, Path: append(v.path[:len(v.path):len(v.path)], cut(key.Value)).String()}
		switch {
		case again:
			v.c.note(at, "stands there twice: the first one was read")
		case !expected && v.step(v.n.Content[i+1], key.Value).ok():
			v.c.note(at, "is not carried over%s", why)
		}
	}
}

// cut shortens a name that a stranger may have chosen, and takes out what would not print.
func cut(name string) string {
	name = strings.ToValidUTF8(name, "?")
	name = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, name)
	if runes := []rune(name); len(runes) > 60 {
		return string(runes[:60]) + "…"
	}
	return name
}

// items are those of a list; a single value is none.
func (v value) items() []value {
	if v.n == nil {
		return nil
	}
	if v.n.Kind != yaml.SequenceNode {
		v.note("should be a list, and is not carried over")
		return nil
	}
	var all []value
	for i, n := range v.n.Content {
		item := v.step(n, i)
		if v.c.left < 0 {
			return nil
		}
		if item.ok() {
			all = append(all, item)
		}
	}
	return all
}

// text is that of a scalar; "" where it is none.
func (v value) text() string {
	if v.n == nil || v.n.Kind != yaml.ScalarNode {
		return ""
	}
	return v.n.Value
}

// texts are those of a list, or of one text.
func (v value) texts() []string {
	if v.n != nil && v.n.Kind == yaml.ScalarNode {
		return []string{v.n.Value}
	}
	var all []string
	for _, item := range v.items() {
		all = append(all, item.text())
	}
	return all
}

// is reports whether the value is true or false, whatever stands in its place if it is
// not there.
func (v value) is(absent bool) bool {
	if v.n == nil {
		return absent
	}
	var b bool
	if err := v.n.Decode(&b); err != nil {
		v.note("should be true or false, and was taken for %t", absent)
		return absent
	}
	return b
}

// number is a whole number from 0; ok is false where it is none.
func (v value) number() (n uint64, ok bool) {
	if v.n == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(v.text(), 10, 62)
	return n, err == nil
}
