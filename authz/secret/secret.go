// Package secret holds key material so that it cannot be printed by accident.
//
// A [Value] writes a placeholder wherever fmt, log/slog or encoding/json meet
// it. The bytes come out only through [Value.Reveal], which is easy to search
// for. Errors of this package name the file or variable and never its content.
//
// A secret that may be replaced while it is in use stands in a [Cell]. [Files]
// reads the files of cells again and swaps the values one by one; a call that
// has begun with a [Version] ends with it. What cannot be a key changes nothing:
// the last good value stays.
//
// It does not protect against a reader of the process's memory.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/hookbastion/hookbastion/authz/files"
)

const placeholder = "[secret]"

// MaxBytes is the size of the largest secret that is read.
const MaxBytes = 64 << 10

// Errors of Load and Decode. They are wrapped with the place of the secret.
var (
	ErrEmpty    = errors.New("the secret is empty")
	ErrTooLarge = fmt.Errorf("the secret is larger than %d KiB", MaxBytes>>10)
	ErrUnset    = errors.New("the variable is not set")
	ErrNotFile  = files.ErrNotRegular
	ErrHex      = errors.New("the secret is not hexadecimal")
	ErrBase64   = errors.New("the secret is not base64")
)

// Value is a secret. The zero value is empty and belongs nowhere.
type Value struct {
	// bytes is a function, for fmt does not call Format on a value that stands
	// in an unexported field, nor for a verb that is wrong: it prints what is
	// inside, and of a function the address.
	bytes func() []byte
}

// New returns a copy of b as a secret.
func New(b []byte) Value { return hold(append([]byte(nil), b...)) }

func hold(b []byte) Value { return Value{bytes: func() []byte { return b }} }

// Reveal returns the bytes. The caller must neither print nor change them.
func (v Value) Reveal() []byte {
	if v.bytes == nil {
		return nil
	}
	return v.bytes()
}

// Len returns the number of bytes.
func (v Value) Len() int { return len(v.Reveal()) }

// String returns a placeholder.
func (v Value) String() string { return placeholder }

// GoString returns a placeholder.
func (v Value) GoString() string { return placeholder }

// Format writes a placeholder, whatever the verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// LogValue returns a placeholder.
func (v Value) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText returns a placeholder, also for encoding/json.
func (v Value) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// Equal reports whether two values are the same, in a time that depends on
// their lengths only. It is the only comparison of anything secret: a lint rule
// forbids the others where secrets are, and a Value or a Digest has no ==.
func Equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// Digest is the SHA-256 of a token. Tokens are compared by their digests, so
// that the time does not depend on their lengths either.
type Digest struct {
	_   [0]func() // with it, == does not compile
	sum [sha256.Size]byte
}

// DigestOf returns the digest of a token.
func DigestOf(token []byte) Digest { return Digest{sum: sha256.Sum256(token)} }

// ParseDigest reads a digest in hexadecimal.
func ParseDigest(text string) (Digest, error) {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return Digest{}, ErrHex
	}
	return Digest{sum: [sha256.Size]byte(sum)}, nil
}

// Same compares by Equal.
func (d *Digest) Same(other *Digest) bool { return Equal(d.sum[:], other.sum[:]) }

// Sum returns the bytes, for a map of digests that are known to all. They are
// not to be compared with those of a request.
func (d *Digest) Sum() [sha256.Size]byte { return d.sum }

// Ref says where a secret is. Exactly one field is set.
type Ref struct {
	// File is a path. One final line break is not part of the secret.
	File string
	// Env is the name of an environment variable.
	Env string
}

// String returns the place, which is no secret.
func (r Ref) String() string {
	if r.File != "" {
		return r.File
	}
	return "$" + r.Env
}

// Load reads the secret. The errors never hold any of it.
func (r Ref) Load() (Value, error) {
	text, err := r.read()
	if err != nil {
		return Value{}, fmt.Errorf("%s: %w", r, err)
	}
	if len(text) == 0 {
		return Value{}, fmt.Errorf("%s: %w", r, ErrEmpty)
	}
	return hold(text), nil
}

func (r Ref) read() ([]byte, error) {
	if r.File == "" {
		value, ok := os.LookupEnv(r.Env)
		if !ok {
			return nil, ErrUnset
		}
		return trimLineBreak([]byte(value)), nil
	}
	text, _, err := files.Read(r.File, MaxBytes)
	if errors.Is(err, files.ErrTooLarge) {
		err = ErrTooLarge
	}
	return trimLineBreak(text), err
}

// trimLineBreak takes off one final line break, which editors and shells add.
// Other white space may be part of the secret.
func trimLineBreak(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
		if n := len(b); n > 0 && b[n-1] == '\r' {
			b = b[:n-1]
		}
	}
	return b
}

// Encoding says how a secret's text stands for its bytes.
type Encoding uint8

// The encodings.
const (
	// Text: the bytes of the text.
	Text Encoding = iota
	// Base64: RFC 4648 §4, with or without padding.
	Base64
	// Hex: either letter case.
	Hex
)

// Decode returns the key that the text stands for, after taking each prefix
// off its front where it is there. A key that is then empty is an error.
func (v Value) Decode(e Encoding, prefixes ...string) (Value, error) {
	text := string(v.Reveal())
	for _, prefix := range prefixes {
		text = strings.TrimPrefix(text, prefix)
	}
	key, err := []byte(text), error(nil)
	switch e {
	case Text:
	case Base64:
		key, err = base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
		if err != nil || strings.ContainsAny(text, "\r\n") {
			return Value{}, ErrBase64
		}
	case Hex:
		key, err = hex.DecodeString(text)
		if err != nil {
			return Value{}, ErrHex
		}
	}
	if len(key) == 0 {
		return Value{}, ErrEmpty
	}
	return hold(key), nil
}
