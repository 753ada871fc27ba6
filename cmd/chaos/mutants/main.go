// Command mutants shows that the chaos test finds what it is for: it takes one protection
// of the service away, builds that, and lets the test look at it. Each must be found.
//
// A mutant is made by go build -overlay, so that no file of the product is touched and
// nothing of it is in the product. One whose text no longer stands in its file, once, or
// that does not compile, is a failure as well: it would show nothing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	chaos := flag.String("chaos", "bin/chaos", "the chaos test")
	root := flag.String("root", ".", "the repository")
	pattern := flag.String("run", "", "only mutants with this in their name")
	first := flag.Int("first", 1, "the first mutant, by its place")
	length := flag.Duration("time", time.Minute, "how long the test may look for each")
	flag.Parse()
	bad, tried := 0, 0
	for i, m := range mutants {
		if i+1 < *first || !strings.Contains(m.name, *pattern) {
			continue
		}
		tried++
		began := time.Now()
		found, err := m.try(*root, *chaos, *length)
		switch {
		case err != nil:
			bad++
			fmt.Printf("FAILED   %s: %v\n", m.name, err)
		case found == "":
			bad++
			fmt.Printf("SURVIVED %s (%s)\n", m.name, m.file)
		default:
			fmt.Printf("found    %s, after %.0f s: %s\n", m.name, time.Since(began).Seconds(), found)
		}
	}
	fmt.Printf("%d mutants, %d not found\n", tried, bad)
	if bad > 0 {
		os.Exit(1)
	}
}

// mutate returns the file with the protection taken away.
func (m *mutant) mutate(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("%s has %q %d times, not once", m.file, m.old, n)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1)), nil
}

// build makes the service without the protection.
func (m *mutant) build(root, dir string) (binary string, err error) {
	text, err := m.mutate(root)
	if err != nil {
		return "", err
	}
	file, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		return "", err
	}
	other := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(other, text, 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: other}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "hookbastion")
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "./cmd/hookbastion") //nolint:gosec // of our own
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	return binary, nil
}

// try returns what the test says of the service without the protection; "" if nothing.
func (m *mutant) try(root, chaos string, length time.Duration) (found string, err error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := m.build(root, dir)
	if err != nil {
		return "", err
	}
	store, only := m.store, m.only
	if store == "" {
		store = "MEMORY"
	}
	if only == "" {
		only = "none"
	}
	cmd := exec.Command(chaos, "-hookbastion", binary, "-eager", "-seeds", "1", "-stores", store, "-only", only, "-time", length.String(), "-lurk", "2s", "-workers", "2", "-streams", "6", "-at", m.at) //nolint:gosec // of our own
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if wrong, ok := strings.CutPrefix(line, "  WRONG "); ok {
			return strings.TrimSpace(wrong), nil
		}
	}
	return "", fmt.Errorf("it failed and does not say why\n%s", out)
}
