package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// checkHealth is what healthcheck prints of a service that is ready.
func checkHealth(t *testing.T, site string, more ...string) string {
	t.Helper()
	cmd := newHealthcheck()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(append(more, "--url", site+"/readyz"))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// metric is the value of a series at /metrics; below 0 if there is none.
func metric(t *testing.T, site, series string) float64 {
	t.Helper()
	_, page := get(t, site+"/metrics")
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	return -1
}

// A body that comes as text is good until its first "!", so that no smoke test finds a
// setting that is missing: it is counted each time, and said once.
func TestTextBodiesAreSeen(t *testing.T) {
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, serveArgs(filepath.Join(dir, "policies"), unix)...)
	site := "http://" + p.stderr.await(t, `msg=serving.* http=(\S+)`)[1]
	e := startEdge(t, unix, func(c envoytest.Config) { delete(c.WithRequestBody(), "pack_as_bytes") })
	for body, want := range map[string]int{"hello": 200, "hello again": 200, "hello!": 503} {
		if status := sendStatus(t, e, signed(t, table, "github", e.client.Address, []byte(body))); status != want {
			t.Errorf("%q: status %d, want %d", body, status, want)
		}
	}
	if n := metric(t, site, `hookbastion_bodies_text_total{webhook="github"}`); n != 3 {
		t.Errorf("%v bodies counted", n)
	}
	terminate(t, p)
	if n := strings.Count(p.stderr.String(), "Envoy sends bodies as text"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// A bad policy is seen in the log, once, on the readiness page and in the
// metric, and a good one takes it all back.
func TestBadReloadIsSeen(t *testing.T) {
	dir, _ := quickstart(t)
	p := start(t, serveArgs(filepath.Join(dir, "policies"), socket(t))...)
	site := "http://" + p.stderr.await(t, `http=(\S+)`)[1]
	if _, body := get(t, site+"/readyz"); body != "ok\n" {
		t.Errorf("/readyz says %q", body)
	}
	file := filepath.Join(dir, "policies", "webhooks.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	broken := bytes.Replace(good, []byte("provider: stripe"), []byte("provider: strip"), 1)
	writeAtomically(t, file, broken)
	p.stderr.await(t, `did you mean stripe`)
	if status, body := get(t, site+"/readyz"); status != 200 || !strings.Contains(body, "last good policy") || strings.Contains(body, dir) {
		t.Errorf("/readyz is %d, %q", status, body)
	}
	if said := checkHealth(t, site, "--verbose"); !strings.Contains(said, "last good policy, of 20") || !strings.Contains(said, "errors since") {
		t.Errorf("healthcheck --verbose says %q", said)
	}
	if said := checkHealth(t, site); said != "" {
		t.Errorf("healthcheck says %q", said)
	}
	if stale := metric(t, site, "hookbastion_policy_stale_seconds"); stale < 1 {
		t.Errorf("stale for %v s", stale)
	}
	if metric(t, site, "hookbastion_policy_age_seconds") < 0 || metric(t, site, "hookbastion_policy_last_load_seconds") < 1.7e9 {
		t.Error("no age of the policy")
	}
	writeAtomically(t, file, append(broken, '\n'))
	p.stderr.await(t, `errors=1 repeated=true`)
	if n := strings.Count(p.stderr.String(), "did you mean stripe"); n != 1 {
		t.Errorf("the error is logged %d times", n)
	}
	writeAtomically(t, file, bytes.Replace(good, []byte("provider: stripe"), []byte("mode: SHADOW\n    provider: stripe"), 1))
	p.stderr.await(t, `msg="policy change" webhook=stripe change=changed keys=mode accepts_more="everything, by mode SHADOW"`)
	if _, body := get(t, site+"/readyz"); body != "ok\n" {
		t.Errorf("/readyz says %q", body)
	}
	if said := checkHealth(t, site, "-v"); said != "ok\n" {
		t.Errorf("healthcheck -v says %q", said)
	}
	if stale := metric(t, site, "hookbastion_policy_stale_seconds"); stale != 0 {
		t.Errorf("stale for %v s", stale)
	}
	if metric(t, site, `hookbastion_build_info{goversion="`+runtime.Version()+`",revision="`+cli.Revision()+`",version="devel"}`) != 1 {
		t.Error("no build_info")
	}
	terminate(t, p)
}
