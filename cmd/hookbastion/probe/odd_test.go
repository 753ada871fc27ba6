package probe

import (
	"testing"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/probe"
)

// TestOddPolicies: paths, methods and secrets of unusual shapes are probed as others are.
func TestOddPolicies(t *testing.T) {
	b := newBench(t)
	b.prepare()
	rows := map[string]struct {
		policy string
		args   []string
	}{
		"root":     {policy: hook("match: {path: /}")},
		"slash":    {policy: hook("match: {path: /hook/}")},
		"below":    {policy: hook("match: {path: /hook/**}")},
		"segment":  {policy: hook("match: {path: '/{x}'}")},
		"wildcard": {policy: hook("match: {hosts: ['*.example.com'], path: /hook}")},
		"tenant":   {policy: hook("match: {path: '/{tenant}/hook'};secrets: [{id: a, file: '../../secrets/tenant/{tenant}'}]"), args: []string{"--path", "hook=/acme/hook"}},
		"get":      {policy: hook("match: {path: /hook, methods: [GET]};provider: -;secrets: -;token: {any_of: [{query: {name: t, value: {file: ../../secrets/token}}}]}")},
		"put":      {policy: hook("match: {path: /hook, methods: [PUT, POST]}")},
		"rotation": {policy: hook("secrets: [{id: a, file: ../../secrets/stripe}, {id: b, file: ../../secrets/rotated}]")},
		"body":     {policy: hook("provider: github"), args: []string{"--body", b.write("form.txt", "a text of no form")}},
		"json":     {policy: hook("provider: github"), args: []string{"--body", b.write("list.json", "[1, 2]\n")}},
	}
	for name, row := range rows {
		b.add(name, b.service(row.policy, ""), false, true, nil)
	}
	b.start()
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, exit := b.run(t, name, row.policy, "", false, row.args...)
			wrong := false
			for _, result := range r.Results {
				if result.Verdict == probe.Passed || result.Verdict == probe.Unclear || result.Verdict == probe.Refused {
					t.Errorf("%+v", result)
				}
				wrong = wrong || (result.Attack == "wrong-secret" || result.Attack == "wrong-token") && result.Verdict == probe.Held
			}
			if exit != cli.Good || !wrong || len(r.Unsigned) > 0 {
				t.Errorf("exit %d, wrong secret held %v, %v", exit, wrong, r.Unsigned)
			}
		})
	}
}
