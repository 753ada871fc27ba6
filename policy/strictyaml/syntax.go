package strictyaml

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

var (
	yamlLine   = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '.*' referenced$`)
	yamlBytes  = regexp.MustCompile(`UTF-8|^control characters`)
	yamlParser = regexp.MustCompile(`^did not find expected |^found (duplicate|incompatible|undefined) `)
	yamlBlock  = regexp.MustCompile(`^did not find expected ('-' indicator|key)$`)
)

// maxFailingLine is the size of the largest text that is read again and again
// to find the line that the library does not tell.
const maxFailingLine = 256 << 10

// syntax reports what the YAML library said, at the place that it means. Only
// the place of from counts: where in the file the text begins.
func (d *decoder) syntax(err error, data []byte, from span) {
	if errors.Is(err, io.EOF) {
		d.doc.addAt(int(from.line), int(from.column), nil, "the file is empty")
		return
	}
	line, text := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
			if yamlParser.MatchString(text) {
				line++ // the library counts from 0 here
			}
		}
	}
	message, column := "not YAML: "+text, 0
	switch {
	case yamlAnchor.MatchString(text):
		message = noAliases
		line = failingLine(data, err, line)
	case yamlBytes.MatchString(text):
		line = badByteLine(data)
	case yamlBlock.MatchString(text):
		line = failingLine(data, err, line) // the library names the one on which the block begins
	case yamlBracket.MatchString(text):
		if line, column = bracket(data, text, line); column > 0 {
			message += "; is this bracket closed?"
		}
	}
	if column == 0 {
		column = firstColumn(data, line)
	}
	if line == 1 {
		column += int(from.column) - 1
	}
	d.doc.addAt(int(from.line)-1+line, column, nil, message+hint(data, line, text))
}

// hint says how the commonest mistakes are mended.
func hint(data []byte, line int, text string) string {
	switch {
	case yamlBlock.MatchString(text):
		return "; is it indented like its neighbours?"
	case strings.HasSuffix(text, "<document start>"):
		return "; " + oneDocument
	case strings.HasPrefix(text, "mapping values are not allowed"):
		return "; text with a colon and a space in it needs quotes"
	case strings.HasPrefix(text, "found character that cannot start") && strings.HasPrefix(strings.TrimLeft(lineText(data, line), " "), "\t"):
		return "; indent with spaces, not tabs"
	default:
		return ""
	}
}

// failingLine returns the first line that makes the text fail with this error,
// or the given one if the text is too long for that.
func failingLine(data []byte, err error, otherwise int) int {
	if len(data) > maxFailingLine {
		return otherwise
	}
	ends := []int{}
	for i, c := range data {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	return 1 + sort.Search(len(ends), func(i int) bool {
		reader := yaml.NewDecoder(bytes.NewReader(data[:ends[i]]))
		var node yaml.Node
		failed := reader.Decode(&node)
		if failed == nil {
			failed = reader.Decode(&node) // of the document that should not be there
		}
		return failed != nil && failed.Error() == err.Error()
	})
}

// badByteLine returns the line of the first character that YAML does not allow.
func badByteLine(data []byte) int {
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && size == 1 || c < ' ' && c != '\t' && c != '\n' && c != '\r' || 0x7f <= c && c < 0xa0 && c != 0x85 {
			return 1 + bytes.Count(data[:i], []byte{'\n'})
		}
		i += size
	}
	return 1
}

// firstColumn returns the column at which the text of a line begins, from 1.
func firstColumn(data []byte, line int) int {
	text := lineText(data, line)
	if rest := strings.TrimLeft(text, " "); strings.TrimSpace(rest) != "" {
		return 1 + len(text) - len(rest)
	}
	return 1
}

func lineText(data []byte, line int) string {
	lines := bytes.SplitN(data, []byte{'\n'}, line+1)
	if line > len(lines) {
		return ""
	}
	return string(lines[line-1])
}
