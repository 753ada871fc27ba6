// Package provider is the catalogue of providers: one YAML file for each,
// which is an instance of the message hookbastion.policy.v1.Provider, and one
// JSON file with requests whose verdict is known. Adding a provider is these two
// files, and no code.
package provider

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

//go:embed catalogue/*.yaml ranges/*.yaml vectors/*.json
var files embed.FS

// Vectors returns the number of test vectors of the entry of that name.
func Vectors(name string) (int, error) {
	data, err := files.ReadFile(path.Join("vectors", name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return 0, fmt.Errorf("vectors/%s.json: %w", name, err)
	}
	return len(list), nil
}

// catalogue is read once. The files are part of the program and are checked by
// its tests, so that a bad one is a fault of the program.
var catalogue = sync.OnceValues(func() (map[string]*policyv1.Provider, error) {
	entries, err := files.ReadDir("catalogue")
	if err != nil {
		return nil, err
	}
	providers := map[string]*policyv1.Provider{}
	for _, entry := range entries {
		name := path.Join("catalogue", entry.Name())
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p := &policyv1.Provider{}
		if _, err := (strictyaml.Options{}).Decode(name, data, p); err != nil {
			return nil, err
		}
		if p.GetName() != strings.TrimSuffix(entry.Name(), ".yaml") {
			return nil, fmt.Errorf("%s: name: %s is not the file's name", name, p.GetName())
		}
		providers[p.GetName()] = p
	}
	return providers, nil
})

// Get returns the entry of that name, or nil. The caller must not change it.
func Get(name string) (*policyv1.Provider, error) {
	providers, err := catalogue()
	return providers[name], err
}

// Names returns the names of all entries in order.
func Names() ([]string, error) {
	providers, err := catalogue()
	names := make([]string, 0, len(providers))
	for name := range providers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, err
}

// Source returns the entry's own file, or nil if there is no such entry.
func Source(name string) []byte {
	data, err := files.ReadFile(path.Join("catalogue", name+".yaml"))
	if err != nil {
		return nil // a name that is none
	}
	return data
}
