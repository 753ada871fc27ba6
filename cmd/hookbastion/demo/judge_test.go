package demo

import (
	"errors"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

func TestJudge(t *testing.T) {
	rows := []row{{reason: authz.OK}, {reason: authz.SignatureInvalid}, {byEnvoy: true}}
	good := []result{{Verdict: "allow", AsExpected: true}, {Verdict: "deny", AsExpected: true}, {Verdict: "deny", AsExpected: true}}
	if err := judge(rows, good); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		i    int
		r    result
		want cli.Exit
	}{
		{0, result{Verdict: "deny"}, cli.CaseFailed},
		{1, result{Verdict: "deny"}, cli.CaseFailed}, // with another reason
		{1, result{Verdict: "allow"}, cli.AttackPassed},
		{2, result{Verdict: "allow"}, cli.AttackPassed},
	} {
		results := append([]result(nil), good...)
		results[c.i] = c.r
		if err := judge(rows, results); !errors.Is(err, c.want) {
			t.Errorf("row %d %+v: %v, want %v", c.i, c.r, err, c.want)
		}
	}
}
