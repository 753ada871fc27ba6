// Package posture judges how well a set of policies is defended, for somebody who reviews
// it: which of five practices hold for each webhook, a grade, and for which controls of
// published standards there is evidence.
//
// It is a function of what it is given: policies, what compiling them met, the findings of
// package lint, and, where a service was asked, what it has seen. It opens no file, asks
// nobody and reads no clock. Each webhook is looked at once; what is kept of it is a few
// lines of text. [Compare] says what differs from a report before.
//
// A grade is about what a policy says. It is no proof that the service runs with that
// policy, that nothing goes around it, or that anybody meets a standard: a control is said
// to have evidence for it, or not to be covered, and never to be met. No secret is in a
// report: of keys it has names, ages and strengths.
package posture

import (
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// Version is that of the form of a report.
const Version = 1

// Input is what is judged.
type Input struct {
	// Set is the policies, which have no errors.
	Set *policy.Set
	// Keys are all secrets, tokens and public keys, by the names of webhooks.
	Keys map[string][]Key
	// Findings are those of lint for the set, with the suppressed ones.
	Findings []finding.Finding
	// Settings says how decisions are watched; nil where nobody has said which settings the
	// service has.
	Settings *Settings
	// Live is what a service has said; nil where none was asked.
	Live *Live
	// Program is the version of the program, Now when somebody asks.
	Program string
	Now     time.Time
}

// Settings is what the settings of a service say of its watching.
type Settings struct {
	// Monitored: what is unusual is looked for.
	Monitored bool
}

// Live is what a running service says.
type Live struct {
	// Digest is that of the policy that serves.
	Digest string `json:"policy_digest"`
	// Since is when it began to count.
	Since time.Time `json:"since"`
	// Monitored: it looks for what is unusual.
	Monitored bool `json:"monitored"`
	// Anomalies are what was unusual, the newest first.
	Anomalies []Anomaly `json:"-"`
}

// Anomaly is one thing that was unusual.
type Anomaly struct {
	Webhook string     `json:"webhook,omitempty"`
	Time    time.Time  `json:"time"`
	Kind    string     `json:"kind"`
	Message string     `json:"message"`
	Ended   *time.Time `json:"ended,omitempty"` // nil while it goes on
}

// Key is what is known of a secret, a token or a public key. It has nothing of its text.
type Key struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	// Reference is where it is: a file, $ and a variable, the address of a server.
	Reference string     `json:"reference"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	// Modified is when its file was written.
	Modified *time.Time `json:"modified,omitempty"`
	// Strength is good, weak, published, public or unknown.
	Strength string `json:"strength"`
	// Fetched: the provider publishes it, and changes it.
	Fetched bool `json:"fetched,omitempty"`
	// Matches is how often it has verified a delivery since the service counts, LastMatch
	// when it did last; absent where nobody was asked.
	Matches   *int64     `json:"matches,omitempty"`
	LastMatch *time.Time `json:"last_match,omitempty"`
	// AgeDays is how long it is in use; absent where that is not known.
	AgeDays *int `json:"age_days,omitempty"`
}

// Report is the judgement.
type Report struct {
	Version  int       `json:"version"`
	Time     time.Time `json:"time"`
	Program  string    `json:"program"`
	Digest   string    `json:"policy_digest"`
	Grade    Grade     `json:"grade"` // the worst of all webhooks
	Live     *Live     `json:"live,omitempty"`
	Webhooks []Webhook `json:"webhooks"`
	// Findings are those of no webhook: of the settings, and of the set.
	Findings []Finding `json:"findings"`
	// Anomalies are those of no webhook.
	Anomalies []Anomaly `json:"anomalies,omitempty"`
	Controls  []Control `json:"controls"`
	// Changes are against an earlier report; nil without one.
	Changes *Changes `json:"changes,omitempty"`
}

// Webhook is the judgement of one.
type Webhook struct {
	Name     string `json:"name"`
	Provider string `json:"provider,omitempty"`
	Shadow   bool   `json:"shadow,omitempty"`
	// Proof is what a delivery proves itself by: signature, partial (which leaves the body
	// out), token, certificate (of the sender, alone) or none.
	Proof string `json:"proof"`
	// Algorithms are those of the proof, in words.
	Algorithms []string   `json:"algorithms"`
	Match      string     `json:"match"`
	Grade      Grade      `json:"grade"`
	Practices  []Practice `json:"practices"`
	Keys       []Key      `json:"keys"`
	Findings   []Finding  `json:"findings"`
	Anomalies  []Anomaly  `json:"anomalies,omitempty"`

	tls, sourced bool
}

// Finding is one of lint, with what a reviewer needs of it.
type Finding struct {
	ID       string           `json:"id"`
	Severity finding.Severity `json:"severity"`
	Place    string           `json:"place"`
	Message  string           `json:"message"`
	Fix      string           `json:"fix"`
	Link     string           `json:"link"`
	// Suppressed is why it is accepted, where it is.
	Suppressed string `json:"suppressed,omitempty"`
}

// Judge makes a report. The error is that of reading the set or the catalogue.
func Judge(in Input) (*Report, error) {
	r := &Report{
		Version: Version, Time: in.Now.UTC().Truncate(time.Second), Program: in.Program, Digest: in.Set.Digest, Live: in.Live,
		Grade: GradeA, Webhooks: []Webhook{}, Findings: []Finding{},
	}
	by := map[string][]Finding{} // by the place of the webhook
	for i := range in.Findings {
		f := &in.Findings[i]
		if owner := ownerOf(f.File, f.Path); owner != "" {
			by[owner] = append(by[owner], brief(f))
		} else {
			r.Findings = append(r.Findings, brief(f))
		}
	}
	var wrong error
	err := in.Set.Each(func(w *policyv1.Webhook, at strictyaml.Place) {
		place := at.Error("")
		hook, err := describe(w)
		if err != nil {
			wrong = err
		}
		if found := by[ownerOf(place.File, place.Path)]; found != nil {
			hook.Findings = found
		}
		hook.Keys = aged(in.Keys[hook.Name], in.Now)
		r.judge(&hook, w, &in)
		r.Webhooks = append(r.Webhooks, hook)
	})
	if err == nil {
		err = wrong
	}
	slices.SortFunc(r.Webhooks, func(a, b Webhook) int { return strings.Compare(a.Name, b.Name) })
	r.placeAnomalies()
	r.control(in.Settings)
	return r, err
}

// ownerOf is the webhook that a path is of: its file and webhooks[3]; empty if none.
func ownerOf(file, path string) string {
	if !strings.HasPrefix(path, "webhooks[") {
		return ""
	}
	end := strings.IndexByte(path, ']')
	return file + "\x00" + path[:end+1]
}

func brief(f *finding.Finding) Finding {
	return Finding{ID: f.ID, Severity: f.Severity, Place: f.Place.String(), Message: f.Message, Fix: f.Fix, Link: f.Link, Suppressed: f.Suppressed}
}

// describe says what a webhook asks for.
func describe(w *policyv1.Webhook) (Webhook, error) {
	hook := Webhook{
		Name: w.GetName(), Provider: w.GetProvider(), Shadow: w.GetMode() == policyv1.Webhook_SHADOW, Match: matchWords(w.GetMatch()),
		Algorithms: []string{}, Findings: []Finding{}, Keys: []Key{},
		sourced: len(w.GetSourceIp().GetAllow())+len(w.GetSourceIp().GetRanges()) > 0,
	}
	t := w.GetTransport()
	hook.tls = t.GetRequireTls() || t.GetMinVersion() != 0 || t.GetClientCertificate() != nil
	schemes, err := schemesOf(w)
	proofs := []string{"none", "token", "partial", "signature"}
	hook.Proof = "none"
	for i, s := range schemes {
		// The weakest of those that are accepted: that is what an attacker takes.
		if p := provider.Proof(s); i == 0 || slices.Index(proofs, p) < slices.Index(proofs, hook.Proof) {
			hook.Proof = p
		}
		hook.Algorithms = append(hook.Algorithms, algorithm(s)...)
	}
	if jwt := w.GetToken().GetJwt(); jwt != nil {
		hook.Algorithms = append(hook.Algorithms, "a JSON Web Token: "+names(jwt.GetAlgorithms()))
		if hook.Proof == "none" || hook.Proof == "token" {
			hook.Proof = "token"
			if jwt.GetBodyHash() != nil {
				hook.Proof = "signature"
			}
		}
	}
	if len(w.GetToken().GetAnyOf()) > 0 {
		hook.Algorithms = append(hook.Algorithms, staticToken)
		if hook.Proof == "none" {
			hook.Proof = "token"
		}
	}
	if t.GetClientCertificate() != nil {
		hook.Algorithms = append(hook.Algorithms, "a client certificate")
		if hook.Proof == "none" {
			hook.Proof = "certificate"
		}
	}
	slices.Sort(hook.Algorithms)
	hook.Algorithms = slices.Compact(hook.Algorithms)
	return hook, err
}

func schemesOf(w *policyv1.Webhook) ([]*policyv1.Scheme, error) {
	if s := w.GetScheme(); s != nil {
		return []*policyv1.Scheme{s}, nil
	}
	if w.GetProvider() == "" {
		return nil, nil
	}
	entry, err := provider.Get(w.GetProvider())
	return provider.Accepted(entry, w.GetProviderScheme()), err
}

func matchWords(m *policyv1.Match) string {
	if m.GetExtensionOnly() {
		return "by Envoy's route"
	}
	methods := m.GetMethods()
	if len(methods) == 0 {
		methods = []string{"POST"}
	}
	text := strings.Join(methods, ", ") + " " + m.GetPath()
	if len(m.GetHosts()) > 0 {
		text += " at " + strings.Join(m.GetHosts(), ", ")
	}
	return text
}

const staticToken = "a static token"

// algorithm is what a scheme proves by.
func algorithm(s *policyv1.Scheme) []string {
	named := func(text, without string) string { // the zero value of each kind is SHA-256
		if strings.HasSuffix(text, "_UNSPECIFIED") {
			return without
		}
		return text
	}
	switch provider.Kind(s) {
	case "hmac":
		if s.GetHmac().GetConstruction() > policyv1.Hmac_HMAC {
			return []string{"a hash without HMAC: " + named(s.GetHmac().GetHash().String(), "SHA256")}
		}
		return []string{"HMAC-" + named(s.GetHmac().GetHash().String(), "SHA256")}
	case "rsa":
		return []string{"RSA with " + named(s.GetRsa().GetHash().String(), "SHA256")}
	case "ecdsa":
		return []string{"ECDSA with " + named(s.GetEcdsa().GetHash().String(), "SHA256")}
	case "ed25519":
		return []string{"Ed25519"}
	case "jws":
		return []string{"a JSON Web Signature: " + names(s.GetJws().GetAlgorithms())}
	case "http_signature":
		return []string{"an HTTP message signature: " + names(s.GetHttpSignature().GetAlgorithms())}
	case "shared_token":
		return []string{staticToken}
	default:
		return []string{"a scheme of the program: " + s.GetCode().GetName().String()}
	}
}

func names[E interface{ String() string }](list []E) string {
	var words []string
	for _, e := range list {
		words = append(words, e.String())
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// placeAnomalies gives each webhook its own.
func (r *Report) placeAnomalies() {
	if r.Live == nil {
		return
	}
	index := map[string]int{}
	for i := range r.Webhooks {
		index[r.Webhooks[i].Name] = i
	}
	for _, a := range r.Live.Anomalies {
		if i, ok := index[a.Webhook]; ok {
			r.Webhooks[i].Anomalies = append(r.Webhooks[i].Anomalies, a)
		} else {
			r.Anomalies = append(r.Anomalies, a)
		}
	}
}
