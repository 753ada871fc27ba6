package main

import (
	"io"
	"net/url"
	"path/filepath"

	"github.com/hookbastion/hookbastion/policy"
)

// sarif is an object of the form that code hosts show beside the lines (SARIF
// 2.1.0, OASIS).
type sarif map[string]any

// sarifResult is one result at the place of an error.
func sarifResult(rule, level, text string, e policy.Error) sarif {
	result := sarif{"ruleId": rule, "level": level, "message": sarif{"text": text}}
	if e.File == "" {
		return result
	}
	uri := url.URL{Path: filepath.ToSlash(e.File)} // escapes what no URI may have
	place := sarif{"artifactLocation": sarif{"uri": uri.String()}}
	if e.Line > 0 {
		place["region"] = sarif{"startLine": e.Line, "startColumn": e.Column}
	}
	result["locations"] = []sarif{{"physicalLocation": place}}
	return result
}

func writeSARIF(w io.Writer, rules, results []sarif) error {
	if results == nil {
		results = []sarif{} // absent would mean that nothing was looked at
	}
	return printJSON(w, sarif{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []sarif{{
			"tool":       sarif{"driver": sarif{"name": "hookbastion", "version": version, "rules": rules}},
			"columnKind": "unicodeCodePoints", // as the columns of YAML are counted
			"results":    results,
		}},
	})
}
