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
	if len(names) < 5 {
		t.Fatalf("only %v", names)
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
		if !usable {
			t.Errorf("%s has optional schemes only", name)
		}
	}
	if p, err := provider.Get("nobody"); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}
