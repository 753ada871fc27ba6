// Package finding is what the lint of policies and the audit of Envoy's
// configuration have in common: rules, and what was found by them. It finds nothing
// itself, and imports nothing of ours.
//
// Each rule stands once, as a value in the table of whoever looks for it; ids, words
// and severities in outputs and on pages come from there. An id stays what it is for
// ever: people suppress and search for it.
package finding

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a finding matters.
type Severity string

// The severities.
const (
	// Error: requests pass that nobody verified, or valid deliveries are refused.
	Error Severity = "error"
	// Warning: it does harm once something else goes wrong.
	Warning Severity = "warning"
	// Info: right for some and not for others.
	Info Severity = "info"
)

// Severities are all of them, the worst first.
func Severities() []Severity { return []Severity{Error, Warning, Info} }

// AtLeast reports whether s is as bad as other, or worse.
func (s Severity) AtLeast(other Severity) bool {
	order := Severities()
	return slices.Index(order, s) <= slices.Index(order, other)
}

// Rule is one thing that can be found.
type Rule struct {
	// ID is HB and three digits for policies, HE for Envoy's configuration.
	ID string
	// Severity is that of most findings. Else says which others there are, and when.
	Severity Severity
	Else     string
	// Title says what is wrong, without a full stop. Risk is one attack or loss that
	// follows from it, Fix how to mend it; both are sentences.
	Title, Risk, Fix string
	// Link is the page of docs/ that says more, and the part of it.
	Link string
}

// pages is where the pages are published.
const pages = "https://github.com/hookbastion/hookbastion/blob/main/docs/"

// URL is where to read more.
func (r Rule) URL() string { return pages + r.Link }

// Place is where something was found.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1; 0: the whole file
	Column int    `json:"column"` // from 1
	Path   string `json:"path"`
}

// String writes file:line:col, or the file alone if there is no place in it.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Compare puts places in the order of their files, lines and columns.
func (p Place) Compare(q Place) int {
	return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Finding is one thing that was found, at one place.
type Finding struct {
	Place
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Message is what was found here; Risk, Fix and Link are those of the rule.
	Message string `json:"message"`
	Risk    string `json:"risk"`
	Fix     string `json:"fix"`
	Link    string `json:"link"`
	// Removable is the path of a value without which every verdict is the same, and the
	// finding gone; empty if there is none.
	Removable string `json:"removable,omitempty"`
	// Suppressed is why it is known and accepted, where it is: it then counts for nothing.
	Suppressed string `json:"suppressed,omitempty"`
}

// At returns a finding by the rule, with its severity.
func (r Rule) At(p Place, message string) Finding {
	return Finding{Place: p, ID: r.ID, Severity: r.Severity, Message: message, Risk: r.Risk, Fix: r.Fix, Link: r.URL()}
}

// String writes file:line:col: severity ID: message.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s %s: %s", f.Place, f.Severity, f.ID, f.Message)
}

// Count returns how many findings have the severity and are not suppressed.
func Count(found []Finding, s Severity) int {
	n := 0
	for i := range found {
		if found[i].Severity == s && found[i].Suppressed == "" {
			n++
		}
	}
	return n
}

// Worst reports whether a finding that is not suppressed is as bad as the severity, or
// worse.
func Worst(found []Finding, s Severity) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Suppressed == "" && f.Severity.AtLeast(s) })
}
