// Package envoyconfig is the subcommand envoy config: a configuration of Envoy, or of what
// configures Envoy, for the policies at hand.
package envoyconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/edge"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/config"
)

// flags are what the command line says; empty: the default of the target.
type flags struct {
	policies                              cli.Policies
	target, listen, application, service  string
	namespace, certificate, key, clientCA string
	serviceName, serviceCA                string
	serviceCertificate, serviceKey        string
	hosts, check                          []string
	onePhase, oneLine                     bool
}

func New() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print a configuration of Envoy, Istio, Envoy Gateway or Contour for the policies at hand",
		Long: "Print what has Envoy ask the service for each request and forward none that it did not\n" +
			"allow: routes for the webhooks' hosts, paths and methods, the longest delivery that their\n" +
			"providers make, time limits, and what the service learns of deliveries. Comments say what\n" +
			"it takes in memory, and which settings the service needs.\n" +
			"With --check, say where files that are there differ from it, and what lets requests pass\n" +
			"unverified in them. Exits 3 if anything does, or if policies or settings have errors.",
		Example: "  hookbastion envoy config --policy policies > envoy.yaml\n" +
			"  hookbastion envoy config --for istio --host hooks.example.com --check mesh.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.policies.AddFlags(cmd)
	add := func(to *string, name, value, usage string) { cmd.Flags().StringVar(to, name, value, usage) }
	add(&f.target, "for", string(config.Envoy), "envoy, istio, envoy-gateway or contour")
	add(&f.listen, "listen", "", "where senders connect, HOST:PORT (default: 127.0.0.1:10000; for the others 0.0.0.0:80, or 443 with --certificate)")
	add(&f.application, "application", "", "where verified deliveries go, HOST:PORT or unix:PATH (default: 127.0.0.1:8080; for the others application.webhooks.svc.cluster.local:8080)")
	add(&f.service, "service", "", "where Hookbastion is, HOST:PORT or unix:PATH (default: 127.0.0.1:9001; for the others hookbastion.webhooks.svc.cluster.local:9001)")
	add(&f.namespace, "namespace", "", "namespace of Kubernetes (default: webhooks; istio-system with --for istio)")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "host of webhooks that name none (default: any); may be repeated")
	add(&f.certificate, "certificate", "", "the listener's certificate: a file, or the name of a Secret (default: none, and no TLS)")
	add(&f.key, "key", "", "its key: a file, for --for envoy alone (default: none)")
	add(&f.clientCA, "client-ca", "", "authority of senders' certificates: a file, for --for envoy alone (default: none)")
	add(&f.serviceName, "service-name", "", "the name in the service's certificate (default: the host of --service)")
	add(&f.serviceCA, "service-ca", "", "authority of the service's certificate: a file, or the name of a ConfigMap or Secret (default: /etc/envoy/hookbastion/ca.crt, hookbastion-ca)")
	add(&f.serviceCertificate, "service-certificate", "", "what Envoy shows the service: a file, or the name of a Secret (default: /etc/envoy/hookbastion/tls.crt, hookbastion-client)")
	add(&f.serviceKey, "service-key", "", "its key: a file, for --for envoy alone (default: /etc/envoy/hookbastion/tls.key)")
	cmd.Flags().BoolVar(&f.onePhase, "one-phase", false, "no access log goes to the service: the setting replay.access_log: false (default: false, or what --config says)")
	cmd.Flags().BoolVar(&f.oneLine, "one-line", false, "Envoy's OpenTelemetry access log, which costs half, for envoy and istio alone (default: false, the gRPC access log)")
	cmd.Flags().StringArrayVar(&f.check, "check", nil, "compare a file with what would be printed, - for standard input (default: print); may be repeated")
	return cmd
}

func (f *flags) run(cmd *cobra.Command) error {
	s, err := f.policies.Settings()
	if err != nil {
		return err
	}
	options, err := f.options(s)
	if err != nil {
		return err
	}
	// What serve would refuse has no configuration: its errors come first, all of them.
	if _, err := f.policies.Table(); err != nil {
		return err
	}
	n, err := edge.Read(f.policies.Paths)
	if err != nil {
		return err
	}
	options.RequireTLS, options.RequireCertificate = n.Transport.TLS, n.Transport.Certificate
	if len(f.check) > 0 {
		return f.compare(cmd, s, n, options)
	}
	text, err := config.Generate(n.Webhooks, options)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

// options are what the flags and settings say.
func (f *flags) options(s *settings.Settings) (config.Options, error) {
	var o config.Options
	names := []string{}
	for _, t := range config.Targets() {
		names = append(names, string(t))
	}
	if err := cli.OneOf("--for", f.target, names...); err != nil {
		return o, err
	}
	d := f.defaults()
	o = edge.Options(s)
	o.Target, o.Namespace, o.Hosts = config.Target(f.target), d.namespace, f.hosts
	o.Sender = config.Files{Certificate: f.certificate, Key: f.key, CA: f.clientCA}
	o.Client = config.Files{Certificate: d.serviceCertificate, Key: d.serviceKey, CA: d.serviceCA}
	o.ServiceName, o.OnePhase, o.OneLine = f.serviceName, o.OnePhase || f.onePhase, f.oneLine
	o.Failures = o.Failures && !o.OnePhase
	if f.policies.Config != "" {
		o.MaxRequestBytes = uint64(s.Mapping.MaxRequestBytes) //nolint:gosec // the settings bound it
	}
	var errs []error
	for _, a := range []struct {
		to   *config.Address
		flag string
		text string
	}{{&o.Listen, "--listen", d.listen}, {&o.Application, "--application", d.application}, {&o.Service, "--service", d.service}} {
		var err error
		if *a.to, err = config.ParseAddress(a.text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.flag, err))
		}
	}
	if o.ServiceName == "" {
		o.ServiceName = o.Service.Host
	}
	return o, errors.Join(append(errs, f.contradictions(s)...)...)
}

