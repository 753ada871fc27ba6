package policy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/hookbastion/hookbastion/policy"
)

// manyWebhooks writes n webhooks of five kinds into files of size each.
func manyWebhooks(tb testing.TB, dir string, n, size int) {
	tb.Helper()
	providers := []string{"github", "stripe", "slack", "standard-webhooks", "gitlab"}
	var text bytes.Buffer
	for i := range n {
		if i%size == 0 {
			text.Reset()
			text.WriteString("webhooks:\n")
		}
		fmt.Fprintf(&text, "  - name: team-%06d\n    match:\n      hosts: [hooks.example.com]\n      path: /webhooks/team-%06d\n    provider: %s\n", i, i, providers[i%len(providers)])
		fmt.Fprintf(&text, "    secrets:\n      - {id: 2026-10, file: secret}\n    source_ip: {allow: [203.0.113.0/24, 198.51.100.0/24]}\n    limits: {max_body_bytes: 256KiB}\n")
		if (i+1)%size == 0 || i == n-1 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d.yaml", i/size)), text.Bytes(), 0o600); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMy"), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func BenchmarkLoad100k(b *testing.B) {
	dir := b.TempDir()
	manyWebhooks(b, dir, 100_000, 100_000)
	for b.Loop() {
		set, err := policy.Load(dir)
		if err != nil {
			b.Fatal(err)
		}
		table, err := policy.Compile(set, deps())
		if err != nil {
			b.Fatal(err)
		}
		runtime.KeepAlive(table)
	}
}
