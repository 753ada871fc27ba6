// Package audit reads Envoy's configuration and names what in it would let
// requests pass unverified, refuse valid deliveries, or surprise whoever runs
// it.
//
// It reads YAML and JSON: bootstrap files, files of xDS resources, the answer
// of Envoy's /config_dump, pieces of a configuration such as one listener
// or a list of HTTP filters, and all of these in a ConfigMap. Of anything else it says
// that it is not read. What belongs together may stand in several files. What Istio,
// Envoy Gateway, Contour and Emissary are told is read as well. Package model follows requests through all
// of it that is Envoy's. It does not check what Envoy refuses by itself; `envoy --mode
// validate` does that.
//
// What the rules rest on was measured with Envoy 1.40.0 and 1.36.4.
package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// File is one file's name, as it appears in findings, and its content.
type File struct {
	Name string
	Data []byte
}

// Options say what the configuration is compared with.
type Options struct {
	// Cluster is the cluster that Envoy asks. Empty: the clusters with
	// "hookbastion" in their names, or, where no filter asks such a one, those
	// of all external authorization filters.
	Cluster string
	// MaxRequestBytes is the setting envoy.max_request_bytes; 1 MiB if 0.
	MaxRequestBytes uint64
	// Decompressed is the setting envoy.decompressed.
	Decompressed bool
	// TrustedHops and TrustedCIDRs are the settings of that name.
	TrustedHops  uint64
	TrustedCIDRs bool
	// ExtensionOnly are the webhooks of policies that the context extension alone
	// selects.
	ExtensionOnly []string
	// SignatureHeaders are the headers that each provider of the catalogue
	// needs, by its name.
	SignatureHeaders map[string][]string
	// OnePhase says that the setting replay.access_log is false.
	OnePhase bool
	// OnlyFailures says that it is FAILURES.
	OnlyFailures bool
	// Edge and TLSVersionHeader are the settings envoy.edge and
	// envoy.tls_version_header, the latter in lower case.
	Edge             bool
	TLSVersionHeader string
	// TLS12 says that the setting grpc.tls.min_version is TLSV1_2.
	TLS12 bool
	// RequireTLS says that policies require TLS without a certificate,
	// RequireCertificate that some require a certificate of the client,
	// RequireWhole all of it.
	RequireTLS, RequireCertificate, RequireWhole bool
}

// Audit returns the findings in the order of files and places.
func Audit(files []File, o Options) []finding.Finding {
	return newAudit(files, o).run()
}

// newAudit reads the files.
func newAudit(files []File, o Options) *audit {
	if o.MaxRequestBytes == 0 {
		o.MaxRequestBytes = 1 << 20
	}
	a := &audit{
		Options: o, files: files, routes: map[string][]node{}, extensions: map[string]node{}, assigned: map[string][]node{},
		runtime: map[string]node{},
	}
	for _, file := range files {
		a.read(file)
	}
	a.resolve()
	return a
}

func (a *audit) run() []finding.Finding {
	a.check()
	order := map[string]int{}
	for i, file := range a.files {
		order[file.Name] = i
	}
	slices.SortStableFunc(a.findings, func(x, y finding.Finding) int {
		return cmp.Or(cmp.Compare(order[x.File], order[y.File]), cmp.Compare(x.Line, y.Line),
			cmp.Compare(x.Column, y.Column), strings.Compare(x.ID, y.ID), strings.Compare(x.Message, y.Message))
	})
	return slices.Compact(a.findings)
}

// audit is what was read and what was found.
type audit struct {
	Options
	files    []File
	managers []*manager
	clusters []node
	routes   map[string][]node // route configurations outside a manager, by name
	root     node              // of the first file
	// extensions are filters that come by config_discovery, assigned the endpoints of
	// clusters, runtime the values of its static layers, all by name.
	extensions     map[string]node
	assigned       map[string][]node
	runtime        map[string]node
	scopeResources []node
	proxies        []proxy
	objects        []object // of Kubernetes
	meshes         []node   // settings of Istio's mesh
	unreads        []unread
	// service are the clusters that are taken for the service's.
	service map[string]bool
	// byCluster are the addresses of clusters by name; see addresses.
	byCluster map[string][]string
	dynamic   bool // there are clusters that no file shows
	handsOn   bool // a listener gives connections to that of their destination
	// listeners is how many were seen, unread says that something was not read.
	listeners int
	unread    bool
	findings  []finding.Finding
}

// report adds a finding at a node, or where an absent node would stand. The
// details follow the rule's own text.
func (a *audit) report(r finding.Rule, n node, details ...string) {
	a.reportAs(r.Severity, r, n, details...)
}

// reportAs adds one that does not have the rule's own severity.
func (a *audit) reportAs(severity finding.Severity, r finding.Rule, n node, details ...string) {
	p := finding.Place{File: n.file, Line: 1, Column: 1, Path: n.path.String()}
	if n.at != nil {
		p.Line, p.Column = n.at.Line, n.at.Column
	}
	message := r.Title
	if len(details) > 0 {
		message += ": " + strings.Join(details, ", ")
	}
	f := r.At(p, message)
	f.Severity = severity
	a.findings = append(a.findings, f)
}

func (a *audit) check() {
	a.checkObjects()
	for _, u := range a.unreads {
		a.reportAs(a.objectSeverity(u.beside), notRead, u.node, u.reason)
	}
	asked := false
	for _, m := range a.managers {
		for i := range m.filters {
			if m.filters[i].ours {
				asked = true
				a.checkFilter(m, &m.filters[i])
				a.checkProofs(&m.filters[i])
			}
		}
		if m.asks() {
			a.checkOrder(m)
			a.checkManager(m)
			a.checkListener(m)
			a.checkSettling(m)
			a.checkSenders(m)
			a.checkRoutes(m)
			a.checkTrailers(m)
		}
	}
	switch {
	case asked || a.unread || a.objectsJudged():
	case len(a.managers) > 0 || a.listeners > 0:
		a.report(noFilter, a.root)
	default:
		a.report(notRead, a.root, "there is no listener in it; "+theDump)
	}
	a.checkDecompressed()
	a.simulate()
	a.checkClusters()
}
