// Package audit is the subcommand envoy audit: the traps of an Envoy
// configuration.
package audit

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/audit"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
)

func New() *cobra.Command {
	var output, cluster, admin string
	var p cli.Policies
	var failOn cli.FailOn
	cmd := &cobra.Command{
		Use:   "audit [FILE...]",
		Short: "Name what in Envoy's configuration lets requests pass unverified or refuses good ones",
		Long: "Read Envoy's configuration, whole or in pieces, YAML or JSON, also the answer of its\n" +
			"/config_dump, or what Istio, Envoy Gateway, Contour and Emissary are told, and name what\n" +
			"lets requests pass unverified, refuses valid deliveries or surprises. A directory stands\n" +
			"for its YAML and JSON files, and - for standard input; --admin asks a running Envoy. It\n" +
			"looks at the filters that ask a cluster with hookbastion in its name, or at all if there\n" +
			"is none.\n" +
			"Exits 0 if nothing was found that is as bad as --fail-on or worse, 3 otherwise, and 2\n" +
			"if a file cannot be read.",
		Example: "  hookbastion envoy audit envoy.yaml\n" +
			"  hookbastion envoy audit --admin http://127.0.0.1:9901",
		Args: func(cmd *cobra.Command, args []string) error {
			if admin != "" {
				return nil
			}
			return cli.Needs(1, 0, "Envoy's configuration: a file, or - for standard input")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", output, "text", "json", "sarif"); err != nil {
				return err
			}
			if err := failOn.Check(); err != nil {
				return err
			}
			files, err := read(cmd, args, admin)
			if err != nil {
				return err
			}
			found, err := auditFiles(files, &p, cluster)
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
	cmd.Flags().StringVar(&admin, "admin", "", "address of the admin interface of a running Envoy, to ask it for its configuration (default: none is asked)")
	cmd.Flags().StringVar(&cluster, "cluster", "", "the cluster that Envoy asks (default: the one whose name tells)")
	return cmd
}

// read reads files, those of directories, and what an Envoy says of itself.
func read(cmd *cobra.Command, names []string, admin string) ([]audit.File, error) {
	var files []audit.File
	for _, name := range names {
		all := []string{name}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			if all, err = configurations(name); err != nil {
				return nil, err
			}
		}
		for _, name := range all {
			data, err := cli.ReadInput(cmd.InOrStdin(), name)
			if err != nil {
				return nil, err
			}
			if name == "-" {
				name = "stdin"
			}
			files = append(files, audit.File{Name: name, Data: data})
		}
	}
	if admin != "" {
		data, err := dump(cmd.Context(), admin)
		if err != nil {
			return nil, err
		}
		files = append(files, audit.File{Name: "config_dump", Data: data})
	}
	return files, nil
}

// configurations are the files of a directory that may be read.
func configurations(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".yaml", ".yml", ".json":
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no file that ends in .yaml, .yml or .json", dir)
	}
	return found, nil
}

// Limits of what an Envoy answers.
const (
	dumpTimeout = 30 * time.Second
	maxDump     = 64 << 20
)

// dump asks the admin interface of an Envoy for its configuration, with the endpoints that
// it was sent.
func dump(ctx context.Context, admin string) ([]byte, error) {
	at, err := url.Parse(admin)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("--admin must be a URL such as http://127.0.0.1:9901, not %q", admin)
	}
	at = at.JoinPath("config_dump")
	at.RawQuery = "include_eds"
	ctx, cancel := context.WithTimeout(ctx, dumpTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no Envoy answers: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", at, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxDump+1))
	if err == nil && len(data) > maxDump {
		err = fmt.Errorf("%s: larger than %d MiB", at, maxDump>>20)
	}
	return data, err
}

// auditFiles compares Envoy's configuration with the settings of the service,
// from a file or none, and with policies, if any are given.
func auditFiles(files []audit.File, p *cli.Policies, cluster string) ([]finding.Finding, error) {
	s, err := p.Settings()
	if err != nil {
		return nil, err
	}
	headers, err := provider.SignatureHeaders()
	if err != nil {
		return nil, err
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
		TLS12:            s.TLS != nil && s.TLS.MinVersion == tls.VersionTLS12,
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
