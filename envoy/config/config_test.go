package config_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var webhooks = []config.Webhook{
	{
		Name: "github", Provider: "github", Hosts: []string{"Hooks.example.com."}, Path: "/webhooks/github", Methods: []string{"POST"},
		Largest: 25 << 20, Said: "25 MB", Source: "https://docs.github.com/",
	},
	{Name: "meta", Provider: "meta", Hosts: []string{"hooks.example.com"}, Path: "/webhooks/meta", Methods: []string{"GET", "POST"}, Largest: 3 << 20, Said: "3 MB", Source: "https://developers.facebook.com/"},
	{Name: "tenants", Hosts: []string{"*.example.com"}, Path: "/t.x/{tenant}/hook", Methods: []string{"POST"}},
	{Name: "below", Path: "/below/**", Methods: []string{"POST"}},
	{Name: "named", Methods: []string{"POST"}},
}

// options are good ones for a target.
func options(target config.Target) config.Options {
	o := config.Options{
		Target: target, Namespace: "webhooks", ServiceName: "hookbastion.webhooks.svc.cluster.local",
		Listen: config.Address{Host: "0.0.0.0", Port: 443}, Application: config.Address{Host: "application.webhooks.svc.cluster.local", Port: 8080},
		Service: config.Address{Host: "hookbastion.webhooks.svc.cluster.local", Port: 9001},
		Sender:  config.Files{Certificate: "senders", Key: "senders.key"}, Client: config.Files{Certificate: "hookbastion-client", Key: "client.key", CA: "hookbastion-ca"},
	}
	if target == config.Contour {
		o.OnePhase, o.Hosts = true, []string{"any.example.org"}
	}
	return o
}

func generate(t *testing.T, webhooks []config.Webhook, o config.Options) []byte {
	t.Helper()
	text, err := config.Generate(webhooks, o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGolden(t *testing.T) {
	for _, target := range config.Targets() {
		name := filepath.Join("testdata", string(target)+".yaml")
		text := generate(t, webhooks, options(target))
		if *update {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, want) {
			t.Errorf("%s is not what is written; go test ./envoy/config -run Golden -update", name)
		}
	}
}

// TestLimit: the longest delivery of a provider counts, unless policy or settings say less.
func TestLimit(t *testing.T) {
	github := webhooks[0]
	bounded := github
	bounded.MaxBytes = 2 << 20
	own := config.Webhook{Name: "own", Path: "/own", Methods: []string{"POST"}}
	huge := own
	huge.MaxBytes = 1 << 40
	for name, row := range map[string]struct {
		webhooks []config.Webhook
		setting  uint64
		want     []string
	}{
		"nobody says":         {[]config.Webhook{own}, 0, []string{"max_request_bytes: 1048576}", "a scheme of its own: nobody says"}},
		"GitHub":              {[]config.Webhook{own, github}, 0, []string{"max_request_bytes: 26214400}", "has room for 5\n", "bytes_in_flight: 3202MiB"}},
		"less by policy":      {[]config.Webhook{bounded}, 0, []string{"max_request_bytes: 2097152}", "github: 2 MiB: limits.max_body_bytes"}},
		"less by settings":    {[]config.Webhook{github}, 1 << 20, []string{"max_request_bytes: 1048576}", "# Too little: github may send 25 MiB. The settings of the service say 1 MiB"}},
		"more than there is":  {[]config.Webhook{huge}, 0, []string{"max_request_bytes: 268435456}", "# Too little"}},
		"none":                {nil, 0, []string{"max_request_bytes: 1048576}", "for 0 webhooks"}},
		"one that none match": {[]config.Webhook{{Name: "pay", Methods: []string{"POST"}}}, 0, []string{"for 1 webhook.", "# Not routed: pay"}},
	} {
		o := options(config.Envoy)
		o.MaxRequestBytes = row.setting
		text := string(generate(t, row.webhooks, o))
		for _, want := range row.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, text[:strings.Index(text, "admin:")])
			}
		}
	}
}

