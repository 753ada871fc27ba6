package oracle

import (
	"encoding/base64"
	"encoding/json"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The oracle and the test that uses it share no code with what they judge.
func TestImportsNothingOfTheService(t *testing.T) {
	files := 0
	for _, dir := range []string{".", "..", "../mutants"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			files++
			for _, i := range f.Imports {
				path := strings.Trim(i.Path.Value, `"`)
				if strings.HasPrefix(path, "github.com/hookbastion/") && !strings.HasPrefix(path, "github.com/hookbastion/hookbastion/cmd/chaos/") {
					t.Errorf("%s imports %s", name, path)
				}
			}
		}
	}
	if files < 20 {
		t.Errorf("only %d files", files)
	}
}

// What it signs is what the vectors of others have: no fault of its own hides one of the service.
func TestSignsAsVectors(t *testing.T) {
	type vector struct {
		Origin, Method, URL, Body string
		Keys                      []struct{ Value string }
		Headers                   [][2]string
		Expect                    string
	}
	secret := func(v vector) Key { return Key{Secret: v.Keys[0].Value} }
	found := 0
	for _, c := range []struct {
		provider, header string
		sign             func(v vector, q *Request, at int64)
	}{
		{"github", "X-Hub-Signature-256", func(v vector, q *Request, _ int64) { signGitHub(nil, q, secret(v), time.Time{}) }},
		{"shopify", "X-Shopify-Hmac-Sha256", func(v vector, q *Request, _ int64) { signShopify(nil, q, secret(v), time.Time{}) }},
		{"slack", "X-Slack-Signature", func(v vector, q *Request, at int64) {
			signV0(&Endpoint{Proven: []string{"X-Slack-Signature"}, Time: "X-Slack-Request-Timestamp"}, q, secret(v), time.Unix(at, 0))
		}},
		{"svix", "svix-signature", func(v vector, q *Request, at int64) { signSvix(nil, q, secret(v), time.Unix(at, 0)) }},
	} {
		text, err := os.ReadFile("../../../policy/provider/vectors/" + c.provider + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var all []vector
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			q := &Request{Method: v.Method, Body: v.Body}
			at := int64(0)
			want := ""
			for _, h := range v.Headers {
				switch {
				case strings.EqualFold(h[0], c.header):
					want = h[1]
				case strings.EqualFold(h[0], "svix-id"):
					q.Set("svix-id", h[1])
				}
				if n, err := time.ParseDuration(h[1] + "s"); err == nil {
					at = int64(n.Seconds())
				}
			}
			if v.Expect != "accept" || v.Origin == "self-made" || len(v.Keys) != 1 || want == "" || strings.ContainsAny(want, " ") {
				continue
			}
			found++
			if c.sign(v, q, at); q.Get(c.header) != want {
				t.Errorf("%s: %s, want %s", c.provider, q.Get(c.header), want)
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d vectors", found)
	}
}

// Each endpoint has deliveries, attacks that differ from them, and reasons that are known.
func TestAttacks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Now()
	names := map[string]bool{}
	for _, e := range All() {
		for _, a := range e.all() {
			names[a.Name] = true
			c := e.attack(a, r, now)
			if len(c.Reasons) == 0 {
				t.Errorf("%s: %s may do anything", e.Name, a.Name)
			}
			for _, reason := range c.Reasons {
				if _, known := statuses[reason]; !known {
					t.Errorf("%s: %s: no reason is called %s", e.Name, a.Name, reason)
				}
			}
		}
	}
	if len(names) < 120 {
		t.Errorf("only %d attacks", len(names))
	}
}

// The reasons are those of the page, with their statuses.
func TestReasons(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		reason, status := strings.Trim(cells[1], " `"), strings.TrimSpace(cells[2])
		if reason == "handshake" || forwards[reason] {
			continue
		}
		rows++
		want, known := statuses[reason]
		switch {
		case !known:
			t.Errorf("%s is not known", reason)
		case status == "the provider's" && want != 0, status != "the provider's" && http.StatusText(want) == "":
			t.Errorf("%s: %s, here %d", reason, status, want)
		}
	}
	if rows != len(statuses) {
		t.Errorf("%d reasons in docs/reasons.md, %d here", rows, len(statuses))
	}
}

