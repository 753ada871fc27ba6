package policytest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/authz/token"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Draft is a first test file of a webhook.
type Draft struct {
	Webhook string
	// Name is where it should be written: beside the policy.
	Name string
	// Text is empty if no case holds.
	Text string
	// LeftOut are the cases that did not end as they should, with what became of them.
	LeftOut []string
}

// Drafts makes a first test file for each webhook of the policies that no case has met: what
// should hold of each webhook with such checks, at a time. The verdicts stand in this
// program. A case whose run says otherwise is left out and named; reasons are those of the
// run.
func (r *Runner) Drafts(now time.Time, paths ...string) ([]Draft, error) {
	beside := map[string]string{}
	set, _ := policy.Load(paths...) // what is wrong with it was reported
	err := set.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		beside[w.GetName()] = filepath.Join(filepath.Dir(at.File()), w.GetName()+Suffix+".yaml")
	})
	if err != nil {
		return nil, err
	}
	met := map[string]bool{}
	for name := range r.seen {
		met[name] = true
	}
	var drafts []Draft
	for _, hook := range r.table.Webhooks() {
		if !met[hook.Name] {
			drafts = append(drafts, r.draft(hook, beside[hook.Name], now))
		}
	}
	return drafts, nil
}

// drafted is a case as it should end.
type drafted struct {
	name  string
	steps []draftedStep
}

type draftedStep struct {
	send    string // in YAML
	more    string // further keys, one a line
	verdict authz.Verdict
}

func (r *Runner) draft(hook *authz.Webhook, name string, now time.Time) Draft {
	d := Draft{Webhook: hook.Name, Name: name}
	head := "# " + hook.Name + ": what must be so. hookbastion test runs it; docs/policy-tests.md says more.\n" +
		"now: " + now.UTC().Format(time.RFC3339) + "\n"
	if from := allowedFrom(hook, now); from != "" {
		head += "source_ip: " + from + "\n"
	}
	head += "tests:\n"
	body := ""
	drafted := map[string]bool{}
	for _, c := range r.cases(hook) {
		if drafted[c.name] {
			continue // a chain may have two checks of a kind
		}
		drafted[c.name] = true
		text, problem := r.try(head, c, now)
		if problem != "" {
			d.LeftOut = append(d.LeftOut, c.name+": "+problem)
			continue
		}
		body += text
	}
	if body != "" {
		d.Text = head + body
	}
	return d
}

// try runs a case and returns its text with the reasons that were found.
func (r *Runner) try(head string, c drafted, now time.Time) (text, problem string) {
	reasons := make([]string, len(c.steps))
	for i, step := range c.steps {
		reasons[i] = authz.OK.String()
		if step.verdict == authz.Deny {
			reasons[i] = authz.Internal.String()
		}
	}
	for range len(c.steps) + 1 { // each run finds the reason of one step more
		text = c.text(reasons)
		f, errs := Parse("draft", []byte(head+text))
		if len(errs) > 0 {
			return "", errs.Error()
		}
		result := r.Run(f, now, func(string) bool { return true })[0]
		if result.Passed {
			return text, ""
		}
		at := len(result.Steps) - 1
		last := &result.Steps[at]
		switch {
		case last.Problem != "":
			return "", last.Problem
		case last.Verdict != c.steps[at].verdict.String():
			return "", strings.TrimSuffix(fmt.Sprintf("step %d is %s with %s; %s", at+1, past(last.Verdict), last.Reason, last.Why), "; ")
		}
		reasons[at] = last.Reason
	}
	return "", "it ends otherwise each time"
}

func past(verdict string) string {
	if verdict == authz.Allow.String() {
		return "allowed"
	}
	return "denied"
}

func (c drafted) text(reasons []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    steps:\n", c.name)
	for i, step := range c.steps {
		fmt.Fprintf(&b, "      - %s\n", step.send)
		for line := range strings.Lines(step.more) {
			b.WriteString("        " + line)
		}
		fmt.Fprintf(&b, "        expect: {verdict: %s, reason: %s}\n", strings.ToUpper(step.verdict.String()), reasons[i])
	}
	return b.String()
}

