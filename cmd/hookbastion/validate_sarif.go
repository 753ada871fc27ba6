package main

import (
	"io"

	"github.com/hookbastion/hookbastion/policy"
)

// printSARIF writes errors and findings of policies.
func printSARIF(w io.Writer, errs policy.Errors, found []policy.Finding) error {
	rules := []sarif{{"id": "invalid-policy", "shortDescription": sarif{"text": "The policy cannot be served."}}}
	var results []sarif
	for _, e := range errs {
		text := e.Message
		if e.Path != "" {
			text = e.Path + ": " + text
		}
		results = append(results, sarifResult("invalid-policy", "error", text, e))
	}
	for _, f := range found {
		level := f.Severity
		if level != "warning" {
			level = "note"
		}
		text := f.Message
		if f.Path != "" {
			text = f.Path + ": " + text
		}
		results = append(results, sarifResult(f.ID, level, text, f.Error))
	}
	for _, id := range policy.FindingIDs {
		rules = append(rules, sarif{"id": id})
	}
	return writeSARIF(w, rules, results)
}
