package audit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// judged is a configuration, what is tried with it, and what a real Envoy shows.
type judged struct {
	name, text, file   string
	files              map[string]string // beside it
	forged, deliveries []string
	// want: open, a forged request reaches the application; refused, a valid delivery is;
	// code, it is open to code that is not this one; way, the way to the service is
	// open to others; right and right-way, none of these.
	want string
}

// everywhere is tried with every configuration.
var everywhere = []string{
	"POST http://hooks.example.com/hook/a", "GET http://hooks.example.com/hook/a", "POST http://any.invalid/hook/a",
	"POST http://hooks.example.com/", "PUT http://hooks.example.com/other", "POST http://hooks.example.com/open",
	"POST http://hooks.example.com/hook/a upgrade: websocket",
}

// usual are the deliveries that every configuration must let pass which names no others.
var usual = []string{
	"POST http://hooks.example.com/hook/a", "POST http://hooks.example.com/hook/gzip content-encoding: gzip",
	"POST http://hooks.example.com/hook/a expect: 100-continue",
}

const large = 100_000

func delivery(text string) try {
	r := parseTry(text)
	r.sign = true
	switch {
	case strings.HasSuffix(r.path, "/gzip"):
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(fresh() + strings.Repeat("a letter", 1000)))
		_ = w.Close()
		r.body = b.String()
	case strings.HasSuffix(r.path, "/large"):
		r.body = fresh() + strings.Repeat("a letter", large/8)
	case strings.HasSuffix(r.path, "/binary"):
		r.body = fresh() + "\xff!"
	}
	return r
}

// start runs Envoy with a configuration.
func (s *stand) start(t *testing.T, c *judged) *envoytest.Envoy {
	t.Helper()
	dir := t.TempDir()
	descriptor, err := os.ReadFile("testdata/cases/billing.pb")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"billing.pb": string(descriptor)}
	for name, text := range c.files {
		files[name] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReplacer("./billing.pb", dir+"/billing.pb", "$DIR", dir, "$SERVICE", s.service.String(), "$APPLICATION", s.application.String()).Replace(s.place(c.text))
	e, err := envoytest.StartText(t.Context(), []byte(text), c.file, dir, "--concurrency", "1")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// verdict is what a real Envoy shows: a forged request that reached the application with
// its claim, and a valid delivery that did not.
func (s *stand) verdict(t *testing.T, c *judged) (open, refused string) {
	t.Helper()
	e := s.start(t, c)
	defer e.Stop()
	sent := map[string]string{}
	for name, address := range e.Listeners {
		if _, _, err := net.SplitHostPort(address); err != nil || strings.HasSuffix(address, ":0") {
			continue // an internal listener
		}
		for _, text := range slices.Concat(everywhere, c.forged) {
			text = strings.ReplaceAll(text, "$APPLICATION", s.application.String())
			a, _ := s.send(address, parseTry(text))
			if a.claim != "" && a.application == "application" {
				open = name + ": " + text
			}
			sent[a.id] = name + ": " + text
		}
		if name != "hooks" && len(e.Listeners) > 1 && name != "base" {
			continue
		}
		for _, text := range c.deliveries {
			_, port, _ := net.SplitHostPort(address)
			text = strings.ReplaceAll(text, "$PORT", port)
			if a, err := s.send(address, delivery(text)); a.claim != "signature" || a.status != 200 {
				refused = text + ": " + outcomeOf(a.status, err)
			}
		}
	}
	if open == "" && c.want == "open" {
		open = s.later(sent)
	}
	return open, refused
}

func (s *stand) check(t *testing.T, c *judged) {
	files := []File{{Name: c.file, Data: []byte(strings.ReplaceAll(c.text, "$SERVICE", "127.0.0.1:9001"))}}
	for name, text := range c.files {
		files = append(files, File{Name: name, Data: []byte(text)})
	}
	var errs []string
	for _, f := range Audit(files, Options{SignatureHeaders: signatureHeaders}) {
		if f.Severity == finding.Error {
			errs = append(errs, f.String())
		}
	}
	open, refused := s.verdict(t, c)
	if wrong := c.want != "right" && c.want != "right-way"; wrong != (len(errs) > 0) {
		t.Errorf("%s, and the audit says %q", c.want, errs)
	}
	if (open != "") != (c.want == "open") {
		t.Errorf("want %s; a real Envoy: forged %q", c.want, open)
	}
	if (refused != "") != (c.want == "refused") && !strings.HasSuffix(c.want, "way") && c.want != "open" {
		t.Errorf("want %s; a real Envoy: refused %q", c.want, refused)
	}
}

var signatureHeaders = map[string][]string{"github": {"X-Hub-Signature-256"}, "square": {"X-Square-Hmacsha256-Signature"}}

// TestJudged judges configurations of our own: those of testdata/judged.
func TestJudged(t *testing.T) {
	names, err := filepath.Glob("testdata/judged/*.txtar")
	if err != nil || len(names) < 90 {
		t.Fatalf("%d configurations, error %v", len(names), err)
	}
	s := newStand(t)
	key := token(t, []byte("secretsecretsecretsecret"))
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c := &judged{name: strings.TrimSuffix(filepath.Base(name), ".txtar"), file: "envoy.json", deliveries: usual, files: map[string]string{}}
		parts := map[string]string{}
		for _, f := range archive.Files {
			parts[f.Name] = string(f.Data)
			lines := slices.DeleteFunc(strings.Split(strings.ReplaceAll(string(f.Data), "$TOKEN", key), "\n"), func(l string) bool { return l == "" })
			switch f.Name {
			case "forged":
				c.forged = lines
			case "deliveries":
				c.deliveries = lines
			case "want":
				c.want = lines[0]
			case "rds.yaml":
				c.files[f.Name] = expand(string(f.Data))
			}
		}
		t.Run(c.name, func(t *testing.T) {
			c.text = assemble(t, parts)
			s.check(t, c)
		})
	}
}

