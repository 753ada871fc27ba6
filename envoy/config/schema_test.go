//go:build mesh

package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/config"
	"github.com/hookbastion/hookbastion/examples/schema"
)

// published are modules that have the schemas of their resources, and where.
var published = map[string]string{
	"github.com/envoyproxy/gateway@v1.9.1":      "charts/gateway-helm/charts/crds/crds/generated/*.yaml",
	"sigs.k8s.io/gateway-api@v1.6.3":            "config/crd/standard/*.yaml",
	"istio.io/api@v1.31.4":                      "kubernetes/customresourcedefinitions.gen.yaml",
	"github.com/projectcontour/contour@v1.33.8": "examples/contour/01-crds.yaml",
}

// TestSchemas: resources have no field that their published schemas do not know, and none of
// another type. Rules in CEL are not run.
func TestSchemas(t *testing.T) {
	schemas, err := schema.Read(t.Context(), published)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []config.Target{config.Istio, config.EnvoyGateway, config.Contour} {
		text, err := os.ReadFile(filepath.Join("testdata", string(target)+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		objects, err := schema.Documents[map[string]any](text)
		if err != nil || len(objects) == 0 {
			t.Fatalf("%s: %d objects, %v", target, len(objects), err)
		}
		for _, object := range objects {
			for _, problem := range schemas.Problems(object) {
				t.Errorf("%s: %s", target, problem)
			}
			object["spec"].(map[string]any)["unknown"] = true
			if len(schemas.Problems(object)) == 0 {
				t.Errorf("%s: an unknown field of %v is not seen", target, object["kind"])
			}
		}
	}
}
