package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/sample"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// printed is what a command prints, which must go well. It runs in this process, where a
// new one would cost a second under the race detector.
func printed(t *testing.T, args ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &out)
	}
	return out.Bytes()
}

// upstream is an application that fails when it is told to.
type upstream struct {
	*httptest.Server
	failures atomic.Int64
	mu       sync.Mutex
	got      []*http.Request
}

func startUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		u.mu.Lock()
		u.got = append(u.got, r)
		u.mu.Unlock()
		if u.failures.Add(-1) >= 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

// take returns what came since the last call.
func (u *upstream) take() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	got := u.got
	u.got = nil
	return got
}

// generated is a real Envoy with the configuration that is printed for the quickstart's
// policies, in front of an application and a service.
type generated struct {
	*upstream
	table   *authz.Table
	client  *sample.Client
	service *process
}

// startGenerated starts both, with these settings and flags of what is printed.
func startGenerated(t *testing.T, edit func(envoytest.Config), settings string, flags ...string) *generated {
	t.Helper()
	dir, table := quickstart(t)
	unix := socket(t)
	g := &generated{upstream: startUpstream(t), table: table}
	config := filepath.Join(dir, "settings.yaml")
	if err := sample.WriteFile(config, []byte("envoy: {max_request_bytes: 25MiB}\n"+settings)); err != nil {
		t.Fatal(err)
	}
	g.service = start(t, append(serveArgs(filepath.Join(dir, "policies"), unix), "--config", config)...)
	g.service.stderr.await(t, "msg=serving")
	certs := t.TempDir()
	cert, key, roots, err := envoytest.Certificate(certs)
	if err != nil {
		t.Fatal(err)
	}
	envoyConfig, err := envoytest.ParseConfig(printed(t, append([]string{
		"envoy", "config", "--policy", filepath.Join(dir, "policies"), "--config", config, "--service", "unix:" + unix.Name,
		"--application", g.Listener.Addr().String(), "--certificate", cert, "--key", key,
	}, flags...)...))
	if err != nil {
		t.Fatal(err)
	}
	envoyConfig.GRPCService()["timeout"] = "10s" // the race detector is slow
	if edit != nil {
		edit(envoyConfig)
	}
	e, err := envoytest.Start(context.Background(), envoyConfig, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Stop()
		envoytest.Watched.Saw("Envoy's log", []byte(e.Log()))
	})
	g.client = sample.NewClient(e.Listeners["webhooks"], roots)
	g.client.HTTP.Timeout = generous
	return g
}

