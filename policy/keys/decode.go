package keys

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// DecodeAll makes keys of the secrets as the scheme or a secret's own format
// says. Those that cannot be decoded are errors and left out.
func (l *Loader) DecodeAll(keys []Loaded, encoding policyv1.Key_Encoding, prefixes []string, finish func(secret.Value) secret.Value) []signature.Key {
	var decoded []signature.Key
	for i := range keys {
		k := &keys[i]
		if !l.shared(k) {
			continue
		}
		key := k.Key
		if key.Cell = l.cell(k, decoder(k.format, encoding, prefixes), finish); key.Cell != nil {
			decoded = append(decoded, key)
		}
	}
	return decoded
}

var keyEncodings = map[policyv1.Key_Encoding]secret.Encoding{policyv1.Key_BASE64: secret.Base64, policyv1.Key_HEX: secret.Hex}

// decoder returns what reads a secret in its own format, or else in that of the
// scheme.
func decoder(format policyv1.Secret_Format, encoding policyv1.Key_Encoding, prefixes []string) secret.Accept {
	read := keyEncodings[encoding]
	switch format {
	case policyv1.Secret_TEXT:
		read, prefixes = secret.Text, nil
	case policyv1.Secret_HEX:
		read, prefixes = secret.Hex, nil
	case policyv1.Secret_BASE64:
		read, prefixes = secret.Base64, nil
	default:
	}
	return func(text secret.Value) (secret.Value, error) {
		if isPublic(text.Reveal()) {
			return secret.Value{}, errPublic
		}
		key, err := text.Decode(read, prefixes...)
		if err != nil {
			err = withDecoration(text, fmt.Errorf("%w: %s", err, expected(read, prefixes, format != policyv1.Secret_FORMAT_UNSPECIFIED)))
		}
		return key, err
	}
}

// expected says how a key is written.
func expected(read secret.Encoding, prefixes []string, own bool) string {
	form := map[secret.Encoding]string{
		secret.Hex:    "two hexadecimal digits for each byte",
		secret.Base64: "letters, digits, + and /, or - and _, as base64 is written",
	}[read]
	if len(prefixes) > 0 {
		form += ", with or without " + strings.Join(prefixes, " or ") + " before it"
	}
	if own {
		return "its format is " + form + "; leave format out for what the scheme says"
	}
	return "the scheme's keys are " + form + "; where this one is not, say how it is written with format"
}

// decorations stand in front of secrets, or where secrets are shown or signed
// with, and are pasted along. None of them is secret.
var decorations = []string{"v1,whsec_", "v1,", "v1=", "v0=", "whsec_", "whpk_", "sha256=", "Bearer ", "Basic ", `"`, "'"}

// withDecoration adds what stands in front of a secret that cannot be decoded, and
// may be no part of it.
func withDecoration(text secret.Value, err error) error {
	for _, decoration := range decorations {
		if bytes.HasPrefix(text.Reveal(), []byte(decoration)) {
			return fmt.Errorf("%w; it begins with %s, which is probably no part of it: remove that", err, decoration)
		}
	}
	return err
}
