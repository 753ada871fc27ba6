package provider_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

// rows returns the code of the cells of a table, which begins with a header's
// first cell.
func rows(t *testing.T, head string) [][2][]string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/providers/adding.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(guide), "| "+head+" |")
	if !ok {
		t.Fatalf("the guide has no table of %s", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	code := regexp.MustCompile("`([^`]*)`")
	var all [][2][]string
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 2 {
			t.Fatalf("%d cells in %s", len(cells), line)
		}
		var row [2][]string
		for i, cell := range cells {
			for _, m := range code.FindAllStringSubmatch(cell, -1) {
				row[i] = append(row[i], m[1])
			}
		}
		all = append(all, row)
	}
	return all
}

// inline is a webhook with a scheme of its own.
func inline(t *testing.T, signature, content, timestamp string) *scheme {
	t.Helper()
	s := &scheme{dir: t.TempDir(), deps: policy.Deps{
		Store:         memory.New(memory.Config{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20,
	}}
	text := "      hmac:\n        hash: SHA256\n        encoding: HEX\n        signature: " + signature + "\n        content: " + content + "\n"
	if timestamp != "" {
		text += "        " + timestamp + "\n"
	}
	s.inline(t, text)
	return s
}

// inline compiles a webhook with the scheme.
func (s *scheme) inline(t *testing.T, text string) {
	t.Helper()
	text = "webhooks:\n  - name: a\n    match: {path: '/a/{x}'}\n    secrets: [{file: ../key}]\n    scheme:\n" + text
	root := s.dir
	s.write(t, "key", s.secret(0))
	s.dir = filepath.Join(root, "policies")
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, "policy.yaml", text)
	s.table = s.compile(t)
}

// Each scheme of the guide verifies what its private key signs, and no other body.
func TestGuidePublicKeys(t *testing.T) {
	all := rows(t, "it signs with")
	if len(all) < 6 {
		t.Errorf("only %d schemes", len(all))
	}
	for _, row := range all {
		text := row[1][0]
		t.Run(text, func(t *testing.T) {
			parsed := &policyv1.Policy{}
			full := strings.TrimSuffix(text, "}") + ", signature: {headers: [X-Sig]}, content: [{timestamp: {}}, {literal: '.'}, {body: {}}], timestamp: {header: X-Time, unit: SECONDS}}"
			file := "webhooks: [{name: a, match: {path: /a}, scheme: {" + full + "}}]"
			if _, err := (strictyaml.Options{}).Decode("guide", []byte(file), parsed); err != nil {
				t.Fatal(err)
			}
			s := &scheme{dir: t.TempDir(), named: &policyv1.NamedScheme{Scheme: parsed.GetWebhooks()[0].GetScheme()}, deps: policy.Deps{
				Store:         memory.New(memory.Config{MaxEntries: 1000}),
				Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20,
			}}
			s.inline(t, "      "+full+"\n")
			if d := s.decide(t, s.delivery(t, now), now); d.Reason != authz.OK || d.Proof != authz.ProofSignature {
				t.Errorf("a delivery: %s, proof %s", d.Reason, d.Proof)
			}
			changed := s.delivery(t, now)
			changed.Body.Segments = [][]byte{[]byte("{}")}
			if d := s.decide(t, changed, now); d.Reason != authz.SignatureInvalid {
				t.Errorf("another body: %s", d.Reason)
			}
		})
	}
}

// Each signature of the guide makes a header of the form beside it.
func TestGuideGrammars(t *testing.T) {
	all := rows(t, "the header")
	if len(all) < 8 {
		t.Errorf("only %d grammars", len(all))
	}
	for _, row := range all {
		t.Run(row[0][0], func(t *testing.T) {
			content, timestamp := "[{body: {}}]", ""
			if len(row[1]) > 1 {
				content, timestamp = "[{timestamp: {}}, {body: {}}]", row[1][1]
			}
			s := inline(t, row[1][0], content, timestamp)
			req := s.delivery(t, now)
			name, form, _ := strings.Cut(row[0][0], ": ")
			form = strings.NewReplacer("MAC", "[0-9a-f]{64}", "TIME", "1800000000", "ID", "[^:]+").Replace(regexp.QuoteMeta(form))
			value, count := req.Headers.Lookup(strings.ToLower(name))
			if count != 1 || !regexp.MustCompile("^"+form+"$").Match(value) {
				t.Errorf("%d headers %s: %s", count, name, value)
			}
			if d := s.decide(t, req, now); d.Reason != authz.OK {
				t.Errorf("a delivery: %s", d.Reason)
			}
		})
	}
}

// Each content of the guide can be signed, and does not hold for another body.
func TestGuideContents(t *testing.T) {
	all := rows(t, "the documentation says")
	if len(all) < 6 {
		t.Errorf("only %d contents", len(all))
	}
	for _, row := range all {
		content := row[1][0]
		t.Run(content, func(t *testing.T) {
			timestamp := ""
			if strings.Contains(content, "timestamp") {
				timestamp = "timestamp: {header: X-Time, unit: SECONDS}"
			}
			s := inline(t, "{headers: [X-Sig]}", content, timestamp)
			if d := s.decide(t, s.delivery(t, now), now); d.Reason != authz.OK || d.Proof != authz.ProofSignature {
				t.Errorf("a delivery: %s, proof %s", d.Reason, d.Proof)
			}
			changed := s.delivery(t, now)
			changed.Body.Segments = [][]byte{[]byte("payload=evt_2&id=evt_2")}
			if d := s.decide(t, changed, now); d.Verdict == authz.Allow {
				t.Error("another body is let in")
			}
		})
	}
}
