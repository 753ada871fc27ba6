package judges_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/capture"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/policy"
)

// answerer is a library that answers a provider's handshake.
type answerer struct {
	host, id string
	// file of testdata/handshakes has the request and the policy, and secret what the
	// library needs of it.
	file, secret string
	// public is the secret's id, where the answer has it.
	public string
	// key of the JSON that the library writes our whole text/plain body under: the provider
	// takes either.
	key string
}

var answerers = []answerer{
	{"PyPI", "braintree", "braintree", "secret", "public_key_2026", ""},
	{"npm", "event-notification-nodejs-sdk", "ebay", "verify", "", ""},
	{"npm", "discord-interactions", "discord", "secret", "", ""},
	{"npm", "discord-interactions/events", "discord-events", "secret", "", ""},
	{"npm", "@slack/bolt", "slack", "secret", "", "challenge"},
}

// TestLibrariesAnswerAlike: what the providers' own libraries answer, we answer byte for
// byte, or where the provider takes two forms, with the same challenge.
func TestLibrariesAnswerAlike(t *testing.T) {
	hosts := startHosts(t)
	for _, a := range answerers {
		t.Run(a.host+" "+a.id, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join("..", "testdata", "handshakes", a.file+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			files, dir := map[string][]byte{}, t.TempDir()
			for _, f := range archive.Files {
				data := f.Data
				if f.Name == "policy.yaml" && a.public != "" {
					data = []byte(replaceID(string(data), a.public))
				}
				files[f.Name] = bytes.TrimSuffix(data, []byte("\n"))
				if err := os.WriteFile(filepath.Join(dir, f.Name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			req, err := capture.Parse(files["request.http"])
			if err != nil {
				t.Fatal(err)
			}
			now := time.Unix(1700000000, 0)
			d := deliveryOf(req)
			theirs := hosts[a.host].ask(t, d.question("shake", &judge{id: a.id}, string(files[a.secret]), now))
			ours := answerOf(t, filepath.Join(dir, "policy.yaml"), req, now)
			if ours != nil && a.key != "" {
				text, err := json.Marshal(map[string]string{a.key: ours.Body})
				if err != nil || ours.ContentType != "text/plain" {
					t.Fatalf("we answer %+v, %v", ours, err)
				}
				ours.Body, ours.ContentType = string(text), "application/json"
			}
			if ours == nil || ours.Status != theirs.Answer.Status || ours.Body != theirs.Answer.Body || ours.ContentType != theirs.Answer.Type {
				t.Errorf("we answer %+v, they %+v", ours, theirs.Answer)
			}
		})
	}
}

// replaceID gives the secret of a policy another id.
func replaceID(text, id string) string {
	before, rest, _ := strings.Cut(text, "{id: ")
	_, after, _ := strings.Cut(rest, ",")
	return before + "{id: " + id + "," + after
}

func deliveryOf(req *authz.Request) *delivery {
	d := &delivery{method: string(req.Method), url: publicURL + string(req.Path), body: req.Body.Joined()}
	for _, h := range req.Headers {
		d.headers = append(d.headers, [2]string{string(h.Name), string(h.Value)})
	}
	return d
}

func answerOf(t *testing.T, file string, req *authz.Request, now time.Time) *authz.Answer {
	t.Helper()
	set, err := policy.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.Compile(set, policy.Deps{
		Store: memory.New(memory.Config{MaxEntries: 1000}), Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	var decision authz.Decision
	table.Decide(context.Background(), req, now, &decision)
	return decision.Answered()
}
