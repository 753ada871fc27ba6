package secret

import (
	"bytes"
	"regexp"
	"unicode"
	"unicode/utf8"
)

// Oddity is an error of Plain.
type Oddity string

// Error says what is odd.
func (o Oddity) Error() string { return string(o) }

// The oddities.
const (
	ErrMark        Oddity = "begins with a byte order mark, which would be part of the secret"
	ErrWide        Oddity = "is UTF-16; save it as UTF-8"
	ErrSpace       Oddity = "begins or ends in white space besides one line feed, which would be part of the secret"
	ErrPlaceholder Oddity = "is a placeholder that nothing has filled in"
	ErrEncrypted   Oddity = "is still encrypted: what is used would be the text of the file, which others have"
	ErrQuoted      Oddity = "is in quotes, which would be part of the secret"
	ErrHidden      Oddity = "has a character that nobody sees, which would be part of the secret"
)

// Plain says why the text of a secret is hardly what its owner meant, or nil:
// editors, shells and templates put more into a file than people see. What is no
// text, such as random bytes, is never refused. Its errors are Oddities.
func Plain(text Value) error {
	b := text.Reveal()
	switch {
	case bytes.HasPrefix(b, []byte("\ufeff")):
		return ErrMark
	case wide(b):
		return ErrWide
	case !isText(b):
		return nil
	case len(bytes.TrimSpace(b)) != len(b):
		return ErrSpace
	case placeholders.Match(b):
		return ErrPlaceholder
	case encrypted.Match(b):
		return ErrEncrypted
	case quoted.Match(b):
		return ErrQuoted
	case bytes.ContainsFunc(b, func(r rune) bool { return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) }):
		return ErrHidden
	default:
		return nil
	}
}

// placeholders are whole texts that templates, shells and tools for secrets replace.
var placeholders = regexp.MustCompile(`^(?s:` +
	`\$\{.*\}|\$\(.*\)|\$[A-Za-z_][A-Za-z0-9_]*|%[A-Za-z_][A-Za-z0-9_]*%|` + // shells
	`#\{.*\}|\{\{.*\}\}|\{%.*%\}|<%.*%>|\[\[.*\]\]|@@?[A-Za-z_][A-Za-z0-9_.-]*@@?|__[A-Za-z0-9_]+__|` + // templates
	`<[^<>]*>|` + // "paste it here"
	`(?:vault|op|ref\+[a-z0-9]+|secretsmanager|ssm|sm|gcp-?sm|azurekeyvault|bws|doppler|infisical|env|file)://?.*|vault:[A-Za-z0-9_-]+/.*|arn:aws[a-z-]*:(?:secretsmanager|ssm):.*|` +
	`(?i:changeme|change[ _-]me|replace[ _-]?me|todo|tbd|null|undefined|none|<nil>|\[object Object\]))$`)

// encrypted are the forms of tools that keep secrets beside the configuration.
// Whoever reads the repository has them.
var encrypted = regexp.MustCompile(`^(?s:ENC\[.*\]|ENC\(.*\)|\{cipher\}.*|\$ANSIBLE_VAULT;.*|age-encryption\.org/v1.*|` +
	`-----BEGIN (?:PGP MESSAGE|AGE ENCRYPTED FILE)-----.*)$`)

var quoted = regexp.MustCompile(`^(?:"[^"]+"|'[^']+')$`)

// wide reports whether the text is UTF-16: every other byte is zero.
func wide(b []byte) bool {
	if len(b) < 4 || len(b)%2 != 0 {
		return false
	}
	even, odd := true, true
	for i, c := range b {
		if c != 0 && i%2 == 0 && !(i == 0 && (c == 0xff || c == 0xfe)) {
			even = false
		}
		if c != 0 && i%2 == 1 && !(i == 1 && (c == 0xff || c == 0xfe)) {
			odd = false
		}
	}
	return even != odd
}

func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f })
}
