package authz_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
)

func TestReasonsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < authz.ReasonCount; i++ {
		r := authz.Reason(i)
		status := "the provider's"
		marked := &authz.Decision{Reason: r, Webhook: &authz.Webhook{DeniedStatus: 499}}
		if r == authz.Handshake {
			status = "answered"
		} else if r.Allows() {
			status = "forwarded"
		} else if marked.Status() != 499 {
			status = fmt.Sprint(marked.Status())
		}
		if row := fmt.Sprintf("| `%s` | %s | ", r, status); !strings.Contains(string(text), row) {
			t.Errorf("docs/reasons.md has no row %q", row)
		}
	}
	if rows := strings.Count(string(text), "\n| `"); rows != authz.ReasonCount-1 {
		t.Errorf("docs/reasons.md has %d rows for %d reasons", rows, authz.ReasonCount-1)
	}
}
