package cli

import (
	"io"
	"net/url"
	"path/filepath"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// SARIF is an object of the form that code hosts show beside the lines (SARIF
// 2.1.0, OASIS).
type SARIF map[string]any

// SARIFResult is one result at a place.
func SARIFResult(rule, level, text string, e finding.Place) SARIF {
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

// levels are SARIF's words for severities.
var levels = map[finding.Severity]string{finding.Error: "error", finding.Warning: "warning", finding.Info: "note"}

// SARIFRules describes rules.
func SARIFRules(rules []finding.Rule) []SARIF {
	all := make([]SARIF, len(rules))
	for i, r := range rules {
		all[i] = SARIF{
			"id": r.ID, "shortDescription": SARIF{"text": r.Title}, "fullDescription": SARIF{"text": r.Risk},
			"help": SARIF{"text": r.Fix}, "helpUri": r.URL(), "defaultConfiguration": SARIF{"level": levels[r.Severity]},
		}
	}
	return all
}

// SARIFFindings describes findings.
func SARIFFindings(found []finding.Finding) []SARIF {
	all := make([]SARIF, len(found))
	for i, f := range found {
		text := f.Message + ". " + f.Risk + " " + f.Fix
		if f.Path != "" {
			text = f.Path + ": " + text
		}
		all[i] = SARIFResult(f.ID, levels[f.Severity], text, f.Place)
		if f.Suppressed != "" {
			all[i]["suppressions"] = []SARIF{{"kind": "inSource", "justification": f.Suppressed}}
		}
	}
	return all
}
