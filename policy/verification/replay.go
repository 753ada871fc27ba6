package verification

import (
	"cmp"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// retry says how the webhook's sender repeats a delivery.
func (c *Compiler) retry(w *policyv1.Webhook) policyv1.Provider_Retry {
	if w.GetProvider() == "" {
		return cmp.Or(w.GetScheme().GetRetry(), policyv1.Provider_UNKNOWN)
	}
	p, _ := provider.Get(w.GetProvider()) // an error was reported with its schemes
	return p.GetRetry()
}

// replayRules returns what happens to copies and what outcomes mean. docs/replay.md
// says why the defaults are what they are.
func replayRules(r *policyv1.Replay, retry policyv1.Provider_Retry, timed bool) (replay.OnCopy, replay.Rules) {
	// Without a signed time an honest retry cannot look different.
	identical := retry == policyv1.Provider_IDENTICAL || !timed && retry != policyv1.Provider_RESIGNED
	rules := replay.Rules{Failure: replay.Undelivered, ClientError: replay.Taken, Unknown: replay.Taken}
	onCopy := replay.DenyCopy
	if identical {
		rules.ClientError, rules.Unknown = replay.Undelivered, replay.Unsure
	}
	switch cmp.Or(r.GetOnReplay(), provider.OnCopy(retry)) {
	case policyv1.Replay_MARK:
		onCopy = replay.MarkCopies
	case policyv1.Replay_ACKNOWLEDGE:
		onCopy = replay.AcknowledgeCopy
	default:
	}
	if r.GetRelease() == policyv1.Replay_NEVER {
		rules.Failure, rules.ClientError = replay.Taken, replay.Taken
	}
	switch r.GetOnUnknown() {
	case policyv1.Replay_TAKEN:
		rules.Unknown, rules.ClientError = replay.Taken, replay.Taken
	case policyv1.Replay_RELEASE:
		rules.Unknown, rules.ClientError = replay.Unsure, replay.Undelivered
	default:
	}
	switch r.GetClientErrors() {
	case policyv1.Replay_TAKEN:
		rules.ClientError = replay.Taken
	case policyv1.Replay_RELEASE:
		rules.ClientError = replay.Undelivered
	default:
	}
	return onCopy, rules
}
