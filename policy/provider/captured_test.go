package provider_test

import (
	"encoding/base64"
	"fmt"
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

// captured is a delivery as its provider sends it, with a policy for it.
type captured struct {
	now     time.Time
	want    string
	table   *authz.Table
	request []byte
}

// readCaptured reads a file of testdata/captured. The line break at the end of the
// request is not part of it.
func readCaptured(t *testing.T, file string) *captured {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &captured{}
	var seconds int64
	_, facts, _ := strings.Cut(string(archive.Comment), "\n\n")
	if _, err := fmt.Sscanf(facts, "now %d\nwant %s", &seconds, &c.want); err != nil {
		t.Fatal(err)
	}
	c.now = time.Unix(seconds, 0)
	dir := t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "request.http" {
			c.request = f.Data[:len(f.Data)-1]
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := policy.Load(filepath.Join(dir, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.table, err = policy.Compile(set, policy.Deps{
		Store:         memory.New(memory.Config{MaxEntries: 1000}),
		Fingerprinter: authz.NewFingerprinter(authz.FingerprintKey{}), MaxBodyBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *captured) parse(t *testing.T) *authz.Request {
	t.Helper()
	req, err := capture.Parse(c.request)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// What senders were seen to send is let in, and with a byte more it is not.
func TestCapturedDeliveries(t *testing.T) {
	files, err := filepath.Glob("testdata/captured/*.txtar")
	if err != nil || len(files) < 13 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			c := readCaptured(t, file)
			if d := decideBy(t, c.table, c.parse(t), c.now); d.Reason.String() != c.want {
				t.Fatalf("%s, want %s", d.Reason, c.want)
			}
			changed := c.parse(t)
			changed.Headers = nil
			for _, h := range c.parse(t).Headers {
				if !strings.Contains(string(h.Name), "signature") {
					changed.Headers = append(changed.Headers, h)
				}
			}
			changed.Body.Segments = [][]byte{[]byte(strings.ReplaceAll(string(changed.Body.Joined()), "ignature", "ignature-"))}
			if d := decideBy(t, c.table, changed, c.now); d.Verdict == authz.Allow {
				t.Error("without its signature it is let in")
			}
		})
	}
}

// A menu that redirects to itself sends the same request again. The policy marks
// it, and the application answers.
func TestRequestThatIsAskedAgain(t *testing.T) {
	c := readCaptured(t, "testdata/captured/twilio-menu.txtar")
	for _, want := range []authz.Mark{authz.MarkNone, authz.MarkPossible, authz.MarkPossible} {
		if d := decideBy(t, c.table, c.parse(t), c.now); d.Reason != authz.OK || d.Mark != want {
			t.Errorf("%s, mark %v, want %v", d.Reason, d.Mark, want)
		}
	}
}

// Twilio asks without its password first. It is told to send it, and then verified.
func TestPasswordThatIsSentAfterAChallenge(t *testing.T) {
	c := readCaptured(t, "testdata/captured/twilio-basic.txtar")
	first := decideBy(t, c.table, c.parse(t), c.now)
	if first.Status() != 401 || first.Challenge() == "" {
		t.Errorf("the first request gets %d, challenge %q", first.Status(), first.Challenge())
	}
	for password, want := range map[string]authz.Reason{"5f0c6b1e9a7d43288f21": authz.OK, "another": authz.TokenInvalid} {
		req := c.parse(t)
		req.Set("authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+password)))
		if d := decideBy(t, c.table, req, c.now); d.Reason != want {
			t.Errorf("with a password: %s, want %s", d.Reason, want)
		}
	}
}
