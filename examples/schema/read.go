package schema

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Read fetches Go modules and reads what they have: the OpenAPI document of Kubernetes where
// that is the file, or definitions of custom resources. Patterns of file names are relative to the modules.
func Read(ctx context.Context, modules map[string]string) (*Set, error) {
	s := &Set{kinds: map[string]*node{}, definitions: map[string]*node{}}
	for module, pattern := range modules {
		if err := s.read(ctx, module, pattern); err != nil {
			return nil, fmt.Errorf("%s: %w", module, err)
		}
	}
	return s, nil
}

func (s *Set) read(ctx context.Context, module, pattern string) error {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output() //nolint:gosec // a test's own words
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(out, &at); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(at.Dir, pattern))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("there is no %s: %w", pattern, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".json" {
			err = s.openAPI(text)
		} else {
			err = s.custom(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// openAPI reads the document of Kubernetes, OpenAPI version 2.
func (s *Set) openAPI(text []byte) error {
	var document struct {
		Definitions map[string]struct {
			node
			Kinds []struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	for name, d := range document.Definitions {
		n := d.node
		n.free = n.Properties == nil && n.AdditionalProperties == nil // RawExtension and the like
		s.definitions[name] = &n
		for _, k := range d.Kinds {
			if k.Group != "" {
				k.Group += "/"
			}
			s.kinds[k.Group+k.Version+" "+k.Kind] = &n
		}
	}
	return nil
}

// custom reads CustomResourceDefinitions.
func (s *Set) custom(text []byte) error {
	type definition struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPI *node `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	all, err := Documents[definition](text)
	if err != nil {
		return err
	}
	for _, d := range all {
		for _, v := range d.Spec.Versions {
			if v.Schema.OpenAPI != nil {
				s.kinds[d.Spec.Group+"/"+v.Name+" "+d.Spec.Names.Kind] = v.Schema.OpenAPI
			}
		}
	}
	return nil
}

// Documents reads all documents of a YAML file; empty ones are left out.
func Documents[T any](text []byte) (all []T, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var one yaml.Node
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if len(one.Content) == 0 || one.Content[0].Tag == "!!null" {
			continue
		}
		var value T
		if err := one.Decode(&value); err != nil {
			return nil, err
		}
		all = append(all, value)
	}
}
