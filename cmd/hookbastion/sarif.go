package main

import (
	"io"
	"path/filepath"

	"github.com/hookbastion/hookbastion/policy"
)

// sarif is an object of the form that code hosts show beside the lines (SARIF
// 2.1.0, OASIS).
type sarif map[string]any

// printSARIF writes errors of policies.
func printSARIF(w io.Writer, errs policy.Errors) error {
	var results []sarif
	for _, e := range errs {
		text := e.Message
		if e.Path != "" {
			text = e.Path + ": " + text
		}
		results = append(results, sarifResult("invalid-policy", "error", text, e))
	}
	return writeSARIF(w, []sarif{{"id": "invalid-policy", "shortDescription": sarif{"text": "The policy cannot be served."}}}, results)
}

// sarifResult is one result at the place of an error.
func sarifResult(rule, level, text string, e policy.Error) sarif {
	place := sarif{"artifactLocation": sarif{"uri": filepath.ToSlash(e.File)}}
	if e.Line > 0 {
		place["region"] = sarif{"startLine": e.Line, "startColumn": e.Column}
	}
	return sarif{
		"ruleId": rule, "level": level,
		"message":   sarif{"text": text},
		"locations": []sarif{{"physicalLocation": place}},
	}
}

func writeSARIF(w io.Writer, rules, results []sarif) error {
	if results == nil {
		results = []sarif{} // absent would mean that nothing was looked at
	}
	return printJSON(w, sarif{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []sarif{{
			"tool":    sarif{"driver": sarif{"name": "hookbastion", "version": version, "rules": rules}},
			"results": results,
		}},
	})
}
