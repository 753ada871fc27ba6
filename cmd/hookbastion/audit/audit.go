// Package audit is the subcommand envoy audit: the traps of an Envoy
// configuration.
package audit

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/provider"
)

func New() *cobra.Command {
	var output, cluster string
	var p cli.Policies
	cmd := &cobra.Command{
		Use:   "audit FILE...",
		Short: "Name what in Envoy's configuration lets requests pass unverified or refuses good ones",
		Long: "Read Envoy's configuration, whole or in pieces, YAML or JSON, also the answer of its\n" +
			"/config_dump, and name what lets requests pass unverified, refuses valid deliveries or\n" +
			"surprises. - reads standard input. It looks at the filters that ask a cluster with\n" +
			"hookbastion in its name, or at all if there is none.\n" +
			"Exits 0 if there are no errors and warnings, and 3 otherwise. What is only a note\n" +
			"(severity info) does not count.",
		Example: "  hookbastion envoy audit envoy.yaml\n" +
			"  curl -s localhost:9901/config_dump | hookbastion envoy audit -",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", output, "text", "json", "sarif"); err != nil {
				return err
			}
			findings, err := auditFiles(args, &p, cluster, cmd.InOrStdin())
			if err != nil {
				return cli.Reported(cmd.ErrOrStderr(), err)
			}
			switch output {
			case "json":
				err = cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"findings": findings})
			case "sarif":
				err = printFindingsSARIF(cmd.OutOrStdout(), findings)
			default:
				printFindings(cmd.OutOrStdout(), findings)
			}
			if err == nil && count(findings, audit.Error)+count(findings, audit.Warning) > 0 {
				return cli.Invalid
			}
			return err
		},
	}
	p.AddConfig(cmd)
	cmd.Flags().StringArrayVar(&p.Paths, "policy", nil, "directory or file with policies to compare with (default: none); may be repeated")
	cmd.Flags().StringVar(&output, "output", "text", "text, json or sarif")
	cmd.Flags().StringVar(&cluster, "cluster", "", "the cluster that Envoy asks (default: the one whose name tells)")
	return cmd
}

// auditFiles compares Envoy's configuration with the settings of the service,
// from a file or none, and with policies, if any are given.
func auditFiles(names []string, p *cli.Policies, cluster string, stdin io.Reader) ([]audit.Finding, error) {
	s, err := p.Settings()
	if err != nil {
		return nil, err
	}
	headers, err := provider.SignatureHeaders()
	if err != nil {
		return nil, err
	}
	var files []audit.File
	for _, name := range names {
		data, err := cli.ReadInput(stdin, name)
		if err != nil {
			return nil, err
		}
		if name == "-" {
			name = "stdin"
		}
		files = append(files, audit.File{Name: name, Data: data})
	}
	var needs policy.TransportNeeds
	var named []string
	if len(p.Paths) > 0 {
		set, err := policy.Load(p.Paths...)
		if err != nil {
			return nil, err
		}
		if needs, err = set.TransportNeeds(); err != nil {
			return nil, err
		}
		if named, err = set.ExtensionOnly(); err != nil {
			return nil, err
		}
	}
	findings := audit.Audit(files, audit.Options{
		Cluster:          cluster,
		MaxRequestBytes:  uint64(s.Mapping.MaxRequestBytes),
		Decompressed:     s.Mapping.Decompressed,
		TrustedHops:      uint64(s.Mapping.Source.TrustedHops),
		TrustedCIDRs:     len(s.Mapping.Source.TrustedCIDRs) > 0,
		ExtensionOnly:    named,
		SignatureHeaders: headers,
		OnePhase:         s.Lease == 0,
		Edge:             s.Mapping.Edge.First,
		TLSVersionHeader: s.Mapping.Edge.TLSVersionHeader,
		RequireTLS:       needs.TLS, RequireCertificate: needs.Certificate, RequireWhole: needs.Whole,
	})
	if findings == nil {
		findings = []audit.Finding{} // a list in JSON
	}
	return findings, nil
}

func count(findings []audit.Finding, severity audit.Severity) int {
	n := 0
	for i := range findings {
		if findings[i].Severity == severity {
			n++
		}
	}
	return n
}

// printFindings explains each finding once, however often it was found.
func printFindings(w io.Writer, findings []audit.Finding) {
	explained := map[string]bool{}
	for _, f := range findings {
		fmt.Fprintln(w, f)
		if !explained[f.ID] {
			explained[f.ID] = true
			fmt.Fprintf(w, "    What can happen: %s\n    How to mend it:  %s\n", f.Risk, f.Fix)
		}
	}
	fmt.Fprintf(w, "errors: %d, warnings: %d, notes: %d\n",
		count(findings, audit.Error), count(findings, audit.Warning), count(findings, audit.Info))
}

func printFindingsSARIF(w io.Writer, findings []audit.Finding) error {
	levels := map[audit.Severity]string{audit.Error: "error", audit.Warning: "warning", audit.Info: "note"}
	var rules, results []cli.SARIF
	for _, r := range audit.Rules() {
		rules = append(rules, cli.SARIF{
			"id": r.ID, "shortDescription": cli.SARIF{"text": r.Title}, "fullDescription": cli.SARIF{"text": r.Risk},
			"help": cli.SARIF{"text": r.Fix}, "defaultConfiguration": cli.SARIF{"level": levels[r.Severity]},
		})
	}
	for _, f := range findings {
		place := policy.Error{File: f.File, Line: f.Line, Column: f.Column}
		results = append(results, cli.SARIFResult(f.ID, levels[f.Severity], f.Message+". "+f.Risk+" "+f.Fix, place))
	}
	return cli.WriteSARIF(w, rules, results)
}
