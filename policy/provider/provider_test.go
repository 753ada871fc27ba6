package provider_test

import (
	"testing"

	"github.com/hookbastion/hookbastion/policy/provider"
)

func TestCatalogue(t *testing.T) {
	names, err := provider.Names()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 170 {
		t.Fatalf("only %d providers", len(names))
	}
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil || p.GetName() != name {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		usable := false
		for _, s := range p.GetSchemes() {
			usable = usable || !s.GetOptional()
		}
		if n, err := provider.Vectors(name); n < 2 || err != nil {
			t.Errorf("%s has %d vectors, error %v", name, n, err)
		}
		if !usable {
			t.Errorf("%s has optional schemes only", name)
		}
	}
	if p, err := provider.Get("nobody"); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}
