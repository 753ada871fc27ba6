package posture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/policy/finding"
)

// Control is one requirement of a published standard.
type Control struct {
	Standard string `json:"standard"`
	ID       string `json:"id"`
	// Asks is what it asks for, in our words.
	Asks string `json:"asks"`
	// Evidence says that there is some; without, it is not covered.
	Evidence bool `json:"evidence"`
	// Says is the evidence, or why there is none.
	Says []string `json:"says"`
	// Left is what it asks for besides, and nothing here can see.
	Left string `json:"left"`
}

// Status is what a report says of a control.
func (c *Control) Status() string {
	if c.Evidence {
		return "evidence for"
	}
	return "not covered"
}

// Controls are all that are looked at, without evidence.
func Controls() []Control {
	var all []Control
	for i := range controls {
		all = append(all, controls[i].Control)
	}
	return all
}

// checked is a control and how evidence for it is looked for.
type checked struct {
	Control
	check func(*judgement) (bool, []string)
}

// judgement is what controls look at.
type judgement struct {
	*Report
	settings *Settings
}

func (r *Report) control(s *Settings) {
	j := &judgement{r, s}
	for i := range controls {
		c := controls[i].Control
		c.Evidence, c.Says = controls[i].check(j)
		r.Controls = append(r.Controls, c)
	}
}

// The standards.
const (
	pci  = "PCI DSS 4.0"
	iso  = "ISO/IEC 27001:2022"
	soc  = "SOC 2"
	nist = "NIST SP 800-53 r5"
	asvs = "OWASP ASVS 5.0"
)

var controls = []checked{
	{Control{Standard: pci, ID: "1.2.5", Asks: "Services, protocols and ports that are open are known, approved and needed.",
		Left: "who approved them, and what else is open"}, (*judgement).routes},
	{Control{Standard: pci, ID: "6.4.2", Asks: "Something automatic in front of public web applications finds and stops attacks all the time.",
		Left: "attacks of other kinds than forged, altered, old and repeated deliveries"}, (*judgement).enforced},
	{Control{Standard: pci, ID: "8.6.3", Asks: "Passwords of applications and systems are strong, and changed as often as a risk analysis says.",
		Left: "the risk analysis; 365 days is the bound here"}, (*judgement).strongAndYoung},
	{Control{Standard: pci, ID: "10.2.1.4", Asks: "Logs have all invalid attempts at access.",
		Left: "where the records are kept, and denials beyond the bound of records a second, which are counted only"}, (*judgement).recorded},
	{Control{Standard: pci, ID: "10.2.2", Asks: "Each entry of a log says who, what, when, with what outcome, from where and at what.",
		Left: "the logs of other systems"}, (*judgement).recorded},
	{Control{Standard: pci, ID: "10.4.1.1", Asks: "Logs are reviewed by automatic means.",
		Left: "who is told, and what he does"}, (*judgement).monitored},
	{Control{Standard: pci, ID: "10.6.1", Asks: "Clocks are kept in time with one another.",
		Left: "how clocks are set"}, func(*judgement) (bool, []string) {
		return false, []string{"nothing here sees how a clock is set; the monitor tells when signed times move against it"}
	}},
	{Control{Standard: pci, ID: "12.3.3", Asks: "Cryptographic suites and protocols in use are listed and reviewed at least once a year.",
		Left: "the review, the plan for changes, and the suites of TLS, which are Envoy's"}, (*judgement).inventory},
	{Control{Standard: iso, ID: "A.5.14", Asks: "There are rules for the transfer of information, and they are kept to.",
		Left: "agreements with senders"}, (*judgement).encrypted},
	{Control{Standard: iso, ID: "A.5.17", Asks: "Authentication information is given out and managed in a controlled way.",
		Left: "how secrets came to where they are"}, (*judgement).ownSecrets},
	{Control{Standard: iso, ID: "A.8.16", Asks: "Systems are watched for unusual behaviour, and what is found is looked into.",
		Left: "what is done about what is found"}, (*judgement).monitored},
	{Control{Standard: iso, ID: "A.8.24", Asks: "There are rules for cryptography and its keys, and they are kept to.",
		Left: "cryptography elsewhere"}, (*judgement).soundCryptography},
	{Control{Standard: soc, ID: "CC6.6", Asks: "Access from outside the boundary is protected against.",
		Left: "other ways in"}, (*judgement).enforced},
	{Control{Standard: soc, ID: "CC7.2", Asks: "Components are watched for anomalies, and these are judged.",
		Left: "the judgement of people"}, (*judgement).monitored},
	{Control{Standard: soc, ID: "CC8.1", Asks: "Changes are approved, tested and put in place under control.",
		Left: "who approved the change"}, (*judgement).samePolicy},
	{Control{Standard: nist, ID: "IA-9", Asks: "Services are identified and authenticated before they are talked to.",
		Left: "services that do not come through this gateway"}, (*judgement).authenticated},
	{Control{Standard: nist, ID: "SC-12", Asks: "Keys are established and managed over their life.",
		Left: "how keys are made and destroyed"}, (*judgement).rotated},
	{Control{Standard: nist, ID: "AU-3", Asks: "Audit records say what, when, where, from where, with what outcome and by whom.",
		Left: "the records of other systems"}, (*judgement).recorded},
	{Control{Standard: asvs, ID: "4.1.5", Asks: "Sensitive requests are signed one by one, on top of what protects the transport.",
		Left: "which requests are sensitive"}, (*judgement).signedEach},
	{Control{Standard: asvs, ID: "13.3.4", Asks: "Secrets are set to expire, and rotated, as the documentation says.",
		Left: "the documentation"}, (*judgement).expiring},
}

