package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy"
)

// reported prints errors that have places, one a line, and leaves the others
// to main.
func reported(w io.Writer, err error) error {
	var errs policy.Errors
	if !errors.As(err, &errs) {
		return err
	}
	for _, e := range errs {
		fmt.Fprintln(w, e)
	}
	return failed
}

// asErrors makes a list of any error, or of none.
func asErrors(err error) policy.Errors {
	if err == nil {
		return nil
	}
	var errs policy.Errors
	if errors.As(err, &errs) {
		return errs
	}
	return policy.Errors{{Message: err.Error()}}
}

func printErrors(w io.Writer, err error) {
	for _, e := range asErrors(err) {
		fmt.Fprintln(w, e)
	}
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// oneOf says what is wrong with the value of a flag that takes one of a few
// words.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	last := len(words) - 1
	return fmt.Errorf("%s must be %s or %s, not %q", flag, strings.Join(words[:last], ", "), words[last], value)
}
