package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// A file that the reader refuses by its form, without looking at its meaning,
// the schema refuses as well.
func TestSchemaRefusesEveryGoldenForm(t *testing.T) {
	policies := schema(t, "schema.json")
	options := strictyaml.Options{EmptyLists: []protoreflect.FullName{"hookbastion.policy.v1.SourceIP.deny"}}
	archives, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(archives) < 10 {
		t.Fatalf("%d archives, error %v", len(archives), err)
	}
	refused := 0
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			if ext := filepath.Ext(file.Name); ext != ".yaml" && ext != ".json" {
				continue
			}
			_, bad := options.Decode(file.Name, file.Data, &policyv1.Policy{})
			if bad == nil {
				continue
			}
			refused++
			if policies.Validate(value(t, file.Data)) == nil {
				t.Errorf("%s: %s is accepted; the reader says %v", name, file.Name, bad)
			}
		}
	}
	if refused < 20 {
		t.Errorf("only %d files are refused", refused)
	}
}

// Every scheme of the catalogue may be written out in a policy.
func TestSchemaAcceptsEverySchemeWrittenOut(t *testing.T) {
	policies := schema(t, "schema.json")
	files, err := filepath.Glob("provider/catalogue/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d providers, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		entry, ok := value(t, text).(map[string]any)
		schemes, listed := entry["schemes"].([]any)
		if !ok || !listed || len(schemes) == 0 {
			t.Fatalf("%s has no schemes", name)
		}
		for i, scheme := range schemes {
			hook := map[string]any{
				"name": "a", "match": map[string]any{"path": "/a"}, "secrets": []any{map[string]any{"file": "s"}},
				"scheme": scheme.(map[string]any)["scheme"],
			}
			byName := map[string]any{
				"name": "a", "match": hook["match"], "secrets": hook["secrets"], "provider": entry["name"], "provider_scheme": scheme.(map[string]any)["name"],
			}
			for kind, w := range map[string]any{"written out": hook, "by name": byName} {
				if err := policies.Validate(map[string]any{"webhooks": []any{w}}); err != nil {
					t.Errorf("%s: %v", fmt.Sprintf("%s, scheme %d, %s", name, i, kind), err)
				}
			}
		}
	}
}