// shownNames is how many webhooks a line names.
const shownNames = 5

// every asks each webhook why not; an empty answer is good.
func (j *judgement) every(good string, whyNot func(*Webhook) string) (bool, []string) {
	by, order := map[string][]string{}, []string{}
	for i := range j.Webhooks {
		hook := &j.Webhooks[i]
		why := whyNot(hook)
		if why == "" {
			continue
		}
		if by[why] == nil {
			order = append(order, why)
		}
		by[why] = append(by[why], hook.Name)
	}
	if len(order) == 0 {
		return true, []string{fmt.Sprintf("webhooks: %d of %d: %s", len(j.Webhooks), len(j.Webhooks), good)}
	}
	var lines []string
	for _, why := range order {
		names := by[why]
		line := why + ": " + strings.Join(names[:min(len(names), shownNames)], ", ")
		if more := len(names) - shownNames; more > 0 {
			line += fmt.Sprintf(" and %d more", more)
		}
		lines = append(lines, line)
	}
	return false, lines
}

func (hook *Webhook) practice(name string) *Practice {
	i := slices.IndexFunc(hook.Practices, func(p Practice) bool { return p.Name == name })
	return &hook.Practices[i]
}

// finds returns the id of the first finding at or above a warning by one of the rules.
func (hook *Webhook) finds(rules numbers) string {
	for i := range hook.Findings {
		if f := &hook.Findings[i]; f.Severity.AtLeast(finding.Warning) && rules.has(f.ID) {
			return f.ID
		}
	}
	return ""
}

func (j *judgement) routes() (bool, []string) {
	return j.every("each says its paths and methods, all else is refused, and nothing falls through to one that verifies less", func(w *Webhook) string {
		if id := w.finds(openWays); id != "" {
			return "an unverified way lies open (" + id + ")"
		}
		return ""
	})
}

// enforced: nothing passes unverified.
func (j *judgement) enforced() (bool, []string) {
	return j.every("each delivery is verified, and refused if that fails", func(w *Webhook) string {
		if w.practice(Authentication).State == Fails {
			return "authentication fails"
		}
		return ""
	})
}

func (j *judgement) authenticated() (bool, []string) {
	return j.every("each sender is authenticated by a signature over what it sends", func(w *Webhook) string {
		if s := w.practice(Authentication).State; s != Holds {
			return "authentication: " + string(s)
		}
		return ""
	})
}

// secrets calls f with each secret in use, until one is not good.
func (j *judgement) secrets(w *Webhook, f func(*Key) string) string {
	seen := false
	for i := range w.Keys {
		k := &w.Keys[i]
		if k.over(j.Time) {
			continue
		}
		seen = true
		if !k.public() {
			if why := f(k); why != "" {
				return why
			}
		}
	}
	if !seen {
		return "no secret in use"
	}
	return ""
}

func (j *judgement) strongAndYoung() (bool, []string) {
	return j.every("secrets are strong, and younger than a year", func(w *Webhook) string {
		return j.secrets(w, func(k *Key) string {
			switch {
			case k.Strength != "good":
				return "strength: " + k.Strength
			case k.AgeDays == nil:
				return "age of a secret not known"
			case *k.AgeDays > OldDays:
				return "a secret older than a year"
			}
			return ""
		})
	})
}

