package validate

import (
	"io"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy"
)

// printSARIF writes errors and findings of policies.
func printSARIF(w io.Writer, errs policy.Errors, found []policy.Finding) error {
	rules := []cli.SARIF{{"id": "invalid-policy", "shortDescription": cli.SARIF{"text": "The policy cannot be served."}}}
	var results []cli.SARIF
	for _, e := range errs {
		text := e.Message
		if e.Path != "" {
			text = e.Path + ": " + text
		}
		results = append(results, cli.SARIFResult("invalid-policy", "error", text, e))
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
		results = append(results, cli.SARIFResult(f.ID, level, text, f.Error))
	}
	for _, id := range policy.FindingIDs {
		rules = append(rules, cli.SARIF{"id": id})
	}
	return cli.WriteSARIF(w, rules, results)
}