// contradictions are flags and settings that cannot be written.
func (f *flags) contradictions(s *settings.Settings) (errs []error) {
	fail := func(text string) { errs = append(errs, errors.New(text)) }
	envoy := f.target == string(config.Envoy)
	switch {
	case envoy && (f.certificate == "") != (f.key == ""):
		fail("--certificate and --key belong together")
	case envoy && f.clientCA != "" && f.certificate == "":
		fail("--client-ca needs --certificate")
	case !envoy && (f.key != "" || f.clientCA != "" || f.serviceKey != ""):
		fail("--key, --client-ca and --service-key are files of --for envoy; Secrets have their own keys")
	}
	for _, h := range f.hosts {
		name := strings.TrimPrefix(h, "*.")
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err != nil && strings.Trim(name, letters+capitals+"._") != "" || name == "" {
			fail(fmt.Sprintf("--host %q must be a host name without a port", h))
		}
	}
	for flag, name := range f.names() {
		if len(name) > 253 || strings.Trim(name, letters+".") != "" {
			fail(fmt.Sprintf("%s %q must be a name of Kubernetes: small letters, digits, - and .", flag, name))
		}
	}
	if s.Mapping.Decompressed {
		fail("envoy.decompressed needs a decompressor before the filter, which is not written: docs/envoy.md, Compressed bodies")
	}
	logs := envoy || f.target == string(config.Istio)
	if s.OnlyFailures && !logs {
		fail("replay.access_log: FAILURES needs a filter in the access log, which is written for envoy and istio alone: docs/replay.md, Failures alone")
	}
	switch {
	case f.oneLine && !logs:
		fail("--one-line is for envoy and istio alone")
	case f.oneLine && (f.onePhase || s.Lease == 0):
		fail("--one-line asks for an access log, and --one-phase or replay.access_log: false for none")
	}
	if s.Mapping.Edge.TLSVersionHeader != "" {
		fail("envoy.tls_version_header needs an early header mutation, which is not written: docs/transport.md")
	}
	if !envoy && s.Mapping.Source.TrustedHops > 0 {
		fail("source.trusted_hops is for --for envoy alone: say in the control plane how many proxies stand before Envoy")
	}
	if len(s.Mapping.Source.TrustedCIDRs) > 0 {
		fail("source.trusted_cidrs needs to be told to Envoy, which is not written: docs/envoy.md, Whose address it is")
	}
	return errs
}

const (
	letters  = "abcdefghijklmnopqrstuvwxyz0123456789-"
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// names are the flags that name objects.
func (f *flags) names() map[string]string {
	all := map[string]string{"--namespace": f.namespace}
	if f.target != string(config.Envoy) {
		all["--certificate"], all["--service-ca"], all["--service-certificate"] = f.certificate, f.serviceCA, f.serviceCertificate
	}
	return all
}

// defaults are the flags with what holds where nobody has said anything.
func (f *flags) defaults() flags {
	d := *f
	def := func(to *string, text string) {
		if *to == "" {
			*to = text
		}
	}
	if f.target == string(config.Envoy) {
		def(&d.listen, edge.Listen)
		def(&d.application, edge.Application)
		def(&d.service, edge.Service)
		def(&d.serviceCA, "/etc/envoy/hookbastion/ca.crt")
		def(&d.serviceCertificate, "/etc/envoy/hookbastion/tls.crt")
		def(&d.serviceKey, "/etc/envoy/hookbastion/tls.key")
		return d
	}
	if f.certificate == "" {
		def(&d.listen, "0.0.0.0:80")
	}
	def(&d.listen, "0.0.0.0:443")
	def(&d.application, "application.webhooks.svc.cluster.local:8080")
	def(&d.service, "hookbastion.webhooks.svc.cluster.local:9001")
	def(&d.serviceCA, "hookbastion-ca")
	def(&d.serviceCertificate, "hookbastion-client")
	if f.target == string(config.Istio) {
		def(&d.namespace, "istio-system")
	}
	def(&d.namespace, "webhooks")
	return d
}
