package fetched

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	there := func() error { return nil }
	missing := func() error { return errors.New("no Envoy: run make envoy") }
	var out bytes.Buffer
	if !complete(&out, []func() error{there, there}) || out.Len() > 0 {
		t.Errorf("nothing is missing: %s", &out)
	}
	if complete(&out, []func() error{there, missing, missing}) {
		t.Error("something is missing")
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "no Envoy") || !strings.Contains(got, "`make fetch`") {
		t.Errorf("not one line that says what to do: %q", got)
	}
}