func (g *generated) send(t *testing.T, req *authz.Request) int {
	t.Helper()
	status, _, err := g.client.Send(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (g *generated) signed(t *testing.T, body string) *authz.Request {
	return signed(t, g.table, "github", g.client.Address, []byte(body))
}

// forged is unsigned, and says that it was verified.
func forged(method, path string) *authz.Request {
	req := &authz.Request{Method: authz.View(method), Path: authz.View(path), Body: authz.Body{State: authz.BodyWhole, Segments: [][]byte{[]byte("{}")}}}
	req.Set(envoy.HeaderVerified, "signature")
	return req
}

// TestGeneratedConfiguration sends deliveries and attacks through a real Envoy that has
// what envoy config prints.
func TestGeneratedConfiguration(t *testing.T) {
	g := startGenerated(t, nil, "")
	for _, body := range []string{"{}", "!", "\xff\xfe", "", strings.Repeat("x", 25<<20)} {
		req := g.signed(t, body)
		if status := g.send(t, req); status != 200 {
			t.Errorf("%.10q of %d bytes: %d", body, len(body), status)
		}
		if got := g.take(); len(got) != 1 || got[0].Header.Get(envoy.HeaderVerified) != "signature" {
			t.Errorf("%.10q: arrived %v", body, got)
		}
		if len(body) < 10 {
			if status := g.send(t, req); status != 409 {
				t.Errorf("copy of %.10q: %d", body, status)
			}
		}
	}
	tampered := g.signed(t, "as it was signed")
	tampered.Body.Segments = [][]byte{[]byte("as it was Signed")}
	for name, row := range map[string]struct {
		req  *authz.Request
		want []int
	}{
		"tampered":      {tampered, []int{400, 401}},
		"too long":      {g.signed(t, strings.Repeat("x", 25<<20+1)), []int{413}},
		"two slashes":   {forged("POST", "//webhooks/github"), []int{404}},
		"other case":    {forged("POST", "/Webhooks/github"), []int{404}},
		"other method":  {forged("PUT", "/webhooks/github"), []int{405}},
		"nothing there": {forged("POST", "/"), []int{404}},
		"unsigned":      {forged("POST", "/webhooks/github"), []int{401}},
	} {
		if status := g.send(t, row.req); !slices.Contains(row.want, status) {
			t.Errorf("%s: %d, want %v", name, status, row.want)
		}
	}
	if got := g.take(); len(got) > 0 {
		t.Errorf("arrived: %v", got)
	}
	// One that the application fails may come again, at once.
	again := g.signed(t, "fails first")
	g.failures.Store(1)
	if first, second := g.send(t, again), g.send(t, again); first != 500 || second != 200 {
		t.Errorf("%d and then %d, want 500 and 200", first, second)
	}
	g.take()
	terminate(t, g.service)
	if status := g.send(t, g.signed(t, "nobody asks")); status != 503 {
		t.Errorf("without a service: %d", status)
	}
	if got := g.take(); len(got) > 0 {
		t.Errorf("without a service arrived: %v", got)
	}
}

// TestGeneratedLogs: with each access log that is printed, one that the application fails may
// come again, at once, and a copy of one that it took may not.
func TestGeneratedLogs(t *testing.T) {
	const failures = "replay: {access_log: FAILURES}\n"
	for name, row := range map[string]struct {
		settings string
		flags    []string
	}{
		"one line":              {"", []string{"--one-line"}},
		"failures":              {failures, nil},
		"one line and failures": {failures, []string{"--one-line"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGenerated(t, nil, row.settings, row.flags...)
			again := g.signed(t, "fails first")
			g.failures.Store(1)
			if first, second := g.send(t, again), g.send(t, again); first != 500 || second != 200 {
				t.Errorf("%d and then %d, want 500 and 200", first, second)
			}
			want := 409
			if row.settings == failures {
				want = 503 // silence says nothing before the lease has ended
			}
			if status := g.send(t, again); status != want || len(g.take()) != 2 {
				t.Errorf("a copy: %d, want %d", status, want)
			}
		})
	}
}

// TestGuard: the filter that Envoy Gateway is given as a guard lets nothing through that
// the service has not judged, also where the service is not asked at all.
func TestGuard(t *testing.T) {
	dir, _ := quickstart(t)
	var guard any
	decoder := yaml.NewDecoder(bytes.NewReader(printed(t, "envoy", "config", "--for", "envoy-gateway", "--policy", filepath.Join(dir, "policies"))))
	for {
		var object struct {
			Metadata struct{ Name string }
			Spec     struct {
				JSONPatches []struct{ Operation struct{ Value any } } `yaml:"jsonPatches"`
			}
		}
		if err := decoder.Decode(&object); err != nil {
			break
		}
		if object.Metadata.Name == "hookbastion-guard" {
			guard = object.Spec.JSONPatches[0].Operation.Value
		}
	}
	if guard == nil {
		t.Fatal("there is none")
	}
	for _, asked := range []bool{true, false} {
		g := startGenerated(t, func(c envoytest.Config) {
			filters := c.Manager()["http_filters"].([]any)
			if !asked {
				filters = filters[1:]
			}
			c.Manager()["http_filters"] = slices.Insert(slices.Clone(filters), len(filters)-1, guard)
			if !asked {
				delete(c.Manager(), "early_header_mutation_extensions")
			}
		}, "")
		want := map[bool]int{true: 200, false: 403}[asked]
		req := g.signed(t, "{}")
		req.Set(envoy.HeaderDecisionID, "forged")
		if status := g.send(t, req); status != want {
			t.Errorf("asked %v: %d, want %d", asked, status, want)
		}
		if arrived := len(g.take()); arrived != map[bool]int{true: 1, false: 0}[asked] {
			t.Errorf("asked %v: %d arrived", asked, arrived)
		}
	}
}

// TestGeneratedForAll: what is printed for each directory of policies that there is passes
// Envoy's own validation, the audit, and the comparison with itself.
func TestGeneratedForAll(t *testing.T) {
	dir, _ := quickstart(t)
	bin, err := envoytest.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	certs := t.TempDir()
	cert, key, _, err := envoytest.Certificate(certs)
	if err != nil {
		t.Fatal(err)
	}
	more := filepath.Join(dir, "more")
	for name, text := range map[string]string{"hosts.yaml": envoyPolicies, "secret": "c2VjcmV0LW9mLXRoZS10ZXN0LXdpdGgtcmFuZG9tLWJ5dGVz\n"} {
		if err := sample.WriteFile(filepath.Join(more, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	settings := filepath.Join(dir, "hookbastion.yaml")
	if err := sample.WriteFile(settings, []byte("envoy: {max_request_bytes: 25MiB}\n")); err != nil {
		t.Fatal(err)
	}
	failures := filepath.Join(dir, "failures.yaml")
	if err := sample.WriteFile(failures, []byte("envoy: {max_request_bytes: 25MiB}\nreplay: {access_log: FAILURES}\n")); err != nil {
		t.Fatal(err)
	}
	for _, policies := range []string{filepath.Join(dir, "policies"), filepath.Join(more, "hosts.yaml")} {
		for _, flags := range [][]string{
			{"--for", "envoy"}, {"--for", "envoy", "--certificate", cert, "--key", key, "--service", "hookbastion.example.com:9001", "--service-ca", cert, "--service-certificate", cert, "--service-key", key},
			{"--for", "envoy", "--service", "192.0.2.7:9001", "--application", "application.example.com:80", "--service-ca", cert, "--service-certificate", cert, "--service-key", key},
			{"--for", "envoy", "--one-phase"}, {"--for", "envoy", "--one-line"}, {"--for", "envoy", "--config", failures}, {"--for", "istio"},
			{"--for", "istio", "--one-line", "--config", failures}, {"--for", "istio", "--service", "127.0.0.1:9001", "--application", "127.0.0.1:8080"},
			{"--for", "istio", "--certificate", "senders"}, {"--for", "envoy-gateway"}, {"--for", "envoy-gateway", "--certificate", "senders", "--one-phase"},
			{"--for", "contour", "--one-phase", "--certificate", "senders", "--host", "hooks.example.com"},
		} {
			t.Run(filepath.Base(policies)+strings.ReplaceAll(strings.Join(flags, " "), certs, ""), func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "config.yaml")
				args := append([]string{"envoy", "config", "--policy", policies, "--config", settings}, flags...)
				if err := os.WriteFile(file, printed(t, args...), 0o600); err != nil {
					t.Fatal(err)
				}
				if out := string(printed(t, append(args, "--check", file)...)); out != "differences: 0, errors: 0, warnings: 0\n" {
					t.Error(out)
				}
				if flags[1] == "envoy" {
					if out, err := exec.CommandContext(t.Context(), bin, "--mode", "validate", "-c", file, "--log-level", "error").CombinedOutput(); err != nil {
						t.Errorf("Envoy refuses it: %v\n%s", err, out)
					}
				}
			})
		}
	}
}

// envoyPolicies have all that a route can be made of.
const envoyPolicies = `webhooks:
  - {name: any, match: {path: /any}, provider: github, secrets: [{file: secret}]}
  - {name: one, match: {hosts: [hooks.example.com, "other.example.com."], path: /one}, provider: github, secrets: [{file: secret}]}
  - {name: below, match: {hosts: ["*.example.com"], path: /below/**}, provider: github, secrets: [{file: secret}], limits: {max_body_bytes: 65536}}
  - {name: tenants, match: {hosts: ["*.example.com"], path: "/t.x/{tenant}/hook"}, provider: github, secrets: [{file: secret}]}
  - {name: deep, match: {path: "/deep/{part}/**", methods: [PUT, POST]}, provider: github, secrets: [{file: secret}]}
  - {name: long, match: {path: "/a-path/that-is/as-long/as-an-expression/may-be/{x}/{tenant}"}, provider: github, secrets: [{file: secret}]}
  - {name: longer, match: {path: "/a-path/that-is/longer/than-an-expression/of-envoy/may-be-with-all/its-letters/{tenant}"}, provider: github, secrets: [{file: secret}]}
  - {name: dropbox, match: {path: /dropbox}, provider: dropbox, secrets: [{file: secret}]}
`

// TestMeshPages runs the command that each page of a mesh begins with, and wants the
// kinds of resources that the page's table names.
func TestMeshPages(t *testing.T) {
	dir, _ := quickstart(t)
	for _, mesh := range []string{"istio", "envoy-gateway", "contour"} {
		page, err := os.ReadFile(repository + "/docs/" + mesh + ".md")
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile("<!-- generated: " + mesh + " -->\n```sh\nhookbastion (.*) > " + mesh + ".yaml\n```").FindSubmatch(page)
		if m == nil {
			t.Errorf("the page of %s has no command", mesh)
			continue
		}
		args := strings.Fields(strings.Replace(string(m[1]), "--policy policies", "--policy "+filepath.Join(dir, "policies"), 1))
		for _, kind := range regexp.MustCompile(`(?m)^kind: (\w+)$`).FindAllSubmatch(printed(t, args...), -1) {
			if !bytes.Contains(page, kind[1]) {
				t.Errorf("the page of %s does not name %s", mesh, kind[1])
			}
		}
	}
}
