package main

import (
	"io"
	"net/url"
	"path/filepath"

	"github.com/hookbastion/hookbastion/policy"
)

// printSARIF writes errors in the form that code hosts show beside the lines
// (SARIF 2.1.0, OASIS).
func printSARIF(w io.Writer, errs policy.Errors) error {
	type m = map[string]any
	results := []m{}
	for _, e := range errs {
		text := e.Message
		if e.Path != "" {
			text = e.Path + ": " + text
		}
		result := m{"ruleId": "invalid-policy", "ruleIndex": 0, "level": "error", "message": m{"text": text}}
		if e.File != "" {
			uri := url.URL{Path: filepath.ToSlash(e.File)} // escapes what no URI may have
			place := m{"artifactLocation": m{"uri": uri.String()}}
			if e.Line > 0 {
				place["region"] = m{"startLine": e.Line, "startColumn": e.Column}
			}
			result["locations"] = []m{{"physicalLocation": place}}
		}
		results = append(results, result)
	}
	return printJSON(w, m{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []m{{
			"tool": m{"driver": m{
				"name": "hookbastion", "version": version,
				"rules": []m{{"id": "invalid-policy", "shortDescription": m{"text": "The policy cannot be served."}}},
			}},
			"columnKind": "unicodeCodePoints", // as the columns of YAML are counted
			"results":    results,
		}},
	})
}
