package explain

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// explainCompressed runs explain on one delivery and returns what it says.
func explainCompressed(t *testing.T, settings, headers string, body []byte) string {
	t.Helper()
	files := map[string]string{
		"settings.yaml": settings,
		"policy.yaml": `webhooks:
- {name: hook, match: {path: /push}, secrets: [{file: secret}], scheme: {hmac: {hash: SHA256, encoding: HEX, signature: {headers: [X-Signature]}, content: [{body: {}}]}}}
`,
		"secret":       "f3b1c09a7d5e4286b0c9d7e15a3f8642",
		"request.http": fmt.Sprintf("POST /push HTTP/1.1\r\nHost: h.example\r\n%s\r\nContent-Length: %d\r\n\r\n%s", headers, len(body), body),
	}
	t.Chdir(t.TempDir())
	for name, data := range files {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := New()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs([]string{"--policy", "policy.yaml", "--config", "settings.yaml", "--now", "1796000000", "request.http"})
	_ = cmd.Execute() // the verdict is in what it prints
	return out.String()
}

// TestExplainOfCompressedDeliveries: explain judges what Envoy would show with
// these settings, and names what is wrong with those of Envoy.
func TestExplainOfCompressedDeliveries(t *testing.T) {
	plain := []byte(`{"event":"a push that was signed before it was compressed","devices":[1,2,3]}`)
	pack := func(body []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(body)
		_ = w.Close()
		return b.Bytes()
	}
	sign := func(body []byte) string {
		mac := hmac.New(sha256.New, []byte("f3b1c09a7d5e4286b0c9d7e15a3f8642"))
		mac.Write(body)
		return "X-Signature: " + hex.EncodeToString(mac.Sum(nil))
	}
	const said = "envoy: {decompressed: true}\n"
	long, packed := bytes.Repeat([]byte("0123456789"), 3000), pack(plain)
	for name, c := range map[string]struct {
		settings, headers string
		body              []byte
		want              []string
	}{
		"signed before, as configured":   {said, sign(plain) + "\r\nContent-Encoding: gzip", packed, []string{"allow: ok", "judged decompressed"}},
		"signed before, unsaid":          {"{}", sign(plain) + "\r\nContent-Encoding: GZIP", packed, []string{"deny: signature_invalid", "the signature was made before that", "envoy.decompressed: true"}},
		"signed after, unsaid":           {"{}", sign(packed) + "\r\nContent-Encoding: gzip", packed, []string{"allow: ok"}},
		"signed after, decompressed":     {said, sign(packed) + "\r\nContent-Encoding: gzip", packed, []string{"deny: signature_invalid", "judged decompressed"}},
		"plain":                          {said, sign(plain), plain, []string{"allow: ok"}},
		"left as it is":                  {said, sign(packed) + "\r\nCache-Control: no-transform\r\nContent-Encoding: gzip", packed, []string{"allow: ok", "no-transform"}},
		"another coding":                 {said, sign(packed) + "\r\nContent-Encoding: br", packed, []string{"allow: ok", `does not undo Content-Encoding "br"`}},
		"cut":                            {said, sign(plain) + "\r\nContent-Encoding: gzip", packed[:len(packed)/2], []string{"deny: signature_invalid", "no whole gzip stream"}},
		"bytes after the stream":         {said, sign(plain) + "\r\nContent-Encoding: gzip", append(slices.Clone(packed), "more"...), []string{"allow: ok"}},
		"no gzip":                        {said, sign(nil) + "\r\nContent-Encoding: gzip", []byte("hello"), []string{"no whole gzip stream"}},
		"longer than the limit":          {said[:len(said)-2] + ", max_request_bytes: 20000}\n", sign(long) + "\r\nContent-Encoding: gzip", pack(long), []string{"deny: body_too_large, status 413"}},
		"a full buffer":                  {said[:len(said)-2] + ", max_request_bytes: 30000}\n", sign(long) + "\r\nContent-Encoding: gzip", pack(long), []string{"deny: body_truncated"}},
		"more than Envoy likes":          {said, sign(long) + "\r\nContent-Encoding: gzip", pack(long), []string{"more than 100 times"}},
		"another secret, not compressed": {said, "X-Signature: " + strings.Repeat("0", 64), plain, []string{"deny: signature_invalid"}},
	} {
		out := explainCompressed(t, c.settings, c.headers, c.body)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: nothing of %q in\n%s", name, want, out)
			}
		}
		if strings.HasPrefix(out, "allow") && strings.Contains(out, "needs a decompressor") {
			t.Errorf("%s: a hint at what is not wrong:\n%s", name, out)
		}
	}
}
