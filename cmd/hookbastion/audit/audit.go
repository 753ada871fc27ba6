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
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
)

func New() *cobra.Command {
	var output, cluster string
	var p cli.Policies
	var failOn cli.FailOn
	cmd := &cobra.Command{
		Use:   "audit FILE...",
		Short: "Name what in Envoy's configuration lets requests pass unverified or refuses good ones",
		Long: "Read Envoy's configuration, whole or in pieces, YAML or JSON, also the answer of its\n" +
			"/config_dump, and name what lets requests pass unverified, refuses valid deliveries or\n" +
			"surprises. - reads standard input. It looks at the filters that ask a cluster with\n" +
			"hookbastion in its name, or at all if there is none.\n" +
			"Exits 0 if nothing was found that is as bad as --fail-on or worse, 3 otherwise, and 2\n" +
			"if a file cannot be read.",
		Example: "  hookbastion envoy audit envoy.yaml\n" +
			"  curl -s localhost:9901/config_dump | hookbastion envoy audit -",
		Args: cli.Needs(1, 0, "Envoy's configuration: a file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", output, "text", "json", "sarif"); err != nil {
				return err
			}
			if err := failOn.Check(); err != nil {
				return err
			}
			found, err := auditFiles(args, &p, cluster, cmd.InOrStdin())
			if err != nil {
				return err
			}
			switch output {
			case "json":
				err = cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"findings": found})
			case "sarif":
				err = cli.WriteSARIF(cmd.OutOrStdout(), cli.SARIFRules(audit.Rules()), cli.SARIFFindings(found))
			default:
				printText(cmd.OutOrStdout(), found)
			}
			if err != nil {
				return err
			}
			return failOn.Exit(found)
		},
	}
	p.AddConfig(cmd)
	failOn.AddFlag(cmd)
	cmd.Flags().StringArrayVar(&p.Paths, "policy", nil, "directory or file with policies to compare with (default: none); may be repeated")
	cmd.Flags().StringVar(&output, "output", "text", "text, json or sarif")
	cmd.Flags().StringVar(&cluster, "cluster", "", "the cluster that Envoy asks (default: the one whose name tells)")
	return cmd
}

// auditFiles compares Envoy's configuration with the settings of the service,
// from a file or none, and with policies, if any are given.
func auditFiles(names []string, p *cli.Policies, cluster string, stdin io.Reader) ([]finding.Finding, error) {
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
	found := audit.Audit(files, audit.Options{
		Cluster:          cluster,
		MaxRequestBytes:  uint64(s.Mapping.MaxRequestBytes),
		Decompressed:     s.Mapping.Decompressed,
		TrustedHops:      uint64(s.Mapping.Source.TrustedHops),
		TrustedCIDRs:     len(s.Mapping.Source.TrustedCIDRs) > 0,
		ExtensionOnly:    named,
		SignatureHeaders: headers,
		OnePhase:         s.Lease == 0,
		OnlyFailures:     s.OnlyFailures,
		Edge:             s.Mapping.Edge.First,
		TLSVersionHeader: s.Mapping.Edge.TLSVersionHeader,
		RequireTLS:       needs.TLS, RequireCertificate: needs.Certificate, RequireWhole: needs.Whole,
	})
	if found == nil {
		found = []finding.Finding{} // a list in JSON
	}
	return found, nil
}

func printText(w io.Writer, found []finding.Finding) {
	cli.PrintFindings(w, found, finding.Finding.String)
	fmt.Fprintf(w, "errors: %d, warnings: %d, notes: %d\n",
		finding.Count(found, finding.Error), finding.Count(found, finding.Warning), finding.Count(found, finding.Info))
}
