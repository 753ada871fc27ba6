package policytest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	testv1 "github.com/hookbastion/hookbastion/proto/hookbastion/test/v1"
)

// Runner runs cases, one after the other. It is not safe for concurrent use.
type Runner struct {
	settings *settings.Settings
	table    *authz.Table
	keys     []keys.Key
	store    *eachCase
	settler  *replay.Settler
	seen     map[string]map[authz.Reason]bool // by webhook
}

// eachCase is the store of the case that runs: the table is compiled once, and each case has
// a store of its own.
type eachCase struct{ replay.Store }

func (s *eachCase) begin() { s.Store = memory.New(memory.Config{MaxEntries: 10_000}) }

// NewRunner compiles the policies with these settings. What is wrong with them is the error.
func NewRunner(p *cli.Policies, s *settings.Settings) (*Runner, error) {
	r := &Runner{settings: s, store: &eachCase{}, seen: map[string]map[authz.Reason]bool{}}
	r.store.begin()
	r.settler = replay.NewSettler(r.store, s.Lease, replay.NewSealKey())
	r.settler.Pause = func(context.Context, time.Duration) bool { return true } // time is the test's
	if s.OnlyFailures {
		r.settler.ExpectFailures()
	}
	if r.settler.TwoPhase() {
		r.settler.ProvenBefore()
	}
	var err error
	r.table, r.keys, err = p.Rehearse(s, r.store, r.settler)
	return r, err
}

// Warnings names the secrets that serve would refuse, or takes although they are weak, and
// webhooks in SHADOW, whose denials are none for the application. Secrets of tenants are not
// looked at.
func (r *Runner) Warnings() []string {
	var all []string
	for _, hook := range r.table.Webhooks() {
		if hook.Shadow {
			all = append(all, "webhook "+hook.Name+": is in SHADOW, and what its tests call denied is forwarded")
		}
		for _, warning := range cli.WeakWarnings(r.keys, hook.Name, "") {
			all = append(all, "webhook "+hook.Name+": "+warning)
		}
	}
	return all
}

// Result is what became of a case.
type Result struct {
	File   string       `json:"file"`
	Line   int          `json:"line"`
	Column int          `json:"column"`
	Name   string       `json:"name"`
	Passed bool         `json:"passed"`
	Steps  []StepResult `json:"steps"`
	// Took is the time of the whole case.
	Took time.Duration `json:"-"`
}

// StepResult is what became of one request.
type StepResult struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Status  int    `json:"status"`
	Webhook string `json:"webhook"`
	KeyID   string `json:"key_id"`
	// Forwarded: the application got it, whatever the verdict.
	Forwarded bool `json:"-"`
	// Wrong is what differs from what was expected; empty if nothing does.
	Wrong []Difference `json:"wrong"`
	// Why is what the check that failed expected and found, where there is such a check.
	Why string `json:"why,omitempty"`
	// Problem is why there was no request, or none that could be decided.
	Problem string `json:"problem,omitempty"`
}

