package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/secret"
)

const canary = "c4nary-in-the-mine"

func TestNothingPrintsASecret(t *testing.T) {
	v := secret.New([]byte(canary))
	holder := struct {
		Value   secret.Value
		Pointer *secret.Value
		List    []secret.Value
		Map     map[string]secret.Value
		hidden  secret.Value // fmt calls no methods on unexported fields
		hiddenP *secret.Value
		hiddenL []secret.Value
	}{v, &v, []secret.Value{v}, map[string]secret.Value{"k": v}, v, &v, []secret.Value{v}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08b", "%c", "%p", "%w", "%T", "%U"} {
		for _, value := range []any{v, &v, holder, &holder, []any{v}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	fmt.Fprintln(&out, v, &v, v.String(), v.GoString())
	fmt.Fprintln(&out, fmt.Errorf("%v: %v", v, holder))
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("m", "v", v, "p", &v, "h", holder, slog.Group("g", "h", &holder))
	}
	out.Write(log.Bytes())
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary)), fmt.Sprintf("%#v", []byte(canary)), "YzRuYXJ5",
		strings.Trim(fmt.Sprintf("%08b", []byte(canary)), "[]"), strings.Trim(fmt.Sprintf("%U", []byte(canary)), "[]"),
		strings.Trim(fmt.Sprintf("%c", []byte(canary)), "[]"), strings.Trim(fmt.Sprint([]byte(canary)), "[]"),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret is printed as %s", form)
		}
	}
	if !strings.Contains(out.String(), "[secret]") || string(v.Reveal()) != canary {
		t.Error("the test prints nothing, or the secret is lost")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text, want string
		err        error
	}{
		"plain":        {canary, canary, nil},
		"line":         {canary + "\n", canary, nil},
		"CR LF":        {canary + "\r\n", canary, nil},
		"two lines":    {canary + "\n\n", canary + "\n", nil},
		"spaces":       {" " + canary + " \n", " " + canary + " ", nil},
		"CR":           {canary + "\r", canary + "\r", nil},
		"empty":        {"", "", secret.ErrEmpty},
		"one newline":  {"\n", "", secret.ErrEmpty},
		"largest":      {strings.Repeat("x", secret.MaxBytes), strings.Repeat("x", secret.MaxBytes), nil},
		"too large":    {strings.Repeat(canary, secret.MaxBytes), "", secret.ErrTooLarge},
		"binary bytes": {"\x00\xff\n", "\x00\xff", nil},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := secret.Ref{File: file}.Load()
		if !errors.Is(err, c.err) || string(v.Reveal()) != c.want {
			t.Errorf("%s: %d bytes, %v", name, v.Len(), err)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error holds the secret: %v", name, err)
		}
	}
	if _, err := (secret.Ref{File: dir}).Load(); !errors.Is(err, secret.ErrNotFile) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := (secret.Ref{File: filepath.Join(dir, "none")}).Load(); err == nil || strings.Count(err.Error(), "none") != 1 {
		t.Errorf("no file: %v", err)
	}
	t.Setenv("HOOKBASTION_TEST_SECRET", canary)
	if v, err := (secret.Ref{Env: "HOOKBASTION_TEST_SECRET"}).Load(); err != nil || string(v.Reveal()) != canary {
		t.Errorf("a variable: %v", err)
	}
	t.Setenv("HOOKBASTION_TEST_SECRET", "")
	if _, err := (secret.Ref{Env: "HOOKBASTION_TEST_SECRET"}).Load(); !errors.Is(err, secret.ErrEmpty) {
		t.Errorf("an empty variable: %v", err)
	}
	if _, err := (secret.Ref{Env: "HOOKBASTION_TEST_NONE"}).Load(); !errors.Is(err, secret.ErrUnset) {
		t.Errorf("no variable: %v", err)
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		text     string
		encoding secret.Encoding
		prefixes []string
		want     string
		err      error
	}{
		{"whsec_abc", secret.Text, nil, "whsec_abc", nil},
		{"whsec_aGk=", secret.Base64, []string{"v1,", "whsec_"}, "hi", nil},
		{"v1,whsec_aGk", secret.Base64, []string{"v1,", "whsec_"}, "hi", nil},
		{"aGk", secret.Base64, []string{"whsec_"}, "hi", nil},
		{"aGl=", secret.Base64, nil, "", secret.ErrBase64},
		{"a-_k", secret.Base64, nil, "", secret.ErrBase64},
		{"aG\nk=", secret.Base64, nil, "", secret.ErrBase64},
		{"c4nary!", secret.Base64, nil, "", secret.ErrBase64},
		{"6869", secret.Hex, nil, "hi", nil},
		{"6A6b", secret.Hex, nil, "jk", nil},
		{"686", secret.Hex, nil, "", secret.ErrHex},
		{canary, secret.Hex, nil, "", secret.ErrHex},
		{"whsec_", secret.Base64, []string{"whsec_"}, "", secret.ErrEmpty},
		{"", secret.Text, nil, "", secret.ErrEmpty},
	} {
		v, err := secret.New([]byte(c.text)).Decode(c.encoding, c.prefixes...)
		if !errors.Is(err, c.err) || string(v.Reveal()) != c.want {
			t.Errorf("%q: %v", c.text, err)
		}
		if err != nil && strings.Contains(err.Error(), "c4nary") {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
}

func TestTheZeroValueIsEmpty(t *testing.T) {
	var v secret.Value
	if v.Len() != 0 || len(v.Reveal()) != 0 || v.String() != "[secret]" {
		t.Error("the zero value is not empty")
	}
	if _, err := v.Decode(secret.Text); !errors.Is(err, secret.ErrEmpty) {
		t.Errorf("decoded: %v", err)
	}
	if _, err := (secret.Ref{}).Load(); err == nil {
		t.Error("a secret from nowhere")
	}
}

func TestNewCopies(t *testing.T) {
	b := []byte(canary)
	v := secret.New(b)
	b[0] = 'X'
	if string(v.Reveal()) != canary {
		t.Error("the secret changes with its source")
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"", "", true}, {"", "a", false}} {
		if secret.Equal([]byte(c.a), []byte(c.b)) != c.want {
			t.Errorf("%q and %q", c.a, c.b)
		}
	}
}
