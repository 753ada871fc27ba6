// Package config writes configurations of Envoy, and of what configures Envoy for others
// (Istio, Envoy Gateway, Contour), that let nothing reach an application unverified.
//
// It fills templates with what policies need: hosts, paths and methods, the longest
// delivery, and what must be known of senders' connections. The same webhooks and options
// give the same text. Routes are never wider than they need to be, but may be wider than
// a policy, since the service decides: it is asked for every request, also for one that
// matches no webhook, which the last route of each host answers with 404.
//
// What it cannot know it leaves to whoever deploys: certificates, who may reach the service,
// and whether a control plane does what its resources say. `envoy audit` judges the
// configuration that an Envoy has got in the end.
package config

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/hookbastion/hookbastion/envoy"
)

// Target is what the configuration is for.
type Target string

const (
	Envoy        Target = "envoy"
	EnvoyGateway Target = "envoy-gateway"
	Istio        Target = "istio"
	Contour      Target = "contour"
)

// Targets are all there are.
func Targets() []Target { return []Target{Envoy, Istio, EnvoyGateway, Contour} }

// Address is a host name or an IP address and a port, or a path of a Unix socket.
type Address struct {
	Host string
	Port int
	Unix string
}

// ParseAddress reads HOST:PORT or unix:PATH.
func ParseAddress(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok && path != "" {
		return Address{Unix: path}, nil
	}
	host, port, ok := cutPort(text)
	number, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil || number == 0 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") != "" || host == "" {
		return Address{}, fmt.Errorf("%q must be HOST:PORT or unix:PATH", text)
	}
	return Address{Host: host, Port: int(number)}, nil
}

func cutPort(text string) (host, port string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", "", false
	}
	return strings.Trim(text[:i], "[]"), text[i+1:], true
}

// IsIP reports whether the host is an IP address.
func (a Address) IsIP() bool {
	_, err := netip.ParseAddr(a.Host)
	return err == nil
}

// Local reports whether only this machine reaches it.
func (a Address) Local() bool {
	ip, err := netip.ParseAddr(a.Host)
	return a.Unix != "" || err == nil && ip.IsLoopback()
}

// Short is the name of a Kubernetes Service: the first label of the host.
func (a Address) Short() string {
	name, _, _ := strings.Cut(a.Host, ".")
	return name
}

// Internal reports whether the host is the name of a Service of the cluster.
func (a Address) Internal() bool { return strings.HasSuffix(a.Host, ".svc.cluster.local") }

// Webhook is what a configuration must know of one webhook.
type Webhook struct {
	Name, Provider string
	// Hosts as in policies; none: any.
	Hosts []string
	// Path as in policies; empty where its route alone selects it.
	Path    string
	Methods []string
	// MaxBytes is limits.max_body_bytes of the policy; 0: none.
	MaxBytes uint64
	// Largest is what the provider says it delivers at most, with the words for it; 0:
	// nobody knows.
	Largest      uint64
	Said, Source string
}

// Files are the certificate, its key and authorities: files, or for Kubernetes the name of
// a Secret in Certificate.
type Files struct{ Certificate, Key, CA string }

// Options say what is where. Fill names the defaults.
type Options struct {
	Target      Target
	Listen      Address
	Application Address
	Service     Address
	Namespace   string
	// Hosts are for webhooks that name none.
	Hosts []string
	// Sender is the listener's certificate, with CA that of the clients. No certificate:
	// no TLS.
	Sender Files
	// Client is what Envoy shows the service, and by which authority it knows the service,
	// by the name ServiceName. They are used unless the service is on this machine.
	Client      Files
	ServiceName string

	// MaxRequestBytes is the setting envoy.max_request_bytes, 0 where nobody has said it;
	// BytesInFlight the setting limits.bytes_in_flight.
	MaxRequestBytes, BytesInFlight uint64
	TrustedHops                    int
	// OnePhase says that replay.access_log is false, Failures that it is FAILURES. OneLine
	// asks for Envoy's OpenTelemetry access log.
	OnePhase, Failures, OneLine bool
	// RequireTLS and RequireCertificate are what policies ask of senders' connections, Edge is
	// the setting envoy.edge.
	RequireTLS, RequireCertificate, Edge bool
}

//go:embed templates/*.yaml
var files embed.FS

var templates *template.Template

func init() { //nolint:gochecknoinits // part looks into templates, which would be a circle
	templates = template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/*.yaml"))
}

// quote writes a text as YAML and JSON both have it.
func quote(text string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(text)
	return strings.TrimSpace(b.String()), err
}

var functions = template.FuncMap{
	"quote": quote,
	"indent": func(n int, text string) string {
		return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+strings.Repeat(" ", n))
	},
	"part": part,
	"join": strings.Join,
	"size": size,
}

// part is a template within another one, to be indented.
func part(name string, data any) (string, error) {
	var b strings.Builder
	err := templates.ExecuteTemplate(&b, name+".yaml", data)
	return b.String(), err
}

// view is what templates see.
type view struct {
	Options
	Routed   []Host
	Named    []string // webhooks that their route alone selects
	Webhooks int
	Needs    []need
	Limit    uint64
	Unmet    []need // that the limit refuses
	// AtOnce of the longest deliveries fit into InFlight bytes of the service.
	AtOnce, InFlight, Least uint64
	// For is room for 64 at once, in MiB.
	For    uint64
	Remove []string
	// Cluster is the name of the service's cluster.
	Cluster string
}

// Log is the access log by which the service learns what became of deliveries.
func (v *view) Log() (string, error) {
	name := "accesslog"
	if v.OneLine {
		name = "linelog"
	}
	text, err := part(name, v)
	if err != nil || !v.Failures {
		return text, err
	}
	filter, err := part("failures", v)
	return text + filter, err
}

// Generate returns the configuration for the webhooks. It fails with all that it cannot
// write right.
func Generate(webhooks []Webhook, o Options) ([]byte, error) {
	v, err := newView(webhooks, o)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, string(o.Target)+".yaml", v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// removed are the headers by which an application knows what was verified.
func removed() []string {
	return []string{
		envoy.HeaderVerified, envoy.HeaderWebhook, envoy.HeaderDecisionID, envoy.HeaderKeyID, envoy.HeaderTenant,
		envoy.HeaderReplay, envoy.HeaderAssertion,
	}
}

func newView(webhooks []Webhook, o Options) (*view, error) {
	v := &view{Options: o, Webhooks: len(webhooks), Remove: removed(), Cluster: "hookbastion"}
	v.measure(webhooks)
	for _, w := range webhooks {
		if w.Path == "" {
			v.Named = append(v.Named, w.Name)
		}
	}
	slices.Sort(v.Named)
	if o.Target == Istio {
		v.Cluster = fmt.Sprintf("outbound|%d||%s", o.Service.Port, v.ServiceHost())
	}
	v.Routed = routed(webhooks, o.Hosts)
	return v, v.refuse()
}
