package envoy_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy"
)

// handshakes are what the providers' documentation shows, which package provider has.
const handshakes = "../policy/provider/testdata/handshakes"

// shaken is one of them, with the table that answers it, and one that only watches.
type shaken struct {
	file    string
	now     time.Time
	table   *authz.Table
	shadow  *authz.Table // nil: that is an error
	request *authz.Request
	status  int
	header  http.Header
	body    string
	attacks []*authz.Request
}

func readShaken(t *testing.T) []*shaken {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(handshakes, "*.txtar"))
	if err != nil || len(names) < 25 {
		t.Fatalf("%d handshakes, %v", len(names), err)
	}
	parse := func(data []byte) *authz.Request {
		req, err := capture.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	var all []*shaken
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, dir, text := &shaken{file: strings.TrimSuffix(filepath.Base(name), ".txtar"), header: http.Header{}}, t.TempDir(), ""
		var seconds int64
		_, facts, _ := strings.Cut(string(archive.Comment), "\n\n")
		if _, err := fmt.Sscanf(facts, "now %d", &seconds); err != nil {
			t.Fatal(err)
		}
		s.now = time.Unix(seconds, 0)
		for _, f := range archive.Files {
			switch data := bytes.TrimSuffix(f.Data, []byte("\n")); {
			case f.Name == "policy.yaml":
				text = string(f.Data)
			case f.Name == "request.http":
				s.request = parse(data)
			case f.Name == "answer.http":
				s.readAnswer(t, string(data)+"\n")
			case strings.HasPrefix(f.Name, "attack"):
				s.attacks = append(s.attacks, parse(data))
			default:
				if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.table = compile(t, dir, text, policy.Deps{Now: s.now, Lasting: true})
		if !strings.Contains(text, "setup_until") {
			s.shadow = compile(t, dir, text+"    mode: SHADOW\n", policy.Deps{Now: s.now, Lasting: true})
		}
		all = append(all, s)
	}
	return all
}

func (s *shaken) readAnswer(t *testing.T, text string) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	s.body = strings.TrimSuffix(body, "\n")
	lines := strings.Split(head, "\n")
	if _, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d", &s.status); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		if name, value, ok := strings.Cut(line, ": "); ok {
			s.header.Set(name, value)
		}
	}
	s.header.Set("x-content-type-options", "nosniff")
	s.header.Set("cache-control", "no-store")
}

