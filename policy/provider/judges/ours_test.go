package judges_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

// publicURL is the address that the providers know.
const publicURL = "https://hooks.example.com"

// ours is our side: a policy with one webhook, as a user would write it.
type ours struct {
	table *authz.Table
	judge *judge
}

// newOurs compiles a policy for a judge's provider. There is no replay check:
// one delivery is judged at many times.
func newOurs(t *testing.T, j *judge, secret string) *ours {
	t.Helper()
	dir := t.TempDir()
	id := "2026"
	if j.keyID != "" {
		id = j.keyID
	}
	hook := map[string]any{
		"name":            "judged",
		"match":           map[string]any{"path": "/hook/**", "methods": []string{"POST", "PUT", "GET"}},
		"public_url":      publicURL,
		"provider":        j.provider,
		"provider_scheme": j.scheme,
		"secrets":         []any{map[string]any{"id": id, "file": "secret"}},
	}
	if j.kid != "" {
		hook["secrets"] = []any{map[string]any{"id": id, "kid": j.kid, "file": "secret"}}
	}
	if j.parameters != nil {
		hook["parameters"] = j.parameters
	}
	text, err := yaml.Marshal(map[string]any{"webhooks": []any{hook}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"policy.yaml": text, "secret": []byte(secret + "\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.Compile(set, policy.Deps{
		Store:         memory.New(memory.Config{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}),
		MaxBodyBytes:  1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := table.Webhook("judged")
	w.Chain = slices.DeleteFunc(w.Chain, func(c authz.Check) bool { return c.Stage() == authz.StageReplay })
	return &ours{table, j}
}

func (d *delivery) request() *authz.Request {
	target, err := url.Parse(d.url)
	path := strings.TrimPrefix(d.url, publicURL)
	req := &authz.Request{Method: authz.View(d.method), Path: authz.View(path), Scheme: authz.View("https")}
	if err == nil {
		req.Host = authz.View(target.Host)
	}
	for _, h := range d.headers {
		req.Headers = append(req.Headers, authz.Header{Name: authz.View(h[0]), Value: authz.View(h[1])})
	}
	req.Body.State = authz.BodyWhole
	req.Body.Size = int64(len(d.body))
	if len(d.body) > 0 {
		req.Body.Segments = [][]byte{d.body}
	}
	return req
}

func (o *ours) decide(d *delivery, now time.Time) authz.Reason {
	var decision authz.Decision
	o.table.Decide(context.Background(), d.request(), now, &decision)
	if (decision.Verdict == authz.Allow) != (decision.Reason == authz.OK) {
		panic(fmt.Sprintf("%s with reason %s", decision.Verdict, decision.Reason))
	}
	return decision.Reason
}

// sign signs a delivery as the command line does. It returns nil where there is
// no such delivery.
func (o *ours) sign(d *delivery, now time.Time) *delivery {
	req := d.request()
	with := authz.Signing{Now: now, NewID: func() string { return "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W" }}
	if o.judge.pair != nil {
		with.Private = o.judge.pair.private
	}
	if o.judge.chain != nil {
		with.X5C = o.judge.chain.x5c
	}
	if err := o.table.Webhook("judged").Sign(req, with); err != nil {
		return nil
	}
	signed := &delivery{method: d.method, url: publicURL + string(req.Path), body: req.Body.Joined()}
	for _, h := range req.Headers {
		signed.headers = append(signed.headers, [2]string{string(h.Name), string(h.Value)})
	}
	return signed
}
