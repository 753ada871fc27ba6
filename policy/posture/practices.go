package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// State says whether a practice holds.
type State string

// The states, the best first. Unknown is as good as Partly for a grade.
const (
	Holds   State = "holds"
	Partly  State = "partly"
	Unknown State = "unknown"
	Fails   State = "fails"
)

var states = []State{Holds, Unknown, Partly, Fails} // from the best, for what lowers what

// Practice is one of the five, for one webhook.
type Practice struct {
	Name  string   `json:"name"`
	State State    `json:"state"`
	Why   []string `json:"why"`
}

// say adds a line, and lowers the state to s if it is better.
func (p *Practice) say(s State, format string, args ...any) {
	if slices.Index(states, s) > slices.Index(states, p.State) {
		p.State = s
	}
	p.Why = append(p.Why, fmt.Sprintf(format, args...))
}

// The practices.
const (
	Authentication = "authentication"
	Rotation       = "rotation"
	Encryption     = "encryption"
	Monitoring     = "monitoring"
	Knowledge      = "knowledge"
)

// Practices are the names of all, in the order of reports.
func Practices() []string {
	return []string{Authentication, Rotation, Encryption, Monitoring, Knowledge}
}

// Grade is from A to F, without E.
type Grade string

// The grades.
const (
	GradeA Grade = "A"
	GradeB Grade = "B"
	GradeC Grade = "C"
	GradeD Grade = "D"
	GradeF Grade = "F"
)

// Rule is what a grade stands for.
type Rule struct {
	Grade Grade
	Means string
}

// Rules are those of all grades: the first that fits counts.
func Rules() []Rule {
	return []Rule{
		{GradeF, "authentication fails: requests pass that nobody has verified, or that a guess would verify"},
		{GradeA, "all five practices hold"},
		{GradeB, "authentication holds, and no practice fails"},
		{GradeC, "authentication holds and one practice fails, or authentication holds partly and none fails"},
		{GradeD, "all others"},
	}
}

// gradeOf follows Rules.
func gradeOf(practices []Practice) Grade {
	holding, failing := 0, 0
	for _, p := range practices {
		switch p.State {
		case Holds:
			holding++
		case Partly, Unknown:
		default:
			failing++
		}
	}
	first := practices[0].State // authentication
	switch {
	case first == Fails:
		return GradeF
	case holding == len(practices):
		return GradeA
	case first == Holds && failing == 0:
		return GradeB
	case first == Holds && failing == 1, first != Holds && failing == 0:
		return GradeC
	default:
		return GradeD
	}
}

// Ages of secrets, in days.
const (
	// DueDays is from when on a secret should be rotated, as `keys` advises.
	DueDays = 90
	// OldDays is from when on it was forgotten.
	OldDays = 365
)

const day = 24 * time.Hour

// judge judges the practices of a webhook, and gives the grade.
func (r *Report) judge(hook *Webhook, w *policyv1.Webhook, in *Input) {
	hook.Practices = []Practice{
		hook.authentication(w), hook.rotation(in.Now), hook.encryption(w), monitoring(in), hook.knowledge(w),
	}
	for i := range hook.Practices {
		p := &hook.Practices[i]
		p.lower(hook.Findings)
		if p.Name == Monitoring { // the settings are those of all webhooks
			p.lower(r.Findings)
		}
	}
	hook.Grade = gradeOf(hook.Practices)
	r.Grade = max(r.Grade, hook.Grade) // F is the worst, and the last letter
}

// lower counts findings against a practice. Those that the policy suppresses count as
// well: to accept a risk does not make it smaller.
func (p *Practice) lower(found []Finding) {
	for i := range found {
		f := &found[i]
		if Topic(f.ID) != p.Name {
			continue
		}
		switch f.Severity {
		case finding.Error:
			p.say(Fails, "%s: %s", f.ID, f.Message)
		case finding.Warning:
			p.say(Partly, "%s: %s", f.ID, f.Message)
		case finding.Info: // right for some
		}
	}
}

func (hook *Webhook) authentication(w *policyv1.Webhook) Practice {
	p := Practice{Name: Authentication, State: Holds}
	how := strings.Join(hook.Algorithms, "; ")
	switch {
	case hook.Proof == "certificate":
		p.say(Partly, "a client certificate proves who sends, and nothing of what is sent")
	case w.GetUnverified() != nil:
		p.say(Fails, "takes requests without any proof: %s", w.GetUnverified().GetReason())
	case hook.Proof == "signature":
		p.say(Holds, "each delivery is signed, with its body: %s", how)
	case hook.Proof == "partial":
		p.say(Partly, "each delivery is signed, and the body is not: %s", how)
	case hook.Proof == "token":
		p.say(Partly, "a token proves who sends, and nothing of what is sent: %s", how)
	default:
		p.say(Fails, "nothing in the delivery proves it")
	}
	if hook.Shadow {
		p.say(Fails, "is in SHADOW: what it would refuse is forwarded")
	}
	if why := hook.weakAlgorithm(); why != "" {
		p.say(Partly, "%s", why)
	}
	if hook.sourced {
		p.say(Holds, "only some networks may deliver")
	}
	return p
}

