package cli

import (
	"io"
	"net/url"
	"path/filepath"

	"github.com/hookbastion/hookbastion/policy"
)

// SARIF is an object of the form that code hosts show beside the lines (SARIF
// 2.1.0, OASIS).
type SARIF map[string]any

// SARIFResult is one result at the place of an error.
func SARIFResult(rule, level, text string, e policy.Error) SARIF {
	result := SARIF{"ruleId": rule, "level": level, "message": SARIF{"text": text}}
	if e.File == "" {
		return result
	}
	uri := url.URL{Path: filepath.ToSlash(e.File)} // escapes what no URI may have
	place := SARIF{"artifactLocation": SARIF{"uri": uri.String()}}
	if e.Line > 0 {
		place["region"] = SARIF{"startLine": e.Line, "startColumn": e.Column}
	}
	result["locations"] = []SARIF{{"physicalLocation": place}}
	return result
}

func WriteSARIF(w io.Writer, rules, results []SARIF) error {
	if results == nil {
		results = []SARIF{} // absent would mean that nothing was looked at
	}
	return PrintJSON(w, SARIF{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []SARIF{{
			"tool":       SARIF{"driver": SARIF{"name": "hookbastion", "version": Version, "rules": rules}},
			"columnKind": "unicodeCodePoints", // as the columns of YAML are counted
			"results":    results,
		}},
	})
}