// Difference is one key of expect that is otherwise.
type Difference struct {
	Key    string `json:"key"`
	Want   string `json:"want"`
	Got    string `json:"got"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String writes "reason: want replayed, got ok".
func (d Difference) String() string { return fmt.Sprintf("%s: want %s, got %s", d.Key, d.Want, d.Got) }

// Failed reports whether the step went otherwise than expected.
func (s *StepResult) Failed() bool { return s.Problem != "" || len(s.Wrong) > 0 }

// Run runs the cases of a file whose names wanted takes. Those without a time of their own
// take place now.
func (r *Runner) Run(f *File, now time.Time, wanted func(name string) bool) []Result {
	var results []Result
	for i, test := range f.tests.GetTests() {
		if wanted(test.GetName()) {
			results = append(results, r.run(f, i, test, f.nowOf(test, now)))
		}
	}
	return results
}

func (r *Runner) run(f *File, i int, test *testv1.Case, now time.Time) Result {
	begin := time.Now()
	at := f.doc.At("tests", i)
	result := Result{File: f.Name, Name: test.GetName(), Passed: true, Steps: []StepResult{}}
	result.Line, result.Column = f.doc.Place(at.Path())
	r.store.begin()
	var first *sent
	for j, step := range test.GetSteps() {
		now = now.Add(step.GetAfter().AsDuration())
		s, err := r.request(f, step, first, now)
		if first == nil {
			first = s
		}
		var done StepResult
		if err == nil {
			done, err = r.step(f, step, s, at.At("steps", j), now)
		}
		if err != nil {
			done.Problem = err.Error()
		}
		done.Line, done.Column = f.doc.Place(at.At("steps", j).Path())
		if done.Wrong == nil {
			done.Wrong = []Difference{}
		}
		result.Steps = append(result.Steps, done)
		if done.Failed() {
			result.Passed = false
			break // what follows stands on it
		}
	}
	result.Took = time.Since(begin)
	return result
}

// step sends one request, and settles what became of it.
func (r *Runner) step(f *File, step *testv1.Step, s *sent, at strictyaml.Place, now time.Time) (StepResult, error) {
	req, err := s.asRequest(f, step)
	if err != nil {
		return StepResult{}, err
	}
	cli.AsEnvoyShows(r.table, req, r.settings.Mapping)
	var d authz.Decision
	explanation := &authz.Explanation{}
	r.table.DecideExplained(context.Background(), req, now, &d, explanation)
	if err := r.settle(&d, step.GetUpstream(), now); err != nil {
		return StepResult{}, err
	}
	done := StepResult{Verdict: d.Verdict.String(), Reason: d.Reason.String(), Status: http.StatusOK, KeyID: d.KeyID, Forwarded: d.Forward()}
	if !d.Forward() {
		done.Status = d.Status()
	}
	if d.Webhook != nil {
		done.Webhook = d.Webhook.Name
		r.note(d.Webhook.Name, d.Reason)
	}
	if found := explanation.Findings; len(found) > 0 && !d.Reason.Allows() {
		if last := found[len(found)-1]; last.Expected != "" {
			done.Why = fmt.Sprintf("%s: expected %s, found %s", last.Check, last.Expected, last.Found)
		}
	}
	done.Wrong = differences(step.GetExpect(), &d, &done, at.At("expect"))
	return done, nil
}

// settle tells what the application made of a request, as the access log does.
func (r *Runner) settle(d *authz.Decision, upstream testv1.Step_Upstream, now time.Time) error {
	seal := r.settler.Seal(d.Reservation)
	if !d.Forward() || seal == "" {
		return nil
	}
	result := map[testv1.Step_Upstream]replay.Result{
		testv1.Step_UPSTREAM_UNSPECIFIED: replay.ResultDelivered, testv1.Step_DELIVERED: replay.ResultDelivered, testv1.Step_FAILED: replay.ResultFailed,
		testv1.Step_REFUSED: replay.ResultClientError, testv1.Step_UNKNOWN: replay.ResultUnknown, testv1.Step_PENDING: replay.ResultNone,
	}[upstream]
	if result == replay.ResultDelivered && r.settings.OnlyFailures {
		return nil // nothing is logged of it
	}
	if got := r.settler.Settle(context.Background(), []byte(seal), result, now); result != replay.ResultNone && got != replay.Settled {
		return fmt.Errorf("what became of the delivery could not be settled")
	}
	return nil
}

// differences compares what became of a request with what was expected.
func differences(e *testv1.Expect, d *authz.Decision, done *StepResult, at strictyaml.Place) []Difference {
	var all []Difference
	compare := func(key, want, got string) {
		if want != got {
			line, column := at.Document().Place(at.At(key).Path())
			all = append(all, Difference{key, want, got, line, column})
		}
	}
	compare("verdict", e.GetVerdict().String(), strings.ToUpper(done.Verdict))
	compare("reason", e.GetReason(), done.Reason)
	if e.GetStatus() != 0 {
		compare("status", fmt.Sprint(e.GetStatus()), fmt.Sprint(done.Status))
	}
	if e.GetWebhook() != "" {
		compare("webhook", e.GetWebhook(), done.Webhook)
	}
	if e.GetKeyId() != "" {
		compare("key_id", e.GetKeyId(), done.KeyID)
	}
	if e.GetVerified() != 0 {
		compare("verified", e.GetVerified().String(), verified(d).String())
	}
	if e.GetReplay() != 0 {
		compare("replay", e.GetReplay().String(), marked(d).String())
	}
	return all
}

// verified is what the application is told.
func verified(d *authz.Decision) testv1.Expect_Verified {
	if d.Verdict != authz.Allow || d.Webhook == nil || d.Webhook.Shadow {
		return testv1.Expect_UNVERIFIED
	}
	switch d.Proof {
	case authz.ProofSignature:
		return testv1.Expect_SIGNATURE
	case authz.ProofPartial:
		return testv1.Expect_PARTIAL
	case authz.ProofToken:
		return testv1.Expect_TOKEN
	default:
		return testv1.Expect_UNVERIFIED
	}
}

func marked(d *authz.Decision) testv1.Expect_Replay {
	switch d.Mark {
	case authz.MarkCopy:
		return testv1.Expect_COPY
	case authz.MarkPossible:
		return testv1.Expect_POSSIBLE
	default:
		return testv1.Expect_FIRST
	}
}

func (r *Runner) note(webhook string, reason authz.Reason) {
	if r.seen[webhook] == nil {
		r.seen[webhook] = map[authz.Reason]bool{}
	}
	r.seen[webhook][reason] = true
}

// Covered is what the cases have met of one webhook.
type Covered struct {
	Webhook string   `json:"webhook"`
	Met     []string `json:"met"`
	// Missing are reasons that its checks have and no case has met: those that a test can
	// bring about without a network.
	Missing []string `json:"missing"`
}

// Coverage lists all webhooks of the policies, in order.
func (r *Runner) Coverage() []Covered {
	all := []Covered{}
	for _, hook := range r.table.Webhooks() {
		c := Covered{Webhook: hook.Name, Met: []string{}, Missing: []string{}}
		for reason := range authz.Reason(authz.ReasonCount) {
			if r.seen[hook.Name][reason] {
				c.Met = append(c.Met, reason.String())
			}
		}
		for _, reason := range expected(hook) {
			if !r.seen[hook.Name][reason] {
				c.Missing = append(c.Missing, reason.String())
			}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Covered) int { return strings.Compare(a.Webhook, b.Webhook) })
	return all
}

// expected are the reasons that a webhook's tests should meet.
func expected(hook *authz.Webhook) []authz.Reason {
	reasons := []authz.Reason{authz.OK}
	if hook.Unverified != "" {
		reasons = []authz.Reason{authz.Unprotected}
	}
	for _, check := range hook.Chain {
		switch check.Stage() {
		case authz.StageLimits:
			if limits, ok := check.(*authz.Limits); ok && len(limits.ContentTypes) > 0 {
				reasons = append(reasons, authz.ContentType)
			}
		case authz.StageSource:
			reasons = append(reasons, authz.SourceDenied)
		case authz.StageTransport:
			reasons = append(reasons, authz.TLSRequired)
		case authz.StageTenant:
			reasons = append(reasons, authz.TenantUnknown)
		case authz.StageToken:
			reasons = append(reasons, authz.TokenMissing, authz.TokenInvalid)
		case authz.StageSignature:
			reasons = append(reasons, authz.SignatureMissing, authz.SignatureInvalid)
		case authz.StageFreshness:
			reasons = append(reasons, authz.TimestampTooOld)
		case authz.StageConditions:
			reasons = append(reasons, authz.ConditionFailed)
		case authz.StageReplay:
			if c, ok := check.(*replay.Check); !ok || c.OnCopy != replay.MarkCopies {
				reasons = append(reasons, authz.Replayed)
			}
		default: // handshakes are the provider's matter
		}
	}
	return reasons
}