// weakAlgorithm says what is weak in how a delivery is signed, also where its provider has
// nothing better; empty if nothing.
func (hook *Webhook) weakAlgorithm() string {
	for _, a := range hook.Algorithms {
		if strings.Contains(a, "SHA1") || strings.Contains(a, "MD5") || strings.Contains(a, "without HMAC") {
			return "a weak algorithm: " + a
		}
	}
	for i := range hook.Findings { // whatever their severity
		if id := hook.Findings[i].ID; weakAlgorithms.has(id) {
			return "a weak algorithm (" + id + ")"
		}
	}
	return ""
}

// inUseSince is when a key began to be used, as far as is known.
func (k *Key) inUseSince() *time.Time {
	if k.NotBefore != nil {
		return k.NotBefore
	}
	return k.Modified
}

func (k *Key) public() bool { return k.Fetched || k.Strength == "public" }

func (k *Key) over(now time.Time) bool { return k.NotAfter != nil && !k.NotAfter.After(now) }

// aged returns keys with their ages at a time.
func aged(keys []Key, now time.Time) []Key {
	list := slices.Clone(keys)
	for i := range list {
		if since := list[i].inUseSince(); since != nil && !list[i].public() {
			days := max(0, int(now.Sub(*since)/day))
			list[i].AgeDays = &days
		}
	}
	if list == nil {
		return []Key{}
	}
	return list
}

func (hook *Webhook) rotation(now time.Time) Practice {
	p := Practice{Name: Rotation, State: Holds}
	seen := false
	for i := range hook.Keys {
		k := &hook.Keys[i]
		if k.over(now) {
			continue
		}
		seen = true
		what := k.Kind
		if k.ID != "" {
			what += " " + k.ID
		}
		switch {
		case k.public():
			p.say(Holds, "%s is a public key, which the sender changes", what)
		case k.NotBefore != nil && k.NotBefore.After(now):
			p.say(Holds, "%s is the next one, from %s on", what, k.NotBefore.UTC().Format(time.DateOnly))
		case k.AgeDays == nil:
			p.say(Unknown, "%s: nobody can tell how old it is", what)
		case *k.AgeDays > OldDays:
			p.say(Fails, "%s is in use for %d days", what, *k.AgeDays)
		case k.NotAfter != nil && k.NotAfter.Sub(now) <= OldDays*day:
			p.say(Holds, "%s is in use for %d days, and ends on %s", what, *k.AgeDays, k.NotAfter.UTC().Format(time.DateOnly))
		case *k.AgeDays > DueDays:
			p.say(Partly, "%s is in use for %d days, and has no end within a year", what, *k.AgeDays)
		default:
			p.say(Holds, "%s is in use for %d days", what, *k.AgeDays)
		}
	}
	if !seen {
		p.say(Unknown, "there is no key in use")
	}
	return p
}

func (hook *Webhook) encryption(w *policyv1.Webhook) Practice {
	p := Practice{Name: Encryption, State: Holds}
	plain := strings.HasPrefix(strings.ToLower(w.GetPublicUrl()), "http://")
	switch {
	case plain:
		p.say(Fails, "the sender's URL is plain HTTP")
	case hook.tls:
		p.say(Holds, "a delivery without TLS is refused")
	case hook.Proof == "token":
		p.say(Fails, "the policy does not ask for TLS, and the token is sent along: whoever sees it can use it")
	default:
		p.say(Partly, "the policy does not ask for TLS: what is delivered may be read on its way")
	}
	return p
}

func monitoring(in *Input) Practice {
	p := Practice{Name: Monitoring, State: Holds}
	if in.Settings == nil && in.Live == nil {
		p.say(Unknown, "nobody has said which settings the service has, and none was asked")
		return p
	}
	if in.Settings != nil {
		p.say(Holds, "each decision has a record with time, webhook, key, source, verdict and reason; denials up to a bound a second")
	} else {
		p.say(Unknown, "nobody has said which settings the service has: some decisions may get no record")
	}
	switch {
	case in.Live != nil && in.Live.Monitored, in.Live == nil && in.Settings.Monitored:
		p.say(Holds, "what is unusual is looked for all the time")
	default:
		p.say(Partly, "the monitor is off: nobody looks for what is unusual")
	}
	return p
}

func (hook *Webhook) knowledge(w *policyv1.Webhook) Practice {
	p := Practice{Name: Knowledge, State: Holds}
	entry, err := provider.Get(w.GetProvider())
	switch {
	case w.GetUnverified() != nil:
		p.say(Partly, "why nothing of a delivery is verified is said in the policy")
	case w.GetProvider() == "" || err != nil:
		p.say(Holds, "what the sender signs is described in the policy itself")
	case entry.GetConfidence() == policyv1.Provider_COMMUNITY:
		p.say(Partly, "what %s signs was read in others' code, not in its own documentation", w.GetProvider())
	default:
		p.say(Holds, "what %s signs was read in its own documentation", w.GetProvider())
	}
	for i := range hook.Findings {
		if f := &hook.Findings[i]; f.Suppressed != "" {
			p.say(Holds, "%s is known and accepted: %s", f.ID, f.Suppressed)
		}
	}
	return p
}
