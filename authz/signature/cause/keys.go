package cause

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/signature"
)

// reading is one way to make a key of a secret's text.
type reading struct {
	id, says, mend string
	key            func(text []byte) []byte // nil: it cannot be read so
}

const keyed = "give the sender the same secret, or say how it is written with format in secrets"

// readings are what senders and receivers make of one text.
var readings = []reading{
	{"key_as_text", "the key is the secret's text as it is, and is not decoded", "say format: TEXT in secrets", func(t []byte) []byte { return t }},
	{"key_without_prefix", "the key is the text without what stands before its first underscore", keyed, func(t []byte) []byte { return afterPrefix(t) }},
	{"key_base64", "the key is what the text stands for in base64", "say format: BASE64 in secrets", decodeBase64},
	{"key_base64", "the key is what the text stands for in base64, without what stands before its first underscore", "say format: BASE64 in secrets, and take off what stands before", func(t []byte) []byte { return decodeBase64(afterPrefix(t)) }},
	{"key_hex", "the key is what the text stands for in hexadecimal", "say format: HEX in secrets", decodeHex},
	{"key_hex", "the key is what the text stands for in hexadecimal, without what stands before its first underscore", "say format: HEX in secrets, and take off what stands before", func(t []byte) []byte { return decodeHex(afterPrefix(t)) }},
	{"key_line_feed", "the sender's secret ends with a line feed, which belongs to the key there", "take the line feed off at the sender; echo -n writes none", func(t []byte) []byte { return append(bytes.Clone(t), '\n') }},
	{"key_line_feed", "the sender's secret ends with CR LF, which belongs to the key there", "take the line break off at the sender", func(t []byte) []byte { return append(bytes.Clone(t), "\r\n"...) }},
	{"key_space", "the key is the secret without white space around it", "take the white space out of the secret's file", bytes.TrimSpace},
	{"key_space", "the sender's secret ends with a space", "take the space off at the sender", func(t []byte) []byte { return append(bytes.Clone(t), ' ') }},
	{"key_quotes", "the key is the secret without the quotes around it", "take the quotes out of the secret's file", func(t []byte) []byte { return bytes.Trim(t, `"'`) }},
	{"key_quotes", "the sender has double quotes around the secret, which belong to the key there", "take the quotes off at the sender", func(t []byte) []byte { return []byte(`"` + string(t) + `"`) }},
	{"key_quotes", "the sender has single quotes around the secret, which belong to the key there", "take the quotes off at the sender", func(t []byte) []byte { return []byte(`'` + string(t) + `'`) }},
	{"key_letter_case", "the key is the secret in lower case", keyed, bytes.ToLower},
	{"key_letter_case", "the key is the secret in upper case", keyed, bytes.ToUpper},
	{"key_encoded_twice", "the key is the text of the secret in base64 once more, as Kubernetes shows secrets", "give the sender the secret itself, not its base64", func(t []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(t)) }},
	{"key_encoded_twice", "the key is what stands in base64 in our text, and is a text in base64 itself", "decode the secret's file once", func(t []byte) []byte { return decodeBase64(decodeBase64(t)) }},
	{"key_hex_of_text", "the key is the text of the secret in hexadecimal", keyed, func(t []byte) []byte { return []byte(hex.EncodeToString(t)) }},
	{"key_decorated", "the key is the secret without the word before it", "take what stands before the secret out of its file", undecorated},
	{"key_byte_order_mark", "the sender's secret begins with a byte order mark, which belongs to the key there", "save the sender's secret without a byte order mark", func(t []byte) []byte { return append([]byte("\xef\xbb\xbf"), t...) }},
}

// afterPrefix is a text without a word such as whsec_ or sk_live_.
func afterPrefix(t []byte) []byte {
	at := bytes.IndexByte(t, '_')
	if at < 1 || at > 12 || at == len(t)-1 {
		return nil
	}
	return t[at+1:]
}

func undecorated(t []byte) []byte {
	for _, word := range []string{"Bearer ", "Basic ", "sha256=", "secret=", "key=", "v1,"} {
		if rest, ok := bytes.CutPrefix(t, []byte(word)); ok {
			return rest
		}
	}
	if _, after, ok := bytes.Cut(t, []byte("=")); ok && len(bytes.Trim(after, "=")) > 0 { // NAME=value of an .env file
		return after
	}
	return nil
}

func decodeBase64(t []byte) []byte {
	text := strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "").Replace(strings.TrimRight(string(t), "="))
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return key
}

func decodeHex(t []byte) []byte {
	key, err := hex.DecodeString(string(t))
	if err != nil {
		return nil
	}
	return key
}

// keyTrials are other keys, where keys are secrets.
func (x *search) keyTrials() []trial {
	if x.content.Config().Algorithm.Kind != 0 {
		return nil
	}
	var all []trial
	add := func(c Cause, key []byte) {
		if len(key) > 0 {
			all = append(all, trial{Cause: c, kind: ofKey, keys: []signature.Key{{ID: "other", Secret: secret.New(key)}}})
		}
	}
	for _, own := range x.Own {
		for _, r := range readings {
			add(Cause{r.id, "secret " + own.ID + ": " + r.says, r.mend}, r.key(own.Text.Reveal()))
		}
	}
	for _, other := range x.Others {
		c := Cause{"key_of_webhook", "the key is that of webhook " + other.Webhook + " (secret " + other.ID + ")", "the sender delivers to another path than it should, or the secrets of two webhooks are swapped"}
		decodes := []secret.Accept{other.Decode}
		if len(x.Own) > 0 {
			decodes = append(decodes, x.Own[0].Decode)
		}
		for _, decode := range decodes {
			if decode == nil {
				continue
			}
			if key, err := decode(other.Text); err == nil {
				add(c, key.Reveal())
			}
		}
		add(c, other.Text.Reveal())
	}
	return all
}
