package config_test

import (
	"bytes"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/config"
)

// FuzzCheck: any file is compared without a panic, its differences have places inside of
// it, and what is written for it is not changed by having been compared.
func FuzzCheck(f *testing.F) {
	for _, target := range config.Targets() {
		text, err := config.Generate(webhooks, options(target))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(laughs()))
	f.Add([]byte("a: &a [*a]\napiVersion: v1\nkind: EnvoyFilter\nspec: *a\n"))
	f.Add([]byte(`{"kind": "HTTPRoute", "apiVersion": "v1", "spec": {"rules": [{"matches": [null]}, null], "hostnames": [{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 2
		for _, target := range config.Targets() {
			before, err := config.Generate(webhooks, options(target))
			if err != nil {
				t.Fatal(err)
			}
			differences, err := config.Check(webhooks, options(target), []config.File{{Name: "f", Data: data}})
			if err != nil {
				continue
			}
			for _, d := range differences {
				if d.Line < 1 || d.Line > lines+bytes.Count(data, []byte("\u0085"))+bytes.Count(data, []byte("\u2028"))+bytes.Count(data, []byte("\u2029")) || d.Column < 1 || d.Path == "" || d.Text == "" {
					t.Errorf("%+v", d)
				}
			}
			if after, err := config.Generate(webhooks, options(target)); err != nil || !bytes.Equal(before, after) {
				t.Errorf("%s: what is written has changed, error %v", target, err)
			}
		}
	})
}
