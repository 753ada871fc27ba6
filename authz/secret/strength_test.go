package secret_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/secret"
)

func TestWeakness(t *testing.T) {
	for text, want := range map[string]error{
		"":                                 secret.ErrShort,
		"c4nary-mine-4711"[:15]:            secret.ErrShort,
		strings.Repeat("a", 64):            secret.ErrGuessable,
		strings.Repeat("ab12", 16):         secret.ErrGuessable,
		strings.Repeat("abc123xy9", 4):     secret.ErrGuessable,
		"abcdefghijklmnopqrstuvwxyz":       secret.ErrGuessable,
		"0123456789012345":                 secret.ErrGuessable,
		"0123456789abcdef":                 secret.ErrGuessable,
		"passwordpassword":                 secret.ErrGuessable,
		"my-super-secret-webhook-key":      secret.ErrGuessable,
		"this_secret_is_for_testing_only":  secret.ErrGuessable,
		"changeme-changeme-1":              secret.ErrGuessable,
		"SuperSecretWebhookToken2026":      secret.ErrGuessable,
		"whsec_test_secret_example":        secret.ErrGuessable,
		"qwertyuiopasdfghjkl":              secret.ErrGuessable,
		"correct horse battery staple":     nil,
		"8f742231b10e8888abcd99yyyzzz85a5": nil,
		"gL7xQ2mVb3YdTnX0":                 nil,
		"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f": secret.ErrGuessable,
	} {
		if err := secret.Weakness([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// What is chosen at random is never weak, however it is written.
func TestRandomIsStrong(t *testing.T) {
	b := make([]byte, 16)
	source := rand.NewChaCha8([32]byte{'s'}) // the same each time
	for range 5000 {
		_, _ = source.Read(b)
		for form, key := range map[string][]byte{
			"bytes": b, "hex": []byte(hex.EncodeToString(b)), "short hex": []byte(hex.EncodeToString(b[:8])),
			"base64": []byte(base64.StdEncoding.EncodeToString(b)), "letters": []byte(base32.StdEncoding.EncodeToString(b)[:16]),
		} {
			if err := secret.Weakness(key); err != nil {
				t.Fatalf("%s: %q: %v", form, key, err)
			}
		}
	}
}