func (j *judgement) ownSecrets() (bool, []string) {
	return j.every("each has secrets of its own, strong as far as can be known, in files", func(w *Webhook) string {
		if id := w.finds(badSecrets); id != "" {
			return "a secret is shared, weak or in a wrong place (" + id + ")"
		}
		return j.secrets(w, func(k *Key) string {
			switch {
			case k.Strength == "weak" || k.Strength == "published":
				return "strength: " + k.Strength
			case strings.HasPrefix(k.Reference, "$"):
				return "a secret in an environment variable"
			}
			return ""
		})
	})
}

func (j *judgement) rotated() (bool, []string) {
	return j.every("keys are rotated, or have an end", func(w *Webhook) string {
		if s := w.practice(Rotation).State; s != Holds {
			return "rotation: " + string(s)
		}
		return ""
	})
}

func (j *judgement) expiring() (bool, []string) {
	return j.every("each secret has an end within a year", func(w *Webhook) string {
		return j.secrets(w, func(k *Key) string {
			if k.NotAfter == nil || k.NotAfter.Sub(j.Time) > OldDays*day {
				return "a secret without an end within a year"
			}
			return ""
		})
	})
}

// watching says whether somebody has said how decisions are watched, and what findings
// there are about it.
func (j *judgement) watching(rules numbers) (bool, []string) {
	if j.settings == nil && j.Live == nil {
		return false, []string{"nobody has said which settings the service has, and none was asked"}
	}
	for i := range j.Findings {
		if f := &j.Findings[i]; rules.has(f.ID) {
			return false, []string{f.ID + ": " + f.Message}
		}
	}
	return true, nil
}

func (j *judgement) recorded() (bool, []string) {
	if j.settings == nil { // a service does not say what it leaves out
		return false, []string{"nobody has said which settings the service has"}
	}
	if good, why := j.watching(unrecorded); !good {
		return false, why
	}
	return true, []string{"each decision, and each denial up to a bound a second, has a record with time, webhook, key, method, path, source, verdict and reason"}
}

func (j *judgement) monitored() (bool, []string) {
	if good, why := j.watching(unwatched); !good {
		return false, why
	}
	switch {
	case j.Live != nil && j.Live.Monitored:
		return true, []string{fmt.Sprintf("the service looks for what is unusual; anomalies that it tells of: %d", len(j.Live.Anomalies))}
	case j.Live == nil && j.settings.Monitored:
		return true, []string{"the settings have the service look for what is unusual; none was asked"}
	}
	return false, []string{"the monitor is off"}
}

func (j *judgement) inventory() (bool, []string) {
	where := map[string]int{}
	for i := range j.Webhooks {
		for _, a := range j.Webhooks[i].Algorithms {
			if a != staticToken { // which is no cryptography
				where[a]++
			}
		}
	}
	if len(where) == 0 {
		return false, []string{"nothing is proven by cryptography"}
	}
	var lines []string
	for a, n := range where {
		lines = append(lines, fmt.Sprintf("%s (webhooks: %d)", a, n))
	}
	slices.Sort(lines)
	return true, lines
}

func (j *judgement) soundCryptography() (bool, []string) {
	return j.every("each is signed by an algorithm without a finding", func(w *Webhook) string {
		if why := w.weakAlgorithm(); why != "" {
			return why
		}
		if w.Proof != "signature" && w.Proof != "partial" {
			return "no signature"
		}
		return ""
	})
}

func (j *judgement) encrypted() (bool, []string) {
	return j.every("a delivery without TLS is refused", func(w *Webhook) string {
		if s := w.practice(Encryption).State; s != Holds {
			return "encryption: " + string(s)
		}
		return ""
	})
}

func (j *judgement) signedEach() (bool, []string) {
	return j.every("each delivery is signed with its body", func(w *Webhook) string {
		if w.Proof != "signature" {
			return "proof: " + w.Proof
		}
		return ""
	})
}

func (j *judgement) samePolicy() (bool, []string) {
	switch {
	case j.Live == nil:
		return false, []string{"no service was asked which policy it serves"}
	case j.Live.Digest != j.Digest:
		return false, []string{"the service has another policy, or has it under other file names: " + j.Live.Digest}
	}
	return true, []string{"the service has the policy that was checked here, " + j.Digest + ", and each of its records names it"}
}
