package strictyaml

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// yamlBracket is what the library says within brackets. Of a comma or end that is not there,
// it tells the line of the bracket, unless that is the first; of a value, that of the end.
var yamlBracket = regexp.MustCompile(`^did not find expected (?:',' or '([\]}])'|node content)$`)

// maxOpen is how many brackets within each other are looked for.
const maxOpen = 8

// bracket returns where the bracket begins that an error is about. It is sure of the column,
// or else that is 0. The library alone is asked, and no text is read otherwise than by it: what
// is quoted, a comment or a block counts as it does there.
func bracket(data []byte, text string, line int) (at, column int) {
	if len(data) > maxFailingLine {
		return line, 0
	}
	if open := unclosed(data); len(open) > 0 {
		last := open[len(open)-1]
		return last.Line, last.Column
	}
	end := yamlBracket.FindStringSubmatch(text)[1]
	if end == "" {
		return line, 0
	}
	// Behind another line, none is the first.
	if m := yamlLine.FindStringSubmatch(errorOf("\n" + string(data))); m != nil && m[2] == text {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	kind := map[string]yaml.Kind{"]": yaml.SequenceNode, "}": yaml.MappingNode}[end]
	for _, open := range unclosed(upTo(data, line)) {
		switch {
		case open.Line != line || open.Kind != kind:
		case column > 0:
			return line, 0 // it may be either
		default:
			column = open.Column
		}
	}
	return line, column
}

// unclosed are the lists and mappings whose brackets are open where the text ends, the
// innermost last: those that end with what has to be written behind the text to make it
// whole. There are none if it is not YAML otherwise either.
func unclosed(data []byte) []*yaml.Node {
	text := string(data) + "\n"
	for n := 1; n <= maxOpen; n++ {
		// A value that nobody expects shows which end is.
		m := yamlLine.FindStringSubmatch(errorOf(text + " x"))
		if m == nil {
			return nil
		}
		end := yamlBracket.FindStringSubmatch(m[2])
		if end == nil || end[1] == "" {
			return nil
		}
		text += end[1]
		var doc yaml.Node
		if yaml.Unmarshal([]byte(text), &doc) == nil {
			return lastFlows(&doc, n)
		}
	}
	return nil
}

// lastFlows are the first n lists and mappings in brackets on the way to the end of the
// document, if there are so many.
func lastFlows(doc *yaml.Node, n int) (all []*yaml.Node) {
	for at := doc; len(at.Content) > 0; {
		last := at.Content[len(at.Content)-1]
		// [a: b] has a mapping without brackets, which begins where its key does.
		pair := at.Kind == yaml.SequenceNode && last.Kind == yaml.MappingNode && len(last.Content) > 0 &&
			last.Content[0].Line == last.Line && last.Content[0].Column == last.Column
		if last.Style&yaml.FlowStyle != 0 && !pair {
			if all = append(all, last); len(all) == n {
				return all
			}
		}
		at = last
	}
	return nil
}

func errorOf(text string) string {
	if err := yaml.Unmarshal([]byte(text), new(yaml.Node)); err != nil {
		return err.Error()
	}
	return ""
}

// upTo is the text to the end of a line.
func upTo(data []byte, line int) []byte {
	for i, c := range data {
		if c == '\n' {
			if line--; line == 0 {
				return data[:i]
			}
		}
	}
	return data
}
