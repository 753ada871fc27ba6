package strictyaml_test

import (
	"strings"
	"testing"
)

// Whoever writes YAML that is not read is told why, and what to do, whichever way the
// file is read.
func TestOneDocument(t *testing.T) {
	const second, alias = "second document begins; read is one document a file, so that none is overlooked: move the second one", "anchors, aliases and merges are not allowed: what counts must stand where it counts"
	hook := func(name string) string { return "{name: " + name + ", match: {path: /" + name + "}}" }
	for text, want := range map[string]string{
		"---\nwebhooks:\n  - " + hook("a") + "\n":                                                 "",
		"# a remark\n---\nwebhooks: [" + hook("a") + "]\n":                                        "",
		"---\nwebhooks:\n  - " + hook("a") + "\n---\nwebhooks:\n  - " + hook("b") + "\n":          "f:4:1: a " + second,
		"webhooks: [" + hook("a") + "]\n---\nwebhooks: [" + hook("b") + "]\n":                     "f:2:1: a " + second,
		"webhooks:\n  - " + hook("a") + "\n---\n":                                                 "f:3:1: a " + second,
		"webhooks:\n  - " + hook("a") + "\n...\n---\nwebhooks: []\n":                              "f:4:1: a " + second,
		"webhooks:\n  - &a " + hook("a") + "\n  - *a\n":                                           "f:2:5: webhooks[0]: " + alias,
		"webhooks:\n  - &a " + hook("a") + "\n  - <<: *a\n    name: b\n":                          "f:2:5: webhooks[0]: " + alias,
		"webhooks: [&a " + hook("a") + ", *a]\n":                                                  "f:1:12: webhooks[0]: " + alias,
		"webhooks:\n  - name: &n a\n    match: {path: /a}\n  - name: *n\n    match: {path: /b}\n": "f:2:11: webhooks[0].name: " + alias,
		"webhooks:\n  - *nobody\n":                                                                "f:2:3: " + alias,
	} {
		_, _, err := each(text)
		got := ""
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
