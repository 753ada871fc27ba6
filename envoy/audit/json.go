package audit

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readJSON makes the tree of a JSON text as YAML would have it, or returns nil if it is
// none. YAML does not take all of JSON: it has no \/ and no surrogate pairs, in which
// machines write what stands in no basic plane.
func readJSON(data []byte) *yaml.Node {
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) == 0 || text[0] != '{' && text[0] != '[' || !json.Valid(data) {
		return nil
	}
	r := &jsonReader{data: data, tokens: json.NewDecoder(bytes.NewReader(data)), line: 1, column: 1}
	r.tokens.UseNumber()
	return r.value()
}

// jsonReader reads a text that is known to be JSON.
type jsonReader struct {
	data   []byte
	tokens *json.Decoder
	// line and column, from 1, are those of the byte at, in code points.
	at, line, column int
}

// next returns the next token and a node at its place; nil at the end of an object or
// a list.
func (r *jsonReader) next() (json.Token, *yaml.Node) {
	r.advance(int(r.tokens.InputOffset()))
	for r.at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[r.at]) >= 0 {
		r.advance(r.at + 1)
	}
	token, err := r.tokens.Token()
	if err != nil { // the text was valid
		return nil, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: r.line, Column: r.column}
	}
	if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
		return token, nil
	}
	return token, &yaml.Node{Line: r.line, Column: r.column}
}

func (r *jsonReader) advance(to int) {
	for r.at < to {
		c, size := utf8.DecodeRune(r.data[r.at:])
		r.at += size
		if r.column++; c == '\n' {
			r.line, r.column = r.line+1, 1
		}
	}
}

// value reads one value; nil at the end of an object or a list.
func (r *jsonReader) value() *yaml.Node {
	token, n := r.next()
	if n == nil {
		return nil
	}
	switch token := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if token == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for child := r.value(); child != nil; child = r.value() {
			n.Content = append(n.Content, child)
		}
	case string:
		n.Kind, n.Tag, n.Value, n.Style = yaml.ScalarNode, "!!str", token, yaml.DoubleQuotedStyle
	case json.Number:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!float", token.String()
	case bool:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!bool", map[bool]string{true: "true", false: "false"}[token]
	default:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!null", "null"
	}
	return n
}
