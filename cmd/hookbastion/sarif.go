package main

import (
	"io"
	"path/filepath"

	"github.com/hookbastion/hookbastion/policy"
)

// printSARIF writes errors in the form that code hosts show beside the lines
// (SARIF 2.1.0, OASIS).
func printSARIF(w io.Writer, errs policy.Errors) error {
	type m = map[string]any
	results := []m{}
	for _, e := range errs {
		place := m{"artifactLocation": m{"uri": filepath.ToSlash(e.File)}}
		if e.Line > 0 {
			place["region"] = m{"startLine": e.Line, "startColumn": e.Column}
		}
		text := e.Message
		if e.Path != "" {
			text = e.Path + ": " + text
		}
		results = append(results, m{
			"ruleId": "invalid-policy", "level": "error",
			"message":   m{"text": text},
			"locations": []m{{"physicalLocation": place}},
		})
	}
	return printJSON(w, m{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []m{{
			"tool": m{"driver": m{
				"name": "hookbastion", "version": version,
				"rules": []m{{"id": "invalid-policy", "shortDescription": m{"text": "The policy cannot be served."}}},
			}},
			"results": results,
		}},
	})
}
