package secret_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/hookbastion/hookbastion/authz/secret"
)

func TestPlain(t *testing.T) {
	const key = "kR4zJ8sCf6HqUeA1oNbV7mWd"
	for _, c := range []struct {
		text string
		want error
	}{
		{key, nil},
		{"whsec_" + key, nil},
		{"correct horse battery staple", nil},
		{"k{R}4<z>J8$sC%f6H", nil},
		{"$2y$10$" + key, nil},
		{"https://" + key, nil},
		{"a:b", nil},
		{"\ufeff" + key, secret.ErrMark},
		{key + "\n", secret.ErrSpace},
		{key + "\r", secret.ErrSpace},
		{"\n" + key, secret.ErrSpace},
		{key + " ", secret.ErrSpace},
		{"\t" + key, secret.ErrSpace},
		{key + "\u00a0", secret.ErrSpace},
		{" ", secret.ErrSpace},
		{"${GITHUB_SECRET}", secret.ErrPlaceholder},
		{"$GITHUB_SECRET", secret.ErrPlaceholder},
		{"$(cat secret)", secret.ErrPlaceholder},
		{"%GITHUB_SECRET%", secret.ErrPlaceholder},
		{"{{ .Values.webhook.githubSecret }}", secret.ErrPlaceholder},
		{"{{secret}}", secret.ErrPlaceholder},
		{"<paste the signing secret here>", secret.ErrPlaceholder},
		{"<%= secret %>", secret.ErrPlaceholder},
		{"__GITHUB_SECRET__", secret.ErrPlaceholder},
		{"@GITHUB_SECRET@", secret.ErrPlaceholder},
		{"vault:secret/data/github#token", secret.ErrPlaceholder},
		{"op://vault/github/secret", secret.ErrPlaceholder},
		{"ref+vault://secret/github#token", secret.ErrPlaceholder},
		{"arn:aws:secretsmanager:eu-central-1:123456789012:secret:github", secret.ErrPlaceholder},
		{"#{github.secret}", secret.ErrPlaceholder},
		{"ENC[AES256_GCM,data:Tr7o=,iv:1=,tag:k=,type:str]", secret.ErrEncrypted},
		{"ENC(" + key + ")", secret.ErrEncrypted},
		{"{cipher}" + key, secret.ErrEncrypted},
		{"$ANSIBLE_VAULT;1.1;AES256\n6162", secret.ErrEncrypted},
		{"-----BEGIN AGE ENCRYPTED FILE-----\n" + key, secret.ErrEncrypted},
		{"ENC" + key, nil},
		{`"` + key + `"`, secret.ErrQuoted},
		{"'" + key + "'", secret.ErrQuoted},
		{`"` + key, nil},
		{"it's a 'key'", nil},
		{"\u200b" + key, secret.ErrHidden},
		{key + "\u200d" + key, secret.ErrHidden},
		{"schlüssel für alle", nil},
		{"null", secret.ErrPlaceholder},
		{"CHANGE_ME", secret.ErrPlaceholder},
		{"\xff\xfek\x00e\x00y\x00", secret.ErrWide},
		{"\x00k\x00e\x00y", secret.ErrWide},
		{"\x00\xff\x20", nil},
		{"\x01\x02\x03 ", nil},
	} {
		if err := secret.Plain(secret.New([]byte(c.text))); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.text, err, c.want)
		}
	}
}

// Random bytes are what they are.
func TestPlainOfRandomBytes(t *testing.T) {
	for range 10_000 {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		if err := secret.Plain(secret.New(key)); err != nil {
			t.Fatalf("%x: %v", key, err)
		}
	}
}