// cases are what should hold of a webhook with its checks.
func (r *Runner) cases(hook *authz.Webhook) []drafted {
	sign := func(more string) string { return "sign: {webhook: " + word(hook.Name) + more + "}" }
	once := func(name, send, more string, verdict authz.Verdict) drafted {
		return drafted{name, []draftedStep{{send, more, verdict}}}
	}
	allow, deny := authz.Allow, authz.Deny
	method, path := r.table.Sample(hook.Name)
	bare := "request: {method: " + method + ", path: " + strconv.Quote(path) + ", body: nothing signed}"
	cases := []drafted{once("a delivery", sign(""), "", allow)}
	if hook.Unverified != "" {
		return cases
	}
	if path != "" {
		cases = append(cases, once("nothing that proves anything", bare, "", deny))
	}
	for _, check := range hook.Chain {
		switch check := check.(type) {
		case *replay.Check:
			cases = append(cases,
				drafted{"a copy", []draftedStep{{sign(""), "", allow}, {"copy: {}", "after: 2s\n", deny}}},
				drafted{"a retry after the application has failed", []draftedStep{{sign(""), "upstream: FAILED\n", allow}, {"copy: {}", "after: 2s\n", allow}}})
		case *replay.Freshness:
			cases = append(cases,
				once("signed too long ago", sign(", age: "+(check.Tolerance+time.Minute).String()), "", deny),
				once("signed too far ahead", sign(", ahead: "+(check.Future+time.Minute).String()), "", deny))
		case *source.Check:
			cases = append(cases, once("from a stranger's address", sign(""), "source_ip: "+stranger+"\n", deny))
		case *token.Check: // a token covers nothing that could be changed
		default:
			switch check.Stage() {
			case authz.StageSignature:
				cases = append(cases, once("a changed body", sign(""), "change: [{tamper_body: {}}]\n", deny))
			case authz.StageTransport:
				cases = append(cases, once("without TLS", sign(""), "scheme: HTTP\n", deny))
			default: // they have no attack of their own
			}
		}
	}
	cases = append(cases, once("another method", sign(""), "change: [{method: TRACE}]\n", deny))
	if hook.Handshakes != nil {
		for _, name := range hook.Handshakes.Names() {
			cases = append(cases, once(word("handshake "+name), sign(", handshake: "+word(name)), "", allow))
		}
	}
	return cases
}

var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_. -]*[A-Za-z0-9]$`)

// word is a text as YAML reads it as a text.
func word(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off":
	default:
		if plainWord.MatchString(text) {
			return text
		}
	}
	return strconv.Quote(text)
}

// stranger is an address for documentation (RFC 5737), which nobody has.
const stranger = "192.0.2.200"

// allowedFrom is an address that the webhook takes deliveries from, if it asks.
func allowedFrom(hook *authz.Webhook, now time.Time) string {
	for _, check := range hook.Chain {
		c, ok := check.(*source.Check)
		if !ok {
			continue
		}
		var networks []netip.Prefix
		if c.Allow != nil {
			networks = c.Allow.Networks()
		}
		for _, list := range c.Ranges {
			if set := list.Set(now); set != nil {
				networks = append(networks, set.Networks()...)
			}
		}
		for _, network := range networks {
			addr := network.Addr()
			if next := addr.Next(); network.Contains(next) {
				addr = next
			}
			if c.Deny == nil || !c.Deny.Contains(addr) {
				return addr.String()
			}
		}
		return "192.0.2.1" // what is not denied is allowed
	}
	return ""
}

// Write writes the file, which must not be there.
func (d *Draft) Write() error {
	if d.Text == "" {
		return nil
	}
	f, err := os.OpenFile(d.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // tests hold no secret
	if err != nil {
		return err
	}
	_, err = f.WriteString(d.Text)
	return errors.Join(err, f.Close())
}
