// Package judges_test compares our verdicts with those of the providers' own
// libraries: what they sign we accept, what we sign they accept, and on altered
// deliveries both say the same, or docs/providers/judges.md says why not.
//
// The libraries are pinned, fetched by make judges and run unmodified in two
// processes, one for Python and one for Node. Their clock is ours.
package judges_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/provider"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// signedAt is when all deliveries are signed: a whole second.
var signedAt = time.Unix(1_800_000_000, 0)

// minJudges is how many libraries must have been heard, and minPublic how many entries
// that sign with a private key or send a token must have a judge.
const (
	minJudges = 65
	minPublic = 25
)

func TestJudges(t *testing.T) {
	hosts := startHosts(t)
	used := map[int]*evidence{}
	libraries := map[string]bool{}
	for i := range judges {
		j := &judges[i]
		t.Run(j.name(), func(t *testing.T) {
			hear(t, hosts[j.host], j, used)
			libraries[j.host+j.library()] = true
		})
	}
	if len(libraries) < minJudges {
		t.Errorf("only %d libraries were heard", len(libraries))
	}
	if judged, _ := publicEntries(t); len(judged) < minPublic {
		t.Errorf("only %d entries by public key or token have a judge", len(judged))
	}
	for i, d := range differences {
		if used[i] == nil && !t.Failed() {
			t.Errorf("no case shows this difference: %q", d.why)
		}
	}
	if !t.Failed() {
		checkPage(t, used)
	}
}

// hear compares all verdicts of one judge.
func hear(t *testing.T, h *host, j *judge, used map[int]*evidence) {
	s := j.find(t)
	sides := map[string]*ours{}
	side := func(secret string) *ours {
		if sides[secret] == nil {
			sides[secret] = newOurs(t, j, secret)
		}
		return sides[secret]
	}
	for _, c := range j.cases(t, s, side(j.secretFor(s)), h) {
		secret := j.secretFor(s)
		if c.secret != "" {
			secret = c.secret
		}
		reason := side(secret).decide(c.delivery, c.now)
		theirs := h.ask(t, c.question("verify", j, secret, c.now))
		if theirs.OK == (reason == authz.OK) {
			if c.mustPass && !theirs.OK {
				t.Errorf("%s: both refuse, we as %s, they as %q: %s", c.name, reason, theirs.Error, c.delivery)
			}
			continue
		}
		i := findDifference(differences, j, c.name, theirs.OK)
		if i < 0 {
			t.Errorf("%s: %s, but they say %v %q: %s at %d", c.name, reason, theirs.OK, theirs.Error, c.delivery, c.now.UnixMilli())
			continue
		}
		if used[i] == nil {
			used[i] = &evidence{map[string]bool{}, map[string]bool{}}
		}
		used[i].libraries[j.label()], used[i].cases[c.name] = true, true
	}
}

// find returns the scheme of the catalogue that the judge knows.
func (j *judge) find(t *testing.T) *policyv1.NamedScheme {
	t.Helper()
	p, err := provider.Get(j.provider)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.GetSchemes() {
		if s.GetName() == j.scheme {
			return s
		}
	}
	t.Fatalf("%s has no scheme %q", j.provider, j.scheme)
	return nil
}

// Every verifier and signer of the drivers is used, so that none is forgotten.
func TestAllJudgesAreAsked(t *testing.T) {
	hosts := startHosts(t)
	for name, h := range hosts {
		said := h.ask(t, &question{Op: "list"})
		for _, id := range said.Shake {
			if !slices.ContainsFunc(answerers, func(a answerer) bool { return a.host == name && a.id == id }) {
				t.Errorf("%s can answer as %s, and no row says so", name, id)
			}
		}
		for _, id := range said.Verify {
			if !hasJudge(name, id, false) {
				t.Errorf("%s has a judge %s that no row names", name, id)
			}
		}
		for _, id := range said.Sign {
			if !hasJudge(name, id, true) {
				t.Errorf("%s can sign as %s, and no row says so", name, id)
			}
		}
	}
}

func hasJudge(host, id string, signs bool) bool {
	for i := range judges {
		if judges[i].host == host && judges[i].id == id {
			return !signs || judges[i].signs
		}
	}
	return false
}
