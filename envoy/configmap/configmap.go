// Package configmap tells where the files in a ConfigMap of Kubernetes stand in the file around
// them, so that what is said of them has a place that an editor finds.
//
// A text of a literal block, as of "envoy.yaml: |", stands there line by line. Of any other,
// quoted or folded, lines and columns are no longer those of the file: all that it has then
// gets the place at which it begins. It reads no file, and asks not what a text is.
package configmap

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Place gives the nodes of a document their places in file. The document was read from the
// value of text, which is a node of file.
func Place(file []byte, document, text *yaml.Node) {
	p := placer{text: text, indent: -1, seen: map[*yaml.Node]bool{}}
	if text.Style&yaml.LiteralStyle != 0 {
		p.indent = indented(file, text)
	}
	p.place(document)
}

// indented is by how much a literal block is indented, or -1: its first line that is not
// empty stands in the file as in the text, but for that.
func indented(file []byte, text *yaml.Node) int {
	line := text.Line // from 1: that of the text's first line, from 0
	for first := range strings.Lines(text.Value) {
		if strings.TrimSpace(first) == "" {
			line++
			continue
		}
		if lines := bytes.SplitN(file, []byte{'\n'}, line+2); line < len(lines) {
			return spaces(string(lines[line])) - spaces(first)
		}
		break
	}
	return -1
}

func spaces(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

type placer struct {
	text   *yaml.Node
	indent int                 // of a literal block; -1: it is none
	seen   map[*yaml.Node]bool // a node may stand at several places
}

func (p *placer) place(n *yaml.Node) {
	if p.seen[n] {
		return
	}
	p.seen[n] = true
	if p.indent >= 0 {
		n.Line, n.Column = n.Line+p.text.Line, n.Column+p.indent
	} else {
		n.Line, n.Column = p.text.Line, p.text.Column
	}
	for _, child := range n.Content {
		p.place(child)
	}
}
