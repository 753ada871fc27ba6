package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What only tests need stays out of the program: it adds flags, panics and size.
func TestNoTestCodeInTheProgram(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("only %d packages", len(packages))
	}
	for _, p := range packages {
		if p == "testing" || strings.HasPrefix(p, "github.com/stretchr/testify/") || strings.HasPrefix(p, "github.com/google/go-cmp/") {
			t.Errorf("%s is in the program", p)
		}
	}
}