// TestRefused: what cannot be written right is told, all of it.
func TestRefused(t *testing.T) {
	for name, row := range map[string]struct {
		target config.Target
		edit   func(*config.Options)
		want   string
	}{
		"TLS":                  {config.Envoy, func(o *config.Options) { o.RequireTLS, o.Sender = true, config.Files{} }, "--certificate is needed"},
		"certificates":         {config.Envoy, func(o *config.Options) { o.RequireCertificate = true }, "--client-ca are needed"},
		"certificates in mesh": {config.Istio, func(o *config.Options) { o.RequireCertificate = true }, "written for --for envoy alone"},
		"socket in mesh":       {config.EnvoyGateway, func(o *config.Options) { o.Service = config.Address{Unix: "/s"} }, "Unix socket"},
		"listener by name":     {config.Envoy, func(o *config.Options) { o.Listen.Host = "localhost" }, "IP address"},
		"Contour's log":        {config.Contour, func(o *config.Options) { o.OnePhase = false }, "replay.access_log: false"},
		"Contour's hosts":      {config.Contour, func(o *config.Options) { o.Hosts = nil }, "--host"},
		"Contour without TLS":  {config.Contour, func(o *config.Options) { o.Sender = config.Files{} }, "--certificate names their Secret"},
		"Contour elsewhere":    {config.Contour, func(o *config.Options) { o.Service.Host = "192.0.2.1" }, "Services alone"},
	} {
		o := options(row.target)
		row.edit(&o)
		if text, err := config.Generate(webhooks, o); err == nil || !strings.Contains(err.Error(), row.want) || text != nil {
			t.Errorf("%s: error %v, want %q", name, err, row.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]config.Address{
		"127.0.0.1:9001": {Host: "127.0.0.1", Port: 9001}, "[::1]:9001": {Host: "::1", Port: 9001}, "a.example:1": {Host: "a.example", Port: 1},
		"unix:/run/s": {Unix: "/run/s"},
	} {
		if got, err := config.ParseAddress(text); err != nil || got != want {
			t.Errorf("%s: %+v, error %v", text, got, err)
		}
	}
	for _, text := range []string{"", "9001", ":9001", "a:0", "a:65536", "a:x", "a b:1", "unix:", "a\": {}:1", "a}:1"} {
		if got, err := config.ParseAddress(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// TestCheckSeesEachChange changes each value that is written, and removes each, and wants the
// comparison to see it, but for what is a site's own.
func TestCheckSeesEachChange(t *testing.T) {
	for _, target := range config.Targets() {
		text := generate(t, webhooks, options(target))
		seen, missed := 0, map[string]int{}
		for i := 0; ; i++ {
			changed, what, more := mutate(t, text, i)
			if !more {
				break
			}
			differences, err := config.Check(webhooks, options(target), []config.File{{Name: "f", Data: changed}})
			if err != nil {
				t.Fatal(err)
			}
			if len(differences) > 0 {
				seen++
			} else {
				missed[what]++
			}
		}
		for what := range missed {
			kind, key, _ := strings.Cut(what, " ")
			if !ownKinds[kind] && !ownKeys[key] && !ofRoutes[what] {
				t.Errorf("%s: a change of %s is not seen", target, what)
			}
		}
		if seen < 20 {
			t.Errorf("%s: %d changes seen", target, seen)
		}
	}
}

// mutate changes the i-th scalar of all documents, and says what it is: the kind of object
// or message, and the key.
func mutate(t *testing.T, text []byte, i int) (out []byte, what string, more bool) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			break
		}
		if at := scalar(&document, "Bootstrap", "", &i); at != "" {
			what, more = at, true
		}
		if err := encoder.Encode(&document); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes(), what, more
}

// scalar counts i down over values, and changes the one at which it is 0.
func scalar(n *yaml.Node, kind, key string, i *int) (at string) {
	if n.Kind == yaml.ScalarNode {
		if *i == 0 {
			n.Value, n.Tag, n.Style, at = n.Value+"7", "", 0, kind+" "+key
		}
		*i--
		return at
	}
	for j := 0; n.Kind == yaml.MappingNode && j < len(n.Content); j += 2 {
		if name := n.Content[j].Value; name == "kind" && n.Content[j+1].Line > 0 && key == "" || name == "@type" {
			kind = n.Content[j+1].Value[strings.LastIndexByte(n.Content[j+1].Value, '.')+1:]
		}
	}
	for j, child := range n.Content {
		switch {
		case n.Kind == yaml.MappingNode && j%2 == 0:
			key = child.Value
		default:
			if found := scalar(child, kind, key, i); found != "" {
				at = found
			}
		}
	}
	return at
}

// TestRoutes: what is routed on each host.
func TestRoutes(t *testing.T) {
	hook := func(name, path string, hosts ...string) config.Webhook {
		return config.Webhook{Name: name, Path: path, Hosts: hosts, Methods: []string{"POST"}}
	}
	all := []config.Webhook{
		hook("any", "/any"), hook("one", "/one", "a.example.com"), hook("twin", "/one", "a-example.com", "a.example.com"),
		hook("wild", "/wild", "*.example.com"), hook("inner", "/inner", "*.b.example.com"), hook("deep", "/deep", "x.b.example.com"),
	}
	text := generate(t, all, options(config.Envoy))
	var tree struct {
		Static struct {
			Listeners []struct {
				Chains []struct {
					Filters []struct {
						Manager struct {
							Routes struct {
								Hosts []struct {
									Name    string
									Domains []string
									Routes  []struct{ Name string }
								} `yaml:"virtual_hosts"`
							} `yaml:"route_config"`
						} `yaml:"typed_config"`
					}
				} `yaml:"filter_chains"`
			}
		} `yaml:"static_resources"`
	}
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	got := map[string]string{}
	for _, h := range tree.Static.Listeners[0].Chains[0].Filters[0].Manager.Routes.Hosts {
		if names[h.Name] {
			t.Errorf("two hosts are named %s", h.Name)
		}
		names[h.Name] = true
		for _, r := range h.Routes {
			got[h.Domains[0]] += r.Name + " "
		}
	}
	for host, want := range map[string]string{
		"*": "any ", "a.example.com": "any one+twin wild ", "a-example.com": "any twin ", "*.example.com": "any wild ",
		"*.b.example.com": "any wild inner ", "x.b.example.com": "any wild inner deep ",
	} {
		if strings.TrimRight(got[host], " ") != strings.TrimRight(want, " ") {
			t.Errorf("%s: %q, want %q", host, got[host], want)
		}
	}
}

// TestMany: twenty thousand webhooks on five hundred hosts are written in a time that
// grows with them, and not with their square.
func TestMany(t *testing.T) {
	var all []config.Webhook
	for i := range 20_000 {
		all = append(all, config.Webhook{
			Name: fmt.Sprint("w", i), Hosts: []string{fmt.Sprintf("h%d.example.com", i%500)}, Path: fmt.Sprintf("/hooks/%d", i), Methods: []string{"POST"},
		})
	}
	for _, target := range []config.Target{config.Envoy, config.EnvoyGateway} {
		if n := bytes.Count(generate(t, all, options(target)), []byte("/hooks/")); n != len(all) {
			t.Errorf("%s: %d routes", target, n)
		}
	}
}

func TestCheckOtherFiles(t *testing.T) {
	o := options(config.Envoy)
	for name, text := range map[string]string{"empty": "", "other": "a: [b, *c]\n", "not YAML": "a: [", "laughs": laughs(), "deep": strings.Repeat("[", 500) + strings.Repeat("]", 500)} {
		differences, err := config.Check(webhooks, o, []config.File{{Name: "f", Data: []byte(text)}})
		if err == nil && len(differences) == 0 {
			t.Errorf("%s: nothing is said", name)
		}
	}
	// A dump is that of an Envoy, whatever it is for, and is JSON.
	var tree any
	if err := yaml.Unmarshal(generate(t, webhooks, o), &tree); err != nil {
		t.Fatal(err)
	}
	text := must(yaml.Marshal(map[string]any{"configs": []any{tree}}))
	if differences, err := config.Check(webhooks, options(config.Istio), []config.File{{Name: "f", Data: text}}); err != nil || len(differences) > 0 {
		t.Errorf("%v, error %v", differences, err)
	}
}

// laughs is a small file that means a large tree.
func laughs() string {
	text := "a0: &a0 [x, x]\n"
	for i := range 40 {
		text += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i)
	}
	return text + "kind: EnvoyFilter\napiVersion: v1\nspec: {configPatches: [*a40, *a40]}\n'@type': a.ExtAuthz\nvirtual: {domains: *a40, routes: *a40}\n"
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What a site has its own values for: names and addresses, listeners, clusters and routes,
// which are compared by what they take.
var (
	ownKeys = setOf("name", "namespace", "port", "cluster_name", "filename", "sni", "san_type", "host", "credentialName", "subjectAltNames",
		"istio", "group", "kind", "stat_prefix", "codec_type", "cluster", "hostname", "caSecret", "secretName", "subjectName", "type")
	ownKinds = setOf("Bootstrap", "Gateway", "GatewayClass", "HTTPRouteFilter", "DownstreamTlsContext", "Router", "ServiceEntry")
	ofRoutes = setOf("HttpConnectionManager timeout", "HttpConnectionManager status", "HttpConnectionManager ignore_port_in_host_matching",
		"HttpConnectionManager request_headers_to_remove", "HTTPProxy statusCode", "HTTPProxy response", "UpstreamTlsContext exact",
		"HTTPRoute apiVersion", "HTTPRoute request", "VirtualService apiVersion", "VirtualService gateways", "VirtualService number",
		"VirtualService timeout", "VirtualService attempts", "VirtualService status")
)

func setOf(words ...string) map[string]bool {
	all := map[string]bool{}
	for _, w := range words {
		all[w] = true
	}
	return all
}

// TestCheckConfigMap: what stands in a ConfigMap is compared, with its places in that file.
func TestCheckConfigMap(t *testing.T) {
	for _, target := range []config.Target{config.Envoy, config.Istio} {
		o := options(target)
		text, err := config.Generate(webhooks, o)
		if err != nil {
			t.Fatal(err)
		}
		if target != config.Envoy { // the dump of its Envoy
			o.Target, o.Listen = config.Envoy, config.Address{Host: "127.0.0.1", Port: 1}
			if text, err = config.Generate(webhooks, o); err != nil {
				t.Fatal(err)
			}
			o = options(target)
		}
		const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: envoy}\ndata:\n  notes.txt: none\n  envoy.yaml: |\n"
		wrapped := head + regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(string(text), "    $1")
		if found, err := config.Check(webhooks, o, []config.File{{Name: "map.yaml", Data: []byte(wrapped)}}); err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", target, found, err)
		}
		changed := strings.Replace(wrapped, "failure_mode_allow: false", "failure_mode_allow: true", 1)
		line := 1 + strings.Count(wrapped[:strings.Index(wrapped, "failure_mode_allow: false")], "\n")
		found, err := config.Check(webhooks, o, []config.File{{Name: "map.yaml", Data: []byte(changed)}})
		if err != nil || len(found) != 1 || found[0].Line != line {
			t.Errorf("%s, line %d: %v, %v", target, line, found, err)
		}
	}
	empty := config.File{Name: "map.yaml", Data: []byte("apiVersion: v1\nkind: ConfigMap\ndata: {a: 'b: [', c: text}\n")}
	if found, err := config.Check(webhooks, options(config.Envoy), []config.File{empty}); err != nil || len(found) != 1 {
		t.Errorf("without a configuration: %v, %v", found, err)
	}
}
