package secret

import (
	"crypto/sha256"
	"strings"
	"sync"
)

// guesses are the digests of what everybody tries first: words that people use for
// secrets, alone, with what they add to them, and two together.
var guesses = sync.OnceValue(func() map[[sha256.Size]byte]bool {
	all := map[[sha256.Size]byte]bool{}
	add := func(text string) { all[sha256.Sum256([]byte(text))] = true }
	add("")
	var flat []string
	for _, some := range words() {
		flat = append(flat, some...)
	}
	flat = append(flat, "abc", "foo", "bar", "key", "dev", "api", "app", "123", "1234", "12345", "123456", "12345678", "123456789", "1234567890", "0123456789")
	for _, word := range flat {
		for _, text := range []string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:]} {
			for _, end := range []string{"", "1", "12", "123", "1234", "!", "1!", "123!", "01", "2023", "2024", "2025", "2026", "2027", "\n"} {
				add(text + end)
			}
		}
		for _, other := range flat {
			for _, between := range []string{"", "-", "_", " ", ".", ":"} {
				add(word + between + other)
			}
		}
	}
	return all
})

// Guessable reports whether a digest is that of a text that everybody tries first. It is
// no proof of strength: a digest that is not known here may be found by trying longer.
func (d *Digest) Guessable() bool { return guesses()[d.sum] }
