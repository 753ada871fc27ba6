package lint

import (
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Bounds of what is usual. Standard Webhooks and the providers' libraries take five
// minutes; an hour is more than clocks and queues need.
const (
	maxTolerance = time.Hour
	maxFuture    = 10 * time.Minute
)

// elseItsOwn is the other severity of rules about what a provider may have chosen.
const elseItsOwn = "info where it is the provider's own"

// reportChosen reports what is the rule's severity where the policy chose it.
func (p *pass) reportChosen(chosen bool, at strictyaml.Place, message string) {
	severity := p.rule.Severity
	if !chosen {
		severity = finding.Info
	}
	p.reportAs(severity, at.Error(message))
}

// stampPlace is where the tolerance or future of a webhook stands, and whether the policy
// chose it.
func (w *webhook) stampPlace(key string, inFreshness, inScheme bool) (at strictyaml.Place, chosen bool) {
	switch {
	case inFreshness:
		return w.at.At("freshness", key), true
	case w.own() && inScheme:
		return w.proof(), true
	default:
		return w.proof(), false
	}
}

var longTolerance = Rule{
	Rule: finding.Rule{
		ID: "HB074", Severity: finding.Warning, Else: elseItsOwn,
		Title: "a delivery may be old",
		Risk:  "Whoever captures a delivery and keeps the original from arriving has that long to choose the moment: an order that was cancelled since, a balance that was another. And copies must be remembered for as long.",
		Fix:   "Leave freshness out for what the provider names, or say some minutes: tolerance: 300s.",
		Link:  "policy.md#freshness",
	},
	each: func(p *pass, w *webhook) {
		check, ok := checkOf[*replay.Freshness](w)
		if !ok || check.Tolerance <= maxTolerance {
			return
		}
		at, chosen := w.stampPlace("tolerance", w.GetFreshness().GetTolerance() != nil, true)
		p.reportChosen(chosen, at, "a delivery may have been signed "+strictyaml.FormatDuration(check.Tolerance)+" ago; five minutes are usual")
	},
}

var farFuture = Rule{
	Rule: finding.Rule{
		ID: "HB075", Severity: finding.Warning, Else: elseItsOwn,
		Title: "a delivery may be signed far ahead of our clock",
		Risk:  "A delivery with a time in the future is good for that much longer: it can be kept, and sent when it suits.",
		Fix:   "Leave future out, or say a minute or two, by which clocks may differ.",
		Link:  "policy.md#freshness",
	},
	each: func(p *pass, w *webhook) {
		check, ok := checkOf[*replay.Freshness](w)
		if !ok || check.Future <= maxFuture {
			return
		}
		at, chosen := w.stampPlace("future", w.GetFreshness().GetFuture() != nil, true)
		p.reportChosen(chosen, at, "a delivery may be signed "+strictyaml.FormatDuration(check.Future)+" ahead; a minute is usual")
	},
}

// defaultRetries is how long a sender may repeat that nobody has said anything of: a day,
// as most do.
const defaultRetries = 24 * time.Hour

// sameBytes reports whether a repeat may come with the bytes of the first time.
func (w *webhook) sameBytes() bool {
	retry := w.GetScheme().GetRetry()
	if w.provider != nil {
		retry = w.provider.GetRetry()
	}
	return retry != policyv1.Provider_RESIGNED && retry != policyv1.Provider_NONE
}

var shortWindow = Rule{
	Rule: finding.Rule{
		ID: "HB076", Severity: finding.Warning,
		Title: "repeats come for longer than deliveries are remembered or accepted",
		Risk:  "With a window that is too short, a repeat of what was taken passes as new, and the payment is booked twice. With a tolerance that is too short, the last repeats of what failed are refused, and the event is lost.",
		Fix:   "Make replay.window, or freshness.tolerance where the time is signed once, as long as the sender repeats.",
		Link:  "replay.md#what-a-copy-meets",
	},
	each: func(p *pass, w *webhook) {
		check, ok := checkOf[*replay.Check](w)
		if !ok || !w.sameBytes() {
			return
		}
		retries, known := w.provider.GetRefusal().GetRepeatsFor().AsDuration(), w.provider.GetRefusal().GetRepeatsFor() != nil
		who := w.provider.GetTitle() + " repeats for " + strictyaml.FormatDuration(retries)
		if !known {
			retries, who = defaultRetries, "the sender may repeat for a day"
		}
		switch {
		case w.GetReplay().GetWindow() != nil && check.Tolerance == 0 && check.Window < retries:
			p.report(w.at.At("replay", "window"), "a delivery is forgotten after "+strictyaml.FormatDuration(check.Window)+", and "+who+" with the same bytes: such a repeat passes as new")
		case w.GetFreshness().GetTolerance() != nil && known && w.provider.GetRetry() == policyv1.Provider_IDENTICAL && check.Tolerance > 0 && check.Tolerance < retries:
			p.report(w.at.At("freshness", "tolerance"), "a delivery may be "+strictyaml.FormatDuration(check.Tolerance)+" old, and "+who+" with the time of the first: later repeats are refused")
		}
	},
}

var copiesForwarded = Rule{
	Rule: finding.Rule{
		ID: "HB077", Severity: finding.Info,
		Title: "copies are forwarded with a mark",
		Risk:  "An application that does not read x-hookbastion-replay takes each copy for a new delivery: whoever has captured one has it booked as often as he likes.",
		Fix:   "Make sure that the application looks at the mark, or leave on_replay out.",
		Link:  "replay.md#what-a-copy-meets",
	},
	each: func(p *pass, w *webhook) {
		if w.GetReplay().GetOnReplay() == policyv1.Replay_MARK && w.provider.GetAsksAgain() == "" {
			p.report(w.at.At("replay", "on_replay"), "MARK forwards copies, and only the application keeps them from counting twice")
		}
	},
}

var neverReleased = Rule{
	Rule: finding.Rule{
		ID: "HB078", Severity: finding.Warning,
		Title: "a delivery that the application failed may not come again",
		Risk:  "The application restarts, one delivery fails, and the sender repeats the same bytes: each repeat is taken for a copy, and the event is lost.",
		Fix:   "Leave release and on_unknown out where the sender repeats the same bytes.",
		Link:  "policy.md#replay",
	},
	each: func(p *pass, w *webhook) {
		if w.GetReplay().GetRelease() == policyv1.Replay_NEVER && w.sameBytes() {
			p.report(w.at.At("replay", "release"), "NEVER refuses the repeat of a delivery that failed, and the sender repeats the same bytes")
		}
	},
}

var copiesReleased = Rule{
	Rule: finding.Rule{
		ID: "HB079", Severity: finding.Info,
		Title: "a copy may pass where nobody knows what became of the first delivery, or after a refusal",
		Risk:  "A sender signs each repeat anew, so that the same bytes are a copy. Whoever makes the application answer 4xx, or ends the connection before the answer, sends the same delivery once more.",
		Fix:   "Leave on_unknown and client_errors out, unless the sender repeats the same bytes.",
		Link:  "policy.md#replay",
	},
	each: func(p *pass, w *webhook) {
		for key, outcome := range map[string]policyv1.Replay_Outcome{"on_unknown": w.GetReplay().GetOnUnknown(), "client_errors": w.GetReplay().GetClientErrors()} {
			if outcome == policyv1.Replay_RELEASE && !w.sameBytes() {
				p.report(w.at.At("replay", key), "RELEASE lets the same bytes pass again, and the sender signs each repeat anew")
			}
		}
	},
}

var idleWindow = Rule{
	Rule: finding.Rule{
		ID: "HB133", Severity: finding.Info,
		Title: "replay.window has no effect",
		Risk:  "Whoever wrote it counts on copies being known for as long. A delivery with a signed time is known until that is too old, and no longer.",
		Fix:   "Remove it. How old a delivery may be says freshness.tolerance.",
		Link:  "policy.md#replay",
	},
	each: func(p *pass, w *webhook) {
		untimed := func(s *policyv1.Scheme) bool { _, timed := s.Stamp(); return !timed }
		if check, ok := checkOf[*replay.Check](w); ok && check.Tolerance > 0 && w.GetReplay().GetWindow() != nil && !slices.ContainsFunc(w.schemes, untimed) {
			p.report(w.at.At("replay", "window"), "has no effect: the time is signed, and copies are known until it is "+strictyaml.FormatDuration(check.Tolerance)+" old")
			p.removable(w.at.At("replay", "window").Path().String())
		}
	},
}

var shortTolerance = Rule{
	Rule: finding.Rule{
		ID: "HB134", Severity: finding.Warning, Else: elseItsOwn,
		Title: "a delivery may hardly be on its way",
		Risk:  "Clocks differ by seconds, and a busy sender or network holds a delivery up for some more: valid ones are refused in the hours in which it matters, and the provider switches the endpoint off.",
		Fix:   "Leave tolerance out, or say at least a minute.",
		Link:  "policy.md#freshness",
	},
	each: func(p *pass, w *webhook) {
		const least = 30 * time.Second
		if check, ok := checkOf[*replay.Freshness](w); ok && check.Tolerance < least {
			at, chosen := w.stampPlace("tolerance", w.GetFreshness().GetTolerance() != nil, true)
			p.reportChosen(chosen, at, "a delivery may have been signed "+strictyaml.FormatDuration(check.Tolerance)+" ago at most; clocks differ by as much")
		}
	},
}
