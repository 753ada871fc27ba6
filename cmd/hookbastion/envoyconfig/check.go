package envoyconfig

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/edge"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/envoy/config"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
)

// compare says where the files of --check differ from what would be printed, and what the
// audit finds in them.
func (f *flags) compare(cmd *cobra.Command, s *settings.Settings, n *edge.Needs, o config.Options) error {
	var files []config.File
	var audited []audit.File
	for _, name := range f.check {
		data, err := cli.ReadInput(cmd.InOrStdin(), name)
		if err != nil {
			return err
		}
		if name == "-" {
			name = "stdin"
		}
		files = append(files, config.File{Name: name, Data: data})
		audited = append(audited, audit.File{Name: name, Data: data})
	}
	differences, err := config.Check(n.Webhooks, o, files)
	if err != nil {
		return err
	}
	headers, err := provider.SignatureHeaders()
	if err != nil {
		return err
	}
	limit := o.MaxRequestBytes
	if limit == 0 {
		limit = config.Limit(n.Webhooks)
	}
	found := audit.Audit(audited, audit.Options{
		MaxRequestBytes: limit, TrustedHops: uint64(o.TrustedHops), ExtensionOnly: n.Named, SignatureHeaders: headers, //nolint:gosec // the settings bound it
		OnePhase: o.OnePhase, OnlyFailures: o.Failures, Edge: s.Mapping.Edge.First, TLS12: s.TLS != nil && s.TLS.MinVersion == tls.VersionTLS12,
		RequireTLS: n.Transport.TLS, RequireCertificate: n.Transport.Certificate, RequireWhole: n.Transport.Whole,
	})
	// What the audit does not read is read here, or said to be nothing.
	found = slices.DeleteFunc(found, func(x finding.Finding) bool { return audit.IsNotRead(x) || x.Severity == finding.Info })
	out := cmd.OutOrStdout()
	for _, d := range differences {
		fmt.Fprintln(out, d)
	}
	cli.PrintFindings(out, found, finding.Finding.String)
	fmt.Fprintf(out, "differences: %d, errors: %d, warnings: %d\n", len(differences), finding.Count(found, finding.Error), finding.Count(found, finding.Warning))
	if len(differences) > 0 || finding.Count(found, finding.Error) > 0 {
		return cli.Invalid
	}
	return nil
}
