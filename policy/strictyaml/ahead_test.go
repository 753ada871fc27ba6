package strictyaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// Trees are made ahead of the reader, which may end early: at the last error that
// is reported, or where the whole file has to be read anew.
func TestReadingAhead(t *testing.T) {
	var good, bad strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&good, "- {name: a%d, match: {path: /%d}}\n", i, i)
		fmt.Fprintf(&bad, "- {nane: a%d, match: {path: /%d}}\n", i, i)
	}
	for name, c := range map[string]struct {
		text         string
		hooks, wrong int
	}{
		"all good":              {"webhooks:\n" + good.String(), 5000, 0},
		"too many errors":       {"webhooks:\n" + bad.String(), 0, strictyaml.MaxErrors + 1},
		"errors, and then more": {"webhooks:\n" + bad.String() + good.String(), 0, strictyaml.MaxErrors + 1},
		"an item that is none":  {"webhooks:\n" + good.String() + "- {name: ]\n" + good.String(), 10_001, 1},
	} {
		_, hooks, err := each(c.text)
		var errs strictyaml.Errors
		_ = errors.As(err, &errs)
		if len(hooks) != c.hooks || len(errs) != c.wrong {
			t.Errorf("%s: %d webhooks, %d errors, want %d, %d: %.200v", name, len(hooks), len(errs), c.hooks, c.wrong, err)
		}
		for i, hook := range hooks {
			if hook != nil && hook.GetName() != fmt.Sprint("a", i) && i < 5000 {
				t.Fatalf("%s: webhook %d is %s", name, i, hook.GetName())
			}
		}
		goleak.VerifyNone(t)
	}
}
