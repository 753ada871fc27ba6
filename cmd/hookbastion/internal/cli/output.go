package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/policy"
)

// AsErrors makes a list of any error, or of none.
func AsErrors(err error) policy.Errors {
	if err == nil {
		return nil
	}
	var errs policy.Errors
	if errors.As(err, &errs) {
		return errs
	}
	return policy.Errors{{Message: err.Error()}}
}

func PrintErrors(w io.Writer, err error) {
	for _, e := range AsErrors(err) {
		fmt.Fprintln(w, e)
	}
}

func PrintJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// OneOf says what is wrong with the value of a flag that takes one of a few
// words.
func OneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	last := len(words) - 1
	return fmt.Errorf("%s must be %s or %s, not %q", flag, strings.Join(words[:last], ", "), words[last], value)
}

// Printable is a stranger's text for a terminal, on one line and without white space at
// its ends: what would not be seen as it is is written as in Go, "\n" or "\u202e", and
// so are quotes and backslashes where there is such a thing.
func Printable(text string) string {
	if strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}
