package cli

import (
	"fmt"
	"io"

	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// PlaceOf is the place of an error.
func PlaceOf(e policy.Error) finding.Place {
	return finding.Place{File: e.File, Line: e.Line, Column: e.Column, Path: e.Path}
}

// PrintFindings writes a line for each finding that is not suppressed, and under the first
// of each rule what can happen and how to mend it.
func PrintFindings(w io.Writer, found []finding.Finding, line func(finding.Finding) string) {
	explained := map[string]bool{}
	for _, f := range found {
		if f.Suppressed != "" {
			continue
		}
		fmt.Fprintln(w, line(f))
		if !explained[f.ID] {
			explained[f.ID] = true
			fmt.Fprintf(w, "    What can happen: %s\n    How to mend it:  %s\n", f.Risk, f.Fix)
		}
	}
}
