package authz_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/authztest"
)

// When time runs out within a check, what comes after it does not run: no
// nonce is reserved for an answer that nobody waits for.
func TestNothingRunsAfterTheTimeIsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	reserved := false
	hooks := authztest.Table(
		authztest.Check{At: authz.StageReplay, Do: func(*authz.Call) authz.Reason { reserved = true; return authz.OK }},
		authztest.Check{At: authz.StageSignature, Do: func(call *authz.Call) authz.Reason {
			call.Proof = authz.ProofSignature
			cancel()
			return authz.OK
		}},
	)
	var d authz.Decision
	hooks.Decide(ctx, authztest.POST("h", "/p", ""), authztest.Now, &d)
	if d.Reason != authz.Timeout || d.Forward() || reserved || d.Status() != 503 {
		t.Errorf("%s, forward %v, reserved %v", d.Reason, d.Forward(), reserved)
	}
	want := []authz.Outcome{{Stage: authz.StageSignature, Reason: authz.OK}, {Stage: authz.StageReplay, Reason: authz.Timeout}}
	if got := d.Checks(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v", got)
	}
}

func TestStagesRunInOrder(t *testing.T) {
	var checks []authz.Check
	var ran []authz.Stage
	for _, stage := range []authz.Stage{authz.StageReplay, authz.StageSignature, authz.StageLimits, authz.StageFreshness, authz.StageToken, authz.StageSource, authz.StageConditions, authz.StageKnown, authz.StageTransport, authz.StageTenant, authz.StageHandshake, authz.StageAnswer} {
		checks = append(checks, authztest.Check{At: stage, Do: func(call *authz.Call) authz.Reason {
			ran = append(ran, stage)
			call.Proof = authz.ProofSignature
			return authz.OK
		}})
	}
	authztest.Decide(t, authztest.Table(checks...), authztest.POST("h", "/p", ""), authz.OK)
	for i, stage := range ran {
		if int(stage) != i {
			t.Errorf("check %d is %s", i, stage)
		}
	}
	if len(ran) != len(checks) {
		t.Errorf("%d of %d ran", len(ran), len(checks))
	}
}

// A look for copies stands in the record only if it has found one.
func TestLookLeavesNoTrace(t *testing.T) {
	for reason, want := range map[authz.Reason]int{authz.OK: 2, authz.Replayed: 2} {
		look := authztest.Check{At: authz.StageKnown, Do: func(*authz.Call) authz.Reason { return reason }}
		sign := authztest.Check{At: authz.StageSignature, Do: func(call *authz.Call) authz.Reason {
			call.Proof = authz.ProofSignature
			return authz.OK
		}}
		last := authztest.Check{At: authz.StageReplay, Do: func(*authz.Call) authz.Reason { return authz.OK }}
		var d authz.Decision
		authztest.Table(sign, look, last).Decide(context.Background(), authztest.POST("h", "/p", ""), authztest.Now, &d)
		got := d.Checks()
		if len(got) != want || got[1].Reason != reason || got[1].Stage.String() != "replay" || d.Reason != reason {
			t.Errorf("%s: %v", reason, got)
		}
	}
}

func TestFaultsDeny(t *testing.T) {
	unknown := authztest.Check{At: authz.StageLimits, Do: func(*authz.Call) authz.Reason { return authz.Reason(250) }}
	var d authz.Decision
	for name, decide := range map[string]func(){
		"no request": func() { authztest.Table(authztest.Proven()).Decide(context.Background(), nil, authztest.Now, &d) },
		"no context": func() {
			authztest.Table(authztest.Proven()).Decide(context.Context(nil), authztest.POST("h", "/p", ""), authztest.Now, &d)
		},
		"an empty table": func() {
			authz.NewTable().Decide(context.Background(), authztest.POST("h", "/p", ""), authztest.Now, &d)
		},
		"an unknown reason": func() {
			authztest.Table(unknown).Decide(context.Background(), authztest.POST("h", "/p", ""), authztest.Now, &d)
		},
	} {
		d = authz.Decision{Verdict: authz.Allow, Reason: authz.OK} // what the last request left
		decide()
		if d.Forward() || d.Verdict != authz.Deny || d.Status() < 400 || d.Status() > 599 {
			t.Errorf("%s: %s, forward %v, status %d", name, d.Reason, d.Forward(), d.Status())
		}
	}
}

// Only who asks for times has the clock read.
func TestChecksAreTimed(t *testing.T) {
	hooks := authztest.Table(authztest.Check{At: authz.StageLimits, Do: func(*authz.Call) authz.Reason { return authz.OK }}, authztest.Proven())
	ticks := time.Duration(0)
	clock := func() time.Duration { ticks += time.Millisecond; return ticks }
	var d authz.Decision
	hooks.DecideTimed(context.Background(), authztest.POST("h", "/p", ""), authztest.Now, &d, clock)
	want := []authz.Outcome{
		{Stage: authz.StageLimits, Reason: authz.OK, Start: 1 * time.Millisecond, End: 2 * time.Millisecond},
		{Stage: authz.StageSignature, Reason: authz.OK, Start: 2 * time.Millisecond, End: 3 * time.Millisecond},
	}
	if !slices.Equal(d.Checks(), want) {
		t.Errorf("%v", d.Checks())
	}
	hooks.Decide(context.Background(), authztest.POST("h", "/p", ""), authztest.Now, &d)
	if last := d.Checks()[1]; ticks != 3*time.Millisecond || last.End != 0 {
		t.Errorf("%v after %s", last, ticks)
	}
}
