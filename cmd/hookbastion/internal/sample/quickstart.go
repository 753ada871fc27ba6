package sample

import (
	"crypto/rand"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookbastion/hookbastion/examples"
)

// WriteQuickstart writes the policies of examples/quickstart into dir, with
// new random secrets beside them.
func WriteQuickstart(dir string) error {
	err := fs.WalkDir(examples.Quickstart, "quickstart/policies", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := examples.Quickstart.ReadFile(name)
		if err != nil {
			return err
		}
		return WriteFile(filepath.Join(dir, strings.TrimPrefix(name, "quickstart/")), data)
	})
	if err != nil {
		return err
	}
	for name, prefix := range map[string]string{"github": "", "partner": "", "slack": "", "stripe": "whsec_", "standard-webhooks": "whsec_"} {
		var key [24]byte
		_, _ = rand.Read(key[:]) // never fails
		text := prefix + base64.StdEncoding.EncodeToString(key[:]) + "\n"
		if err := WriteFile(filepath.Join(dir, "secrets", name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

func WriteFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}
