package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// describedMetrics are the names in docs/telemetry.md, with their kinds and labels.
func describedMetrics(t *testing.T) map[string][2]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][2]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `hookbastion[^`]+` \\| `(hookbastion[^`]+)` \\| ([a-z]+) \\| `[^`]*` \\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		all[row[1]] = [2]string{row[2], strings.TrimSpace(row[3])}
	}
	if len(all) < 20 {
		t.Fatalf("docs/telemetry.md has %d metrics", len(all))
	}
	return all
}

// What a running service has at /metrics is named there as the page says, down to units.
func TestMetricsAreNamedAsDescribed(t *testing.T) {
	deliverAnd(t, func(site string) {
		_, page := get(t, site+"/metrics")
		described := describedMetrics(t)
		found := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (hookbastion_\S+) (\S+)$`).FindAllStringSubmatch(page, -1) {
			found[m[1]] = true
			if described[m[1]][0] != m[2] {
				t.Errorf("%s is a %s, and the page says %q", m[1], m[2], described[m[1]][0])
			}
		}
		if len(found) < 15 {
			t.Errorf("/metrics has only %v", slices.Sorted(maps.Keys(found)))
		}
	})
}

// deliverAnd starts a service that has allowed and denied something.
func deliverAnd(t *testing.T, look func(site string)) {
	t.Helper()
	dir, table := quickstart(t)
	unix := socket(t)
	p := start(t, serveArgs(filepath.Join(dir, "policies"), unix)...)
	site := "http://" + p.stderr.await(t, `msg=serving.* http=(\S+)`)[1]
	e := startEdge(t, unix, nil)
	delivery := signed(t, table, "github", e.client.Address, []byte("hello"))
	for _, want := range []int{200, 409} {
		if status := sendStatus(t, e, delivery); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	look(site)
	terminate(t, p)
}