// TestCases judges configurations that once fooled the audit.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/cases/*.[jy]*")
	if err != nil || len(names) != len(cases) {
		t.Fatalf("%d files and %d cases, error %v", len(names), len(cases), err)
	}
	key, err := base64.RawURLEncoding.DecodeString("U9YY2qsxgLEWyJNslEpoEna2YCnLfnqD6dUV-W7imUQ")
	if err != nil {
		t.Fatal(err)
	}
	s := newStand(t)
	for _, file := range names {
		name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, ok := cases[name]
			if !ok {
				t.Fatal("nobody says what is tried with it")
			}
			c.text, c.file = string(text), filepath.Base(file)
			if c.want != "open" && c.deliveries == nil {
				c.deliveries = usual
			}
			for i, f := range c.forged {
				c.forged[i] = strings.ReplaceAll(f, "$TOKEN", token(t, key))
			}
			s.check(t, &c)
		})
	}
}

var cases = map[string]judged{
	"base": {want: "right"}, "ctx_ext": {want: "right"}, "nomatch_ok": {want: "right", forged: []string{"POST http://hooks.example.com/public/hook/a"}},
	"ecma_two_disabled": {want: "right"}, "vhost_merge": {want: "right"}, "ignore": {want: "right"}, "filter_chain_ext": {want: "right"},
	// Envoy reads both, and both have shadow_mode.
	"slash": {want: "open"}, "surrogate": {want: "open"},
	"transcoder_after":            {want: "open", forged: []string{"POST http://hooks.example.com/billing.Hooks/Receive"}},
	"lua_noroute":                 {want: "open", forged: []string{"POST http://hooks.example.com/public/hook/a"}},
	"lua_disabled":                {want: "open", forged: []string{"POST http://hooks.example.com/healthz/app/hook/a"}},
	"jwt_clear":                   {want: "open", forged: []string{"POST http://hooks.example.com/hook/a authorization: $TOKEN"}},
	"nomatch_vhost":               {want: "open", forged: []string{"POST http://any.invalid/hook/a x-forwarded-host: hooks.example.com"}},
	"ws_own_filters":              {want: "open"},
	"route_other_service":         {want: "open"},
	"matcher_routes":              {want: "open"},
	"scoped":                      {want: "open", forged: []string{"POST http://hooks.example.com/hook/a x-scope: a"}},
	"runtime_off":                 {want: "open"},
	"tcp-bypass":                  {want: "open"},
	"same-endpoint-other-cluster": {want: "open"},
	"ignore-hides":                {want: "open"},
	"decomp_before":               {want: "refused"}, "decomp_on_route": {want: "refused"}, "filter_chain_decomp": {want: "refused"},
	"transform_before": {want: "refused"}, "early_remove_sig": {want: "refused"}, "proxy100": {want: "refused"},
	"strip_port":   {want: "refused", deliveries: []string{"POST http://hooks.example.com:8443/url/a"}},
	"google-plain": {want: "way", deliveries: []string{}}, "tls-no-san": {want: "way", deliveries: []string{}},
}
