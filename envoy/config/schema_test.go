//go:build mesh

package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hookbastion/hookbastion/envoy/config"
)

// published are modules that have the schemas of their resources, and where.
var published = map[string]string{
	"github.com/envoyproxy/gateway@v1.9.1":      "charts/gateway-helm/charts/crds/crds/generated/*.yaml",
	"sigs.k8s.io/gateway-api@v1.6.3":            "config/crd/standard/*.yaml",
	"istio.io/api@v1.31.4":                      "kubernetes/customresourcedefinitions.gen.yaml",
	"github.com/projectcontour/contour@v1.33.8": "examples/contour/01-crds.yaml",
}

// schema is what is looked at of an OpenAPI schema of Kubernetes.
type schema struct {
	Type                 string
	Properties           map[string]schema
	Items                *schema
	AdditionalProperties *schema `yaml:"additionalProperties"`
	Required             []string
	Enum                 []any
	MaxItems             *int `yaml:"maxItems"`
	Open                 bool `yaml:"x-kubernetes-preserve-unknown-fields"`
	IntOrString          bool `yaml:"x-kubernetes-int-or-string"`
}

// TestSchemas: resources have no field that their published schemas do not know, and none of
// another type. Rules in CEL are not run.
func TestSchemas(t *testing.T) {
	schemas := map[string]schema{} // by apiVersion and kind
	for module, pattern := range published {
		readSchemas(t, module, pattern, schemas)
	}
	for _, target := range []config.Target{config.Istio, config.EnvoyGateway, config.Contour} {
		text, err := os.ReadFile(filepath.Join("testdata", string(target)+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, object := range documents[map[string]any](t, text) {
			kind := fmt.Sprint(object["apiVersion"], " ", object["kind"])
			s, ok := schemas[kind]
			if !ok {
				t.Errorf("%s: no schema of %s", target, kind)
				continue
			}
			seen++
			for _, problem := range s.problems(kind, object, true) {
				t.Errorf("%s: %s", target, problem)
			}
			object["spec"].(map[string]any)["unknown"] = true
			if len(s.problems(kind, object, true)) == 0 {
				t.Errorf("%s: an unknown field of %s is not seen", target, kind)
			}
		}
		if seen == 0 {
			t.Errorf("%s: nothing was seen", target)
		}
	}
}

func documents[T any](t *testing.T, text []byte) (all []T) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var one T
		if err := decoder.Decode(&one); err != nil {
			if err.Error() != "EOF" {
				t.Fatal(err)
			}
			return all
		}
		all = append(all, one)
	}
}

func readSchemas(t *testing.T, module, pattern string, schemas map[string]schema) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", module, err, out)
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(out, &at); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(at.Dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no %s", module, pattern)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range documents[definition](t, text) {
			for _, v := range d.Spec.Versions {
				schemas[d.Spec.Group+"/"+v.Name+" "+d.Spec.Names.Kind] = v.Schema.OpenAPI
			}
		}
	}
}

// definition is a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPI schema `yaml:"openAPIV3Schema"`
			}
		}
	}
}

func (s schema) problems(path string, value any, root bool) (all []string) {
	fail := func(format string, args ...any) { all = append(all, path+": "+fmt.Sprintf(format, args...)) }
	if s.IntOrString {
		return nil
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		fail("%v is none of %v", value, s.Enum)
	}
	kind := ""
	switch v := value.(type) {
	case map[string]any:
		kind = "object"
		for _, name := range s.Required {
			if v[name] == nil {
				fail("%s is missing", name)
			}
		}
		for name, inner := range v {
			known, ok := s.Properties[name]
			switch {
			case root && slices.Contains([]string{"apiVersion", "kind", "metadata"}, name):
			case ok:
				all = append(all, known.problems(path+"."+name, inner, false)...)
			case s.AdditionalProperties != nil:
				all = append(all, s.AdditionalProperties.problems(path+"."+name, inner, false)...)
			case !s.Open:
				fail("nobody knows %s", name)
			}
		}
	case []any:
		kind = "array"
		if s.MaxItems != nil && len(v) > *s.MaxItems {
			fail("%d items, %d at most", len(v), *s.MaxItems)
		}
		for i, inner := range v {
			if s.Items != nil {
				all = append(all, s.Items.problems(fmt.Sprintf("%s[%d]", path, i), inner, false)...)
			}
		}
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case int:
		kind = "integer"
	}
	if s.Type != "" && s.Type != kind && !(s.Type == "number" && kind == "integer") {
		fail("is %s, not %s", kind, s.Type)
	}
	return all
}
