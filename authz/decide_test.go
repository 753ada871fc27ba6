package authz_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// check is a check of any stage with any behaviour.
type check struct {
	stage authz.Stage
	run   func(*authz.Call) authz.Reason
}

func (c check) Stage() authz.Stage { return c.stage }

func (c check) Run(call *authz.Call) authz.Reason { return c.run(call) }

func answers(stage authz.Stage, reason authz.Reason) authz.Check {
	return check{stage, func(call *authz.Call) authz.Reason {
		if reason == authz.OK && stage == authz.StageSignature {
			call.Proof = authz.ProofSignature
		}
		return reason
	}}
}

func TestDecide(t *testing.T) {
	proof := answers(authz.StageSignature, authz.OK)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		hook *authz.Webhook
		ctx  context.Context
		want authz.Reason
		ran  int
	}{
		"proven":              {&authz.Webhook{Chain: authz.NewChain(proof)}, nil, authz.OK, 1},
		"nothing to prove":    {&authz.Webhook{}, nil, authz.Internal, 0},
		"unverified":          {&authz.Webhook{Unverified: "a reason"}, nil, authz.Unprotected, 0},
		"passed, not proven":  {&authz.Webhook{Chain: authz.NewChain(answers(authz.StageLimits, authz.OK))}, nil, authz.Internal, 1},
		"first failure":       {&authz.Webhook{Chain: authz.NewChain(answers(authz.StageReplay, authz.Replayed), answers(authz.StageSource, authz.SourceDenied), proof)}, nil, authz.SourceDenied, 1},
		"unset is no answer":  {&authz.Webhook{Chain: authz.NewChain(proof, answers(authz.StageReplay, authz.Unset))}, nil, authz.Unset, 2},
		"unverified by check": {&authz.Webhook{Chain: authz.NewChain(answers(authz.StageLimits, authz.Unprotected))}, nil, authz.Internal, 1},
		"panic":               {&authz.Webhook{Chain: authz.NewChain(proof, check{authz.StageReplay, func(*authz.Call) authz.Reason { panic("no") }})}, nil, authz.Internal, 1},
		"time is over":        {&authz.Webhook{Chain: authz.NewChain(proof)}, cancelled, authz.Timeout, 1},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := authz.NewTable()
			c.hook.Name = "hook"
			hooks.Add(c.hook, authz.Match{Path: "/h", Methods: []string{"POST"}})
			ctx := c.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			var d authz.Decision
			hooks.Decide(ctx, request("POST", "h", "/h"), time.Unix(0, 0), &d)
			if d.Reason != c.want || len(d.Checks()) != c.ran {
				t.Errorf("%s after %d checks, want %s after %d", d.Reason, len(d.Checks()), c.want, c.ran)
			}
			if allowed := c.want.Allows(); d.Forward() != allowed || (d.Verdict == authz.Allow) != allowed {
				t.Errorf("verdict %s, forward %v", d.Verdict, d.Forward())
			}
			if !d.Forward() && (d.Status() < 400 || d.Status() > 599) {
				t.Errorf("status %d", d.Status())
			}
			c.hook.Shadow = true
			hooks.Decide(ctx, request("POST", "h", "/h"), time.Unix(0, 0), &d)
			if !d.Forward() || d.Reason != c.want {
				t.Errorf("in shadow mode: %s, forward %v", d.Reason, d.Forward())
			}
		})
	}
}

func TestZeroValuesDeny(t *testing.T) {
	var d authz.Decision
	if d.Forward() || d.Status() != 503 {
		t.Errorf("a zero decision: forward %v, status %d", d.Forward(), d.Status())
	}
	d = authz.Decision{Verdict: authz.Allow}
	if d.Forward() {
		t.Error("an allow without a reason is forwarded")
	}
	d = authz.Decision{Reason: authz.OK}
	if d.Forward() || d.Status() != 503 {
		t.Error("a reason without an allow is forwarded, or has no status")
	}
	var none *authz.Table
	none.Decide(context.Background(), &authz.Request{}, time.Time{}, &d)
	if d.Reason != authz.NotReady || d.Forward() {
		t.Errorf("no table: %s", d.Reason)
	}
	authz.NewTable().Decide(context.Background(), &authz.Request{}, time.Time{}, &d)
	if d.Reason != authz.NoWebhook || d.Forward() {
		t.Errorf("an empty table and request: %s", d.Reason)
	}
	authz.NewTable().Decide(context.Background(), &authz.Request{Malformed: true}, time.Time{}, &d)
	if d.Reason != authz.MalformedRequest {
		t.Errorf("a malformed request: %s", d.Reason)
	}
}

func TestReasonTexts(t *testing.T) {
	seen := map[string]bool{}
	for i := range authz.ReasonCount {
		text, _ := authz.Reason(i).MarshalText()
		var back authz.Reason
		if err := back.UnmarshalText(text); err != nil || int(back) != i || seen[string(text)] {
			t.Errorf("%d: %q, %v", i, text, err)
		}
		seen[string(text)] = true
	}
	var r authz.Reason
	if r.UnmarshalText([]byte("fine")) == nil || authz.Reason(200).String() != "unset" || authz.Reason(200).Allows() {
		t.Error("an unknown reason is known")
	}
}
