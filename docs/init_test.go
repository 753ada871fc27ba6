package docs_test

import "testing"

func TestInitPage(t *testing.T) { runPage(t, "docs/init.md", t.TempDir()) }
