package lint

import (
	"slices"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	"github.com/hookbastion/hookbastion/policy/verification"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

var onePhase = Rule{
	Rule: finding.Rule{
		ID: "HB070", Severity: finding.Warning,
		Title: "without Envoy's access log, nobody says what became of a delivery",
		Risk:  "The application fails once, the provider repeats the same bytes, and each repeat is refused as a copy: the delivery is lost.",
		Fix:   "Set replay.access_log: true, and add the access log to Envoy.",
		Link:  "replay.md#envoys-side",
	},
	each: func(p *pass, w *webhook) {
		if _, ok := checkOf[*replay.Check](w); ok && p.OnePhase {
			p.report(w.at.At("replay"), "the setting replay.access_log is false: a delivery that the application failed is refused when it comes again with the same bytes")
		}
	},
}

var neverAcknowledged = Rule{
	Rule: finding.Rule{
		ID: "HB071", Severity: finding.Warning,
		Title: "on_replay: ACKNOWLEDGE refuses copies, since without the whole access log none is known to have been taken",
		Risk:  "A provider that repeats what was taken already gets errors, and may switch the endpoint off.",
		Fix:   "Set replay.access_log: true, or say another on_replay.",
		Link:  "replay.md#what-a-copy-meets",
	},
	each: func(p *pass, w *webhook) {
		if c, ok := checkOf[*replay.Check](w); ok && (p.OnePhase || p.OnlyFailures) && c.OnCopy == replay.AcknowledgeCopy {
			setting := "false"
			if p.OnlyFailures {
				setting = "FAILURES"
			}
			p.report(w.at.At("replay", "on_replay"), "ACKNOWLEDGE refuses copies while the setting replay.access_log is "+setting+", since no delivery is known to have been taken")
		}
	},
}

var asksAgain = Rule{
	Rule: finding.Rule{
		ID: "HB072", Severity: finding.Info,
		Title: "the provider asks again on purpose with the same signed content, and the repeat is kept back",
		Risk:  "What the provider wanted with its second request does not happen.",
		Fix:   "Say replay.on_replay: MARK, which forwards it with a mark, or another one if this webhook gets none of that.",
		Link:  "replay.md#what-a-copy-meets",
	},
	each: func(p *pass, w *webhook) {
		if again := w.provider.GetAsksAgain(); again != "" && w.GetReplay().GetOnReplay() == 0 {
			p.report(w.proof(), w.provider.GetTitle()+" may ask again on purpose with the same signed content: "+again+
				" Say replay.on_replay: MARK, which forwards it with a mark, or another one if this webhook gets none of that")
		}
	},
}

var noSignedTime = Rule{
	Rule: finding.Rule{
		ID: "HB073", Severity: finding.Info, Else: "warning with a replay.window shorter than a day",
		Title: "no time is signed",
		Risk:  "Who captures a delivery keeps it until it is forgotten, and sends it once more: it passes.",
		Fix:   "Say with replay.window how long deliveries are remembered, and have the application know the ids of what it took.",
		Link:  "replay.md#what-a-copy-meets",
	},
	each: func(p *pass, w *webhook) {
		untimed := func(s *policyv1.Scheme) bool { return s.GetKind() != nil && provider.Untimed(s) }
		if !slices.ContainsFunc(w.schemes, untimed) {
			return
		}
		if window := w.GetReplay().GetWindow(); window != nil {
			if window.AsDuration() < verification.DefaultWindow {
				p.reportAs(finding.Warning, w.at.At("replay", "window").Error("no time is signed, and a delivery is forgotten after "+
					strictyaml.FormatDuration(window.AsDuration())+": a copy of it passes after that"))
			}
			return
		}
		passes := "passes after that"
		if !slices.ContainsFunc(w.schemes, func(s *policyv1.Scheme) bool { return untimed(s) && !s.GetJws().GetExpires() }) {
			passes = passes + " if its token is still good" //nolint:gosec // a sentence
		}
		p.report(w.proof(), "signs no time: a delivery is known for "+strictyaml.FormatDuration(verification.DefaultWindow)+
			", and a copy of it "+passes+"; say with replay.window how long, up to 744h, at the price that docs/replay.md names")
	},
}
