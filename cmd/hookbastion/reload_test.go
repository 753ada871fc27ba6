package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
	terminate(t, p)
}
