package condition_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/condition"
)

// A body of more keys and values than are read makes every condition on it fail.
func TestBodyOfManyValues(t *testing.T) {
	expression, err := condition.Compile("body.id == 1")
	if err != nil {
		t.Fatal(err)
	}
	check := &condition.Check{Expressions: []*condition.Expression{expression}}
	for n, want := range map[int]authz.Reason{9_994: authz.OK, 9_996: authz.ConditionFailed} {
		body := `{"id":1,"x":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}`
		call := &authz.Call{Context: context.Background(), Request: &authz.Request{Body: authz.Body{Segments: [][]byte{[]byte(body)}}}}
		if got := check.Run(call); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
