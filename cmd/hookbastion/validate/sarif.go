package validate

import (
	"io"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/lint"
)

// invalid is the rule of errors, which have no id.
const invalid = "invalid-policy"

// printSARIF writes errors and findings of policies.
func printSARIF(w io.Writer, errs policy.Errors, found []finding.Finding) error {
	var results []cli.SARIF
	for _, e := range errs {
		text := e.Message
		if e.Path != "" {
			text = e.Path + ": " + text
		}
		results = append(results, cli.SARIFResult(invalid, "error", text, cli.PlaceOf(e)))
	}
	rules := []cli.SARIF{{"id": invalid, "shortDescription": cli.SARIF{"text": "The policy cannot be served."}}}
	return cli.WriteSARIF(w, append(rules, cli.SARIFRules(lint.Rules())...), append(results, cli.SARIFFindings(found)...))
}