// What must not be is found, and what may be is not.
func TestVerdict(t *testing.T) {
	var github *Endpoint
	for _, e := range All() {
		if e.Name == "github" {
			github = e
		}
	}
	now := time.Now()
	r := rand.New(rand.NewPCG(1, 2))
	header := func(lines ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(lines); i += 2 {
			h.Set(lines[i], lines[i+1])
		}
		return h
	}
	came := func(mark string) http.Header {
		h := header("X-Hookbastion-Verified", "signature", "X-Hookbastion-Webhook", "github", "X-Hookbastion-Decision-Id", "1")
		if mark != "" {
			h.Set("X-Hookbastion-Replay", mark)
		}
		return h
	}
	told := header("X-Hookbastion-Decision-Id", "1", "Retry-After", "1")
	honest := github.honest(r, now)
	forged := github.attack(github.all()[0], r, now)
	again := func(o Outcome) *Case {
		x := &Content{Case: honest, Outcome: o, Began: now.Add(-time.Minute), Ended: now.Add(-time.Minute), Arrived: o > Rejected}
		c := *honest
		c.Copy = x
		return &c
	}
	marked := again(Refused)
	marked.Copy.Marked = true
	for _, c := range []struct {
		name    string
		of      *Case
		status  int
		reason  string
		answer  http.Header
		arrived http.Header
		broken  []Kind
		want    string // a part of what is wrong
	}{
		{"a delivery", honest, 200, "ok", nil, came(""), nil, ""},
		{"a delivery that is refused", honest, 401, "signature_invalid", told, nil, nil, "the reason is signature_invalid"},
		{"a delivery that is refused in a storm", honest, 401, "signature_invalid", told, nil, []Kind{Service, Store, Proxy, Log}, "the reason is signature_invalid"},
		{"a delivery taken for a copy", honest, 409, "replayed", told, nil, nil, "the reason is replayed"},
		{"a store that is away", honest, 503, "store_unavailable", told, nil, []Kind{Store}, ""},
		{"a store that should be there", honest, 503, "store_unavailable", told, nil, nil, "the reason is store_unavailable"},
		{"a delivery that has a mark", honest, 200, "ok", nil, came("possible"), nil, "marked"},
		{"a delivery that has a mark after a loss", honest, 200, "ok", nil, came("possible"), []Kind{Forgot}, ""},
		{"a delivery of which the application is told another webhook", honest, 200, "ok", nil, header("X-Hookbastion-Verified", "signature", "X-Hookbastion-Webhook", "x", "X-Hookbastion-Decision-Id", "1"), nil, "webhook"},
		{"a forgery", forged, 401, "signature_missing", told, nil, nil, ""},
		{"a forgery with another status", forged, 403, "signature_missing", told, nil, nil, "status 403"},
		{"a forgery that is let in", forged, 200, "ok", nil, came(""), nil, "the reason is ok"},
		{"a forgery that is let in, in a storm", forged, 200, "ok", nil, came(""), []Kind{Service, Proxy, Store, Forgot, Log, Reload, Busy}, "the reason is ok"},
		{"a forgery that came without a reason", forged, 503, "", nil, came(""), []Kind{Proxy}, "it reached the application"},
		{"a refusal that tells more", forged, 401, "signature_missing", header("X-Hookbastion-Decision-Id", "1", "X-Hookbastion-Key-Id", "1"), nil, nil, "told"},
		{"a refusal without an id", forged, 401, "signature_missing", http.Header{}, nil, nil, "without an id"},
		{"a retry of what had a mark", marked, 200, "ok", nil, came("possible"), nil, ""},
		{"a retry that has a mark, of what had none", again(Refused), 200, "ok", nil, came("possible"), nil, "marked"},
		{"a copy", again(Took), 409, "replayed", told, nil, nil, ""},
		{"a copy that is acknowledged", again(Took), 200, "replayed", told, nil, nil, "200"},
		{"a copy that is let in", again(Took), 200, "ok", nil, came(""), nil, "without a mark"},
		{"a copy that is let in with a mark", again(Took), 200, "ok", nil, came("possible"), nil, "the reason is ok"},
		{"a copy that is let in with a mark after a loss", again(Took), 200, "ok", nil, came("possible"), []Kind{Forgot}, ""},
		{"a copy that is let in without one after a loss", again(Took), 200, "ok", nil, came(""), []Kind{Forgot}, "without a mark"},
		{"a retry", again(Refused), 200, "ok", nil, came(""), nil, ""},
		{"a retry that is refused", again(Refused), 409, "replayed", told, nil, nil, "the reason is replayed"},
		{"a retry that is refused since an entry was lost", again(Refused), 409, "replayed", told, nil, []Kind{Log}, "the reason is replayed"},
		{"a retry that is refused since the service was new", again(Refused), 409, "replayed", told, nil, []Kind{Service}, ""},
		{"a retry that is acknowledged", again(Refused), 200, "replayed", told, nil, []Kind{Service}, "a 200 for what nobody has taken"},
		{"a retry after a break", again(Perhaps), 200, "ok", nil, came("possible"), nil, ""},
		{"a retry after a break without a mark", again(Perhaps), 200, "ok", nil, came(""), nil, "without a mark"},
	} {
		j := &Judge{Weather: &Weather{}, Lease: 4 * time.Second, Alone: true}
		for _, k := range c.broken {
			if k == Forgot {
				j.Weather.lost = []time.Time{now.Add(-time.Second)}
				continue
			}
			j.Weather.Was(k, now.Add(-time.Minute), now)
		}
		_, wrong := j.Verdict(c.of, Answer{Status: c.status, Reason: c.reason, Header: c.answer, Arrived: c.arrived, Sent: now, Done: now.Add(time.Millisecond)}, false)
		if c.want == "" && wrong != "" || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: %q, want %q", c.name, wrong, c.want)
		}
	}
}

// The other signature of ECDSA is another text.
func TestMirrored(t *testing.T) {
	for _, e := range All() {
		if e.Name != "sendgrid" {
			continue
		}
		c := e.honest(rand.New(rand.NewPCG(1, 2)), time.Now())
		one := c.Request.Get(e.Proven[0])
		if other := mirrored(one, c.Key); other == one || mirrored(other, c.Key) != one {
			t.Error(one)
		} else if _, err := base64.StdEncoding.DecodeString(other); err != nil {
			t.Error(err)
		}
	}
}
