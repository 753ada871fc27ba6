// Package edit removes and replaces values in the text of a YAML or JSON file, and leaves all
// else of it as it is: order, comments, spaces, quotes.
//
// It looks for the bytes where the parser says that the value stands, tries the
// shortest cut first, and reads the result: only a text that says what the old one says
// without the value is returned. What cannot be cut so, such as the first key behind a dash,
// is an error, and the text stays as it was.
//
// It does not write files, and knows nothing of what they mean.
package edit

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ErrByHand says that a value cannot be removed without touching others.
var ErrByHand = errors.New("cannot be removed without touching what stands beside it")

// errNowhere says that there is no such value.
var errNowhere = errors.New("is not there")

// Remove returns the text without the value that the steps lead to: keys are strings,
// places in a list ints. A list or mapping that would be empty is removed as well.
func Remove(text []byte, steps ...any) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || len(steps) == 0 {
		return nil, errNowhere
	}
	for {
		parent, i, err := find(doc.Content[0], steps)
		if err != nil {
			return nil, err
		}
		if alone := len(parent.Content) == width(parent); !alone || len(steps) == 1 {
			want := without(tree(doc.Content[0]), steps)
			return cut(text, parent, i, want)
		}
		steps = steps[:len(steps)-1]
	}
}

// width is how many nodes make one entry.
func width(n *yaml.Node) int {
	if n.Kind == yaml.MappingNode {
		return 2
	}
	return 1
}

// find returns the list or mapping that has the value, and the index of its first node.
func find(n *yaml.Node, steps []any) (parent *yaml.Node, i int, err error) {
	for at, step := range steps {
		switch step := step.(type) {
		case int:
			if i = step; n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
				return nil, 0, errNowhere
			}
		case string:
			i = slices.IndexFunc(n.Content, func(c *yaml.Node) bool { return c.Value == step })
			for ; n.Kind == yaml.MappingNode && i >= 0 && i%2 == 1; i++ { // a value that reads like the key
				next := slices.IndexFunc(n.Content[i+1:], func(c *yaml.Node) bool { return c.Value == step })
				if next < 0 {
					return nil, 0, errNowhere
				}
				i += next
			}
			if n.Kind != yaml.MappingNode || i < 0 {
				return nil, 0, errNowhere
			}
		default:
			return nil, 0, errNowhere
		}
		if at == len(steps)-1 {
			return n, i, nil
		}
		n = n.Content[i+width(n)-1]
	}
	return nil, 0, errNowhere
}

// cut removes an entry so that the rest says what is wanted.
func cut(text []byte, parent *yaml.Node, i int, want any) ([]byte, error) {
	w := width(parent)
	start := offset(text, parent.Content[i])
	next := len(text) // where the entry behind it begins, or nothing does
	if i+w < len(parent.Content) {
		next = offset(text, parent.Content[i+w])
	}
	for _, c := range candidates(text, parent.Style&yaml.FlowStyle != 0, start, next, i+w == len(parent.Content)) {
		result := slices.Concat(text[:c.from], text[c.to:])
		var doc yaml.Node
		if yaml.Unmarshal(result, &doc) == nil && len(doc.Content) > 0 && reflect.DeepEqual(tree(doc.Content[0]), want) {
			return result, nil
		}
	}
	return nil, ErrByHand
}

// maxCuts bounds how many are tried: each is read.
const maxCuts = 256

// span is a part of a text.
type span struct{ from, to int }

// candidates are what may be cut, the shortest first.
func candidates(text []byte, flow bool, start, next int, last bool) []span {
	var all []span
	switch {
	case flow && !last:
		return []span{{start, next}}
	case flow:
		// The comma before it goes, too.
		from := start
		if comma := bytes.LastIndexByte(text[:start], ','); comma >= 0 {
			from = comma
		}
		for to := start; to < len(text) && len(all) < maxCuts; to++ {
			if text[to] == ']' || text[to] == '}' {
				all = append(all, span{from, to})
			}
		}
		return all
	default:
		// Whole lines, from that of the dash or key.
		from := bytes.LastIndexByte(text[:start], '\n') + 1
		limit := len(text)
		if !last {
			limit = bytes.LastIndexByte(text[:next], '\n') + 1
		}
		for to := start; to < limit && len(all) < maxCuts; {
			end := bytes.IndexByte(text[to:], '\n')
			if end < 0 {
				to = len(text)
			} else {
				to += end + 1
			}
			all = append(all, span{from, to})
		}
		return all
	}
}

// offset is where a node begins, in bytes. The parser counts characters.
func offset(text []byte, n *yaml.Node) int {
	at := 0
	for line := 1; line < n.Line; line++ {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			return len(text)
		}
		at += end + 1
	}
	for column := 1; column < n.Column && at < len(text); column++ {
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	return at
}

// entry is a key with its value, in order.
type entry struct {
	key   string
	value any
}

// tree is what a document says, without how it is written.
func tree(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		all := []entry{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			all = append(all, entry{n.Content[i].Value, tree(n.Content[i+1])})
		}
		return all
	case yaml.SequenceNode:
		all := []any{}
		for _, item := range n.Content {
			all = append(all, tree(item))
		}
		return all
	default:
		return [2]string{n.ShortTag(), n.Value}
	}
}

// without is a tree that lacks the value that the steps lead to.
func without(value any, steps []any) any {
	switch all := value.(type) {
	case []any:
		i, _ := steps[0].(int)
		if len(steps) == 1 {
			return slices.Concat([]any{}, all[:i], all[i+1:])
		}
		all = slices.Clone(all)
		all[i] = without(all[i], steps[1:])
		return all
	case []entry:
		i := slices.IndexFunc(all, func(e entry) bool { return e.key == steps[0] })
		if len(steps) == 1 {
			return slices.Concat([]entry{}, all[:i], all[i+1:])
		}
		all = slices.Clone(all)
		all[i].value = without(all[i].value, steps[1:])
		return all
	default:
		return nil
	}
}
