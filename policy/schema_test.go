package policy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func schema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	s, err := compiler.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value reads YAML as editors do: dates stay text.
func value(t *testing.T, text []byte) any {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return err.Error() // no mapping, so no schema accepts it
	}
	plain(&node)
	var v any
	if err := node.Decode(&v); err != nil {
		return err.Error()
	}
	return v
}

func plain(n *yaml.Node) {
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, c := range n.Content {
		plain(c)
	}
}

func TestSchemaAcceptsWhatIsGood(t *testing.T) {
	policies := schema(t, "schema.json")
	files, err := filepath.Glob("../examples/*/policies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	tests, seen := schema(t, "test-schema.json"), 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		form := policies
		if strings.HasSuffix(name, "_test.yaml") {
			form = tests
			seen++
		}
		if err := form.Validate(value(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen < 2 {
		t.Errorf("%d files of tests", seen)
	}
	archive, err := txtar.ParseFile("testdata/golden/good.txtar")
	if err != nil {
		t.Fatal(err)
	}
	// The schema knows one spelling of each key.
	text := strings.NewReplacer("notAfter", "not_after", "keyEncoding", "key_encoding").Replace(string(archive.Files[0].Data))
	if err := policies.Validate(value(t, []byte(text))); err != nil {
		t.Error(err)
	}
	providers := schema(t, "provider/schema.json")
	files, err = filepath.Glob("provider/catalogue/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d providers, %v", len(files), err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := providers.Validate(value(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a schema can see of the golden errors, it refuses: all of these files
// but those whose mistakes are of meaning.
func TestSchemaRefusesWhatItCanSee(t *testing.T) {
	policies := schema(t, "schema.json")
	for _, name := range []string{"syntax", "types", "rules", "scheme-missing"} {
		archive, err := txtar.ParseFile("testdata/golden/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, file := range archive.Files {
			invisible := file.Name == "two.yaml" || file.Name == "alias.yaml" || file.Name == "secret" || strings.HasPrefix(file.Name, "want")
			if invisible {
				continue
			}
			if n++; policies.Validate(value(t, file.Data)) == nil {
				t.Errorf("%s: %s is accepted", name, file.Name)
			}
		}
		if n == 0 {
			t.Errorf("%s has no files", name)
		}
	}
}
