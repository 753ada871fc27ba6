package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/monitor/notify"
	"github.com/hookbastion/hookbastion/authz/secret"
)

const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var alarm = monitor.Alarm{
	Time: time.Date(2026, 3, 2, 10, 5, 0, 0, time.UTC), Kind: monitor.SignatureFailures, Webhook: "pay<ments>", Source: "192.0.2.0/24",
	Baseline: 0.001, Value: 1, Unit: "share", Samples: 12, Since: time.Date(2026, 3, 2, 9, 50, 0, 0, time.UTC), Message: "100 % fail & more",
}

func over(a monitor.Alarm) monitor.Alarm {
	at := a.Time.Add(3 * time.Hour)
	a.Ended = &at
	return a
}

// hook is a webhook that keeps what comes.
type hook struct {
	*httptest.Server
	mu   sync.Mutex
	got  []*http.Request
	body [][]byte
}

func newHook(t *testing.T, answer func(n int) int) *hook {
	h := &hook{}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.got, h.body = append(h.got, r), append(h.body, body)
		n := len(h.got)
		h.mu.Unlock()
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answer(n))
	}))
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func always(code int) func(int) int { return func(int) int { return code } }

type result struct {
	tries int
	err   error
}

// send sends alarms and returns what became of them.
func send(t *testing.T, h *hook, c notify.Config, alarms ...monitor.Alarm) []result {
	t.Helper()
	done := make(chan result, len(alarms))
	c.URL, c.Replica = h.URL+"/hook?token=hunter2", "edge-1"
	c.OnResult = func(_ monitor.Alarm, tries int, err error) { done <- result{tries, err} }
	c.Roots = x509.NewCertPool()
	c.Roots.AddCert(h.Certificate())
	s := notify.New(c)
	for _, a := range alarms {
		s.Send(a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	var all []result
	for range alarms {
		all = append(all, <-done)
	}
	cancel()
	<-ended
	return all
}

// TestStandard: messages are what a receiver of Standard Webhooks verifies.
func TestStandard(t *testing.T) {
	t.Setenv("ALARM_SECRET", key)
	h := newHook(t, always(204))
	for _, r := range send(t, h, notify.Config{Secret: &secret.Ref{Env: "ALARM_SECRET"}}, alarm, over(alarm)) {
		if r.err != nil || r.tries != 1 {
			t.Fatal(r)
		}
	}
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	ids := map[string]bool{}
	for i, r := range h.got {
		id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
		mac := hmac.New(sha256.New, raw)
		mac.Write([]byte(id + "." + at + "." + string(h.body[i])))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("message %d is signed %q, want %q", i, r.Header.Get("webhook-signature"), want)
		}
		if unix, err := strconv.ParseInt(at, 10, 64); err != nil || time.Since(time.Unix(unix, 0)).Abs() > time.Minute {
			t.Errorf("signed at %q", at)
		}
		ids[id] = true
		var body struct {
			Type string
			Data map[string]any
		}
		if err := json.Unmarshal(h.body[i], &body); err != nil {
			t.Fatal(err)
		}
		want := []string{"hookbastion.anomaly.raised", "hookbastion.anomaly.ended"}[i]
		if body.Type != want || body.Data["kind"] != "signature_failures" || body.Data["webhook"] != "pay<ments>" || body.Data["replica"] != "edge-1" || body.Data["samples"] != 12.0 {
			t.Errorf("message %d: %s", i, h.body[i])
		}
	}
	if len(ids) != 2 {
		t.Errorf("ids %v", ids)
	}
}

func TestShapes(t *testing.T) {
	h := newHook(t, always(200))
	send(t, h, notify.Config{Format: notify.Slack}, alarm, over(alarm))
	for i, want := range []string{
		`{"text":"signature_failures at webhook pay\u0026lt;ments\u0026gt;: 100 % fail \u0026amp; more (mostly from 192.0.2.0/24) [edge-1]"}`,
		`{"text":"ended: signature_failures at webhook pay\u0026lt;ments\u0026gt;, after 3h0m0s (mostly from 192.0.2.0/24) [edge-1]"}`,
	} {
		if got := string(h.body[i]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if h.got[i].Header.Get("webhook-signature") != "" {
			t.Error("is signed without a secret")
		}
	}
	h = newHook(t, always(200))
	send(t, h, notify.Config{Format: notify.Alertmanager}, alarm, over(alarm))
	var prints, groups []string
	for i, status := range []string{"firing", "resolved"} {
		var group struct {
			Version, Status, GroupKey string
			Alerts                    []struct {
				Status, Fingerprint string
				Labels, Annotations map[string]string
				StartsAt, EndsAt    time.Time
			}
		}
		if err := json.Unmarshal(h.body[i], &group); err != nil || len(group.Alerts) != 1 {
			t.Fatalf("%v: %s", err, h.body[i])
		}
		a := group.Alerts[0]
		if group.Version != "4" || group.Status != status || a.Status != status || a.Labels["kind"] != "signature_failures" || a.Labels["alertname"] == "" ||
			a.Annotations["summary"] != alarm.Message || !a.StartsAt.Equal(alarm.Time) || a.EndsAt.IsZero() != (i == 0) {
			t.Errorf("message %d: %s", i, h.body[i])
		}
		prints, groups = append(prints, a.Fingerprint), append(groups, group.GroupKey)
	}
	other := alarm
	other.Webhook = "another"
	h = newHook(t, always(200))
	send(t, h, notify.Config{Format: notify.Alertmanager}, other)
	if groups[0] != groups[1] || strings.Contains(string(h.body[0]), groups[0]) || !strings.Contains(string(h.body[0]), `webhook=\"another\"`) {
		t.Errorf("one alarm that ends would resolve another webhook's: %q, %s", groups, h.body[0])
	}
	if prints[0] == "" || prints[0] != prints[1] {
		t.Errorf("fingerprints %q", prints)
	}
}

// TestRefused: what will never be taken is not tried again, a redirect is not followed,
// and no error has the address.
func TestRefused(t *testing.T) {
	for _, code := range []int{301, 307, 400, 401, 404, 410} {
		h := newHook(t, always(code))
		r := send(t, h, notify.Config{Format: notify.Slack}, alarm)[0]
		if r.err == nil || r.tries != 1 || len(h.got) != 1 || !strings.Contains(r.err.Error(), strconv.Itoa(code)) || strings.Contains(r.err.Error(), "hunter2") {
			t.Errorf("%d: %d tries, %d requests, %v", code, r.tries, len(h.got), r.err)
		}
	}
}

// TestFull: what finds no room is dropped, and nobody waits.
func TestFull(t *testing.T) {
	s := notify.New(notify.Config{URL: "http://127.0.0.1:1"})
	for range 100 {
		s.Send(alarm)
	}
	if st := s.Stats(); st.Dropped != 36 {
		t.Errorf("%+v", st)
	}
}

func TestKey(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"with the prefix": {key, true}, "without": {strings.TrimPrefix(key, "whsec_"), true}, "too short": {"whsec_aGVsbG8=", false},
		"no base64": {"whsec_!!!", false}, "empty": {"", false}, "too long": {base64.StdEncoding.EncodeToString(make([]byte, 65)), false},
	} {
		t.Setenv("ALARM_SECRET", c.text)
		got, err := notify.Key(&secret.Ref{Env: "ALARM_SECRET"})
		if (err == nil) != c.good || c.good && len(got) < 24 {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && c.text != "" && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: the error has the secret", name)
		}
	}
}
