package transport

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/hookbastion/hookbastion/authz"
)

// forwarded is one element of an x-forwarded-client-cert.
type forwarded struct {
	uris, dns   []string
	hash        [sha256.Size]byte
	certificate authz.View
}

// parseForwarded reads a header with exactly one element, as Envoy writes it:
// pairs of key and value with semicolons between them, a value in quotes where
// it holds one of , ; =, and quotes in it behind a backslash. Two elements are
// refused: one of them tells of a proxy, and which one does not stand there.
func parseForwarded(text authz.View) (forwarded, bool) {
	var f forwarded
	rest := string(text)
	for {
		key, value, after, ok := pair(rest)
		if !ok || !f.set(strings.ToLower(key), value) {
			return forwarded{}, false
		}
		if after == "" {
			return f, true
		}
		if after[0] != ';' {
			return forwarded{}, false
		}
		rest = after[1:]
	}
}

// pair reads one key and value. after is what follows, the separator first.
func pair(text string) (key, value, after string, ok bool) {
	key, rest, ok := strings.Cut(text, "=")
	if !ok || key == "" || strings.ContainsAny(key, `,;" `) {
		return "", "", "", false
	}
	if !strings.HasPrefix(rest, `"`) {
		end := strings.IndexAny(rest, `,;`)
		if end < 0 {
			end = len(rest)
		}
		return key, rest[:end], rest[end:], !strings.Contains(rest[:end], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			return key, b.String(), rest[i+1:], true
		case c == '\\' && i+1 < len(rest):
			i++
			b.WriteByte(rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "", false // the quote does not end
}

func (f *forwarded) set(key, value string) bool {
	switch key {
	case "uri":
		if value != "" {
			f.uris = append(f.uris, value)
		}
	case "dns":
		if value != "" {
			f.dns = append(f.dns, value)
		}
	case "hash":
		sum, err := hex.DecodeString(value)
		if err != nil || len(sum) != sha256.Size || f.hash != [sha256.Size]byte{} {
			return false
		}
		f.hash = [sha256.Size]byte(sum)
	case "cert":
		if value == "" || len(f.certificate) > 0 {
			return false
		}
		f.certificate = authz.View(value)
	}
	return true // By, Subject, Chain and what may come
}
