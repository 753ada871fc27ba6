package strictyaml_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"google.golang.org/protobuf/proto"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// A webhook behind a break that editors do not show would look like a comment.
func TestHiddenCharacters(t *testing.T) {
	const good = "webhooks:\n- name: a\n  match: {path: /a}\n"
	const evil = "- name: evil\n  match: {path: /evil}\n"
	utf16Text := func(text string) string {
		b := []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(text)) {
			b = append(b, byte(unit), byte(unit>>8))
		}
		return string(b)
	}
	for _, c := range []struct{ text, want string }{
		{good, ""},
		{strings.ReplaceAll(good, "\n", "\r\n"), ""},
		{"\ufeff" + good, ""},
		{good + "# für ein Grüß-Webhook ✓\n", ""},
		{good + "# note\u0085" + evil, "f:4:7: U+0085 is a line break for YAML that editors do not show"},
		{good + "# note\u2028" + evil, "f:4:7: U+2028 is a line break for YAML that editors do not show"},
		{good + "# note\u2029" + evil, "f:4:7: U+2029 is a line break for YAML that editors do not show"},
		{good + "# note\r" + evil, "f:4:7: U+000D is a line break for YAML and for few editors; end lines with a line feed"},
		{good + "# note\ufeff\n", "f:4:7: U+FEFF is a byte order mark, which no editor shows"},
		{good + "# \u202e note\n", "f:4:3: U+202E is a character that turns around how text is shown"},
		{strings.Replace(good, "/a", "\"/\u2066a\"", 1), "f:3:19: U+2066 is a character that turns around how text is shown"},
		{utf16Text(good), "f:1:1: the file is UTF-16; save it as UTF-8"},
		{"# a\u0085# b\u2028\n" + good, "f:1:4: U+0085 is a line break for YAML that editors do not show\nf:1:8: U+2028 is a line break for YAML that editors do not show"},
	} {
		_, err := strictyaml.Options{}.Decode("f", []byte(c.text), &policyv1.Policy{})
		_, each := strictyaml.Options{}.DecodeEach("f", []byte(c.text), &policyv1.Policy{}, "webhooks", func(int, proto.Message, *strictyaml.Wrong) {})
		for _, err := range []error{err, each} {
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%q:\n got %s\nwant %s", c.text, got, c.want)
			}
		}
	}
}