// toSend is the request for a client of this gateway.
func (g *gateway) toSend(t *testing.T, req *authz.Request) *http.Request {
	t.Helper()
	body := req.Body.Joined()
	out, err := http.NewRequest(string(req.Method), "https://"+g.Address+string(req.Path), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	out.Host = string(req.Host)
	for _, h := range req.Headers {
		if string(h.Name) != "content-length" {
			out.Header.Add(string(h.Name), string(h.Value))
		}
	}
	return out
}

// Each handshake, through a real Envoy, byte for byte.
func TestHandshakesThroughEnvoy(t *testing.T) {
	all := readShaken(t)
	var current atomic.Pointer[shaken]
	g := start(t, envoytest.Options{
		Source: function(func() *authz.Table { return current.Load().table }),
		Now:    func() time.Time { return current.Load().now },
	})
	methods := map[string]bool{}
	for _, s := range all {
		current.Store(s)
		methods[string(s.request.Method)] = true
		g.both(t, func(t *testing.T, c *http.Client) {
			response, err := c.Do(g.toSend(t, s.request))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			id := response.Header.Get("x-hookbastion-decision-id")
			for _, name := range []string{"Date", "Server", "Content-Length", "X-Hookbastion-Decision-Id"} {
				response.Header.Del(name)
			}
			if response.StatusCode != s.status || string(body) != s.body || fmt.Sprint(response.Header) != fmt.Sprint(s.header) {
				t.Errorf("%s: %d %v\n%s\nwant %d %v\n%s", s.file, response.StatusCode, response.Header, body, s.status, s.header, s.body)
			}
			if record := g.Records.Await(id); record["reason"] != "handshake" || record["handshake"] == nil || record["verdict"] != "allow" {
				t.Errorf("%s: record %v", s.file, record)
			}
			if told, _ := g.Records.Await(id)["told"].(string); (s.file == "aws-sns") != strings.HasPrefix(told, "https://sns.") {
				t.Errorf("%s: told %q", s.file, told)
			}
			for i, attack := range s.attacks {
				if a := g.send(t, c, g.toSend(t, attack)); a.status < 400 {
					t.Errorf("%s: attack %d gets %d", s.file, i+1, a.status)
				}
			}
			other := g.toSend(t, s.request)
			other.URL.RawQuery, other.Header, other.Body = "", http.Header{}, nil
			other.ContentLength, other.Method = 0, http.MethodPut
			if a := g.send(t, c, other); a.status != http.StatusMethodNotAllowed {
				t.Errorf("%s: PUT gets %d", s.file, a.status)
			}
		})
		if n := len(g.Upstream.Take()); n != 0 {
			t.Errorf("%s: %d requests reached the upstream", s.file, n)
		}
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
		if !methods[method] {
			t.Errorf("no handshake with %s", method)
		}
	}
}

// In SHADOW mode each handshake reaches the application as it came, the record says what it
// was, and nothing of its answer is added.
func TestHandshakesInShadowThroughEnvoy(t *testing.T) {
	all := readShaken(t)
	var current atomic.Pointer[shaken]
	g := start(t, envoytest.Options{
		Source: function(func() *authz.Table { return current.Load().shadow }),
		Now:    func() time.Time { return current.Load().now },
	})
	forwarded := 0
	for _, s := range all {
		if s.shadow == nil {
			continue
		}
		current.Store(s)
		g.both(t, func(t *testing.T, c *http.Client) {
			answer := g.send(t, c, g.toSend(t, s.request))
			arrived := g.Upstream.Take()
			if answer.status != http.StatusOK || len(arrived) != 1 || string(arrived[0].Body) != string(s.request.Body.Joined()) {
				t.Fatalf("%s: %d, arrived %+v", s.file, answer.status, arrived)
			}
			forwarded++
			if answer.reason != "handshake" || answer.record["mode"] != "SHADOW" || answer.record["handshake"] == nil {
				t.Errorf("%s: record %v", s.file, answer.record)
			}
			if s.body != "" && strings.Contains(answer.text, s.body) || strings.Contains(strings.ToLower(answer.text), "webhook-allowed-origin") {
				t.Errorf("%s: it was answered: %s", s.file, answer.text)
			}
		})
	}
	if forwarded < 2*25 {
		t.Errorf("%d were forwarded", forwarded)
	}
}

// What sign --handshake makes is answered, too, through a real Envoy.
func TestSampleHandshakesThroughEnvoy(t *testing.T) {
	public := map[string]bool{"aws-sns": true, "discord": true} // their private keys are elsewhere
	var current atomic.Pointer[shaken]
	g := start(t, envoytest.Options{
		Source: function(func() *authz.Table { return current.Load().table }),
		Now:    func() time.Time { return current.Load().now },
	})
	answered := 0
	for _, s := range readShaken(t) {
		hook := s.table.Webhooks()[0]
		if public[hook.Provider] {
			continue
		}
		current.Store(s)
		_, path := s.table.Sample(hook.Name)
		for _, h := range hook.Handshakes.(*handshake.Set).Handshakes {
			if h.Learner != nil {
				continue // each would bring another secret
			}
			name := h.Name
			g.both(t, func(t *testing.T, c *http.Client) {
				req := &authz.Request{Host: s.request.Host, Path: authz.View(path)}
				with := authz.Signing{Now: s.now, NewID: rand.Text}
				proven, ok := hook.Handshakes.Request(name, req, with)
				if ok && proven {
					ok = hook.Sign(req, with) == nil
				}
				if !ok {
					t.Fatalf("%s: no request", s.file)
				}
				if a := g.send(t, c, g.toSend(t, req)); a.reason != "handshake" || a.record["handshake"] != name || a.status >= 300 {
					t.Errorf("%s %s: %d %s", s.file, name, a.status, a.reason)
				}
				answered++
			})
		}
		if n := len(g.Upstream.Take()); n != 0 {
			t.Errorf("%s: %d requests reached the upstream", s.file, n)
		}
	}
	if answered < 2*22 {
		t.Errorf("%d were answered", answered)
	}
}
