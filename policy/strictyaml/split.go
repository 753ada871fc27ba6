package strictyaml

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// span is one item of a list within the text of a file.
type span struct {
	start, end int32 // in bytes
	// line and column are those of the first character, from 1.
	line, column int32
}

func (s span) of(data []byte) []byte { return data[s.start:s.end] }

// split finds the items of a file that has the one key and below it a list,
// written as a YAML block or as JSON. It returns none for any other text.
//
// In a block, a line that begins with "- " at the indentation of the list
// begins an item. That is true wherever the text before it is whole: no plain
// or block text goes on at that indentation. Where a quoted text or a flow
// mapping does, the item before is not whole, so that reading it fails.
func split(data []byte, key string) (items []span, isJSON bool) {
	if oddLines(data) {
		return nil, false
	}
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		return splitJSON(data, key), true
	}
	return splitBlock(data, key), false
}

// oddLines reports whether the text has line breaks that only YAML knows, or a
// byte order mark: lines and columns would be others.
func oddLines(data []byte) bool {
	for i := bytes.IndexByte(data, '\r'); i >= 0; {
		if i+1 >= len(data) || data[i+1] != '\n' {
			return true
		}
		next := bytes.IndexByte(data[i+1:], '\r')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	for _, odd := range []string{"\u0085", "\u2028", "\u2029", "\ufeff"} {
		if bytes.Contains(data, []byte(odd)) {
			return true
		}
	}
	return len(data) > 0 && (data[0] == 0xfe || data[0] == 0xff)
}

func splitBlock(data []byte, key string) []span {
	var spans []span
	begun, indent := false, -1
	for start, line := 0, 1; start < len(data); line++ {
		end := len(data)
		if n := bytes.IndexByte(data[start:], '\n'); n >= 0 {
			end = start + n + 1
		}
		text := string(bytes.TrimRight(data[start:end], " \t\r\n"))
		trimmed := strings.TrimLeft(text, " ")
		depth := len(text) - len(trimmed)
		isItem := trimmed == "-" || strings.HasPrefix(trimmed, "- ")
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case !begun && line == 1 && text == "---":
		case !begun && text == key+":":
			begun = true
		case !begun:
			return nil
		case isItem && (indent < 0 || depth == indent):
			indent = depth
			spans = append(spans, span{start: int32(start), line: int32(line), column: 1}) //nolint:gosec // at most MaxBytes
		case indent < 0 || depth <= indent:
			return nil
		}
		start = end
	}
	for i := range spans {
		spans[i].end = int32(len(data)) //nolint:gosec // at most MaxBytes
		if i+1 < len(spans) {
			spans[i].end = spans[i+1].start
		}
	}
	return spans
}

func splitJSON(data []byte, key string) []span {
	reader := json.NewDecoder(bytes.NewReader(data))
	for _, want := range []json.Token{json.Delim('{'), key, json.Delim('[')} {
		if got, err := reader.Token(); err != nil || got != want {
			return nil
		}
	}
	var spans []span
	var raw json.RawMessage
	at := cursor{data: data, line: 1, column: 1}
	for reader.More() {
		raw = raw[:0]
		if reader.Decode(&raw) != nil {
			return nil
		}
		end := int(reader.InputOffset())
		at.advance(end - len(raw))
		//nolint:gosec // all are at most MaxBytes
		spans = append(spans, span{start: int32(end - len(raw)), end: int32(end), line: int32(at.line), column: int32(at.column)})
	}
	for _, want := range []json.Token{json.Delim(']'), json.Delim('}')} {
		if got, err := reader.Token(); err != nil || got != want {
			return nil
		}
	}
	if len(bytes.TrimSpace(data[reader.InputOffset():])) > 0 {
		return nil
	}
	return spans
}

// cursor counts lines and characters up to a place in a text.
type cursor struct {
	data         []byte
	at           int
	line, column int
}

func (c *cursor) advance(to int) {
	part := c.data[c.at:to]
	if last := bytes.LastIndexByte(part, '\n'); last >= 0 {
		c.line += bytes.Count(part, []byte{'\n'})
		c.column, part = 1, part[last+1:]
	}
	c.column += utf8.RuneCount(part)
	c.at = to
}
