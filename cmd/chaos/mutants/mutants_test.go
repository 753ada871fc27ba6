package main

import (
	"go/format"
	"strings"
	"testing"
)

// Each mutant still applies, to code that differs then; make chaos-mutants builds and runs
// them.
func TestMutantsApply(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two are called %s", m.name)
		}
		names[m.name] = true
		text, err := m.mutate("../../..")
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if !strings.HasSuffix(m.file, ".go") {
			continue
		}
		if _, err := format.Source(text); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	if len(mutants) < 20 {
		t.Errorf("only %d mutants", len(mutants))
	}
}
