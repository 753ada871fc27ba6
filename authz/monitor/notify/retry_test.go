package notify

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
)

// wire answers in place of a network.
type wire func(r *http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

// TestRetry: a server that is away, or says so, is asked again at 5 s, 35 s, 2 min 35 s
// and 12 min 35 s, with the same id; the next message waits.
func TestRetry(t *testing.T) {
	for name, c := range map[string]struct {
		fails int
		tries int
		good  bool
	}{
		"away for a moment": {1, 2, true}, "away for minutes": {4, 5, true}, "away for long": {99, 5, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				ids := map[string]bool{}
				began := time.Now()
				done := make(chan error, 1)
				tries := 0
				s := New(Config{URL: "https://alerts.example.com/hunter2", Format: Slack, OnResult: func(_ monitor.Alarm, n int, err error) { tries = n; done <- err }})
				s.client.Transport = wire(func(r *http.Request) (*http.Response, error) {
					at = append(at, time.Since(began))
					ids[r.Header.Get("Webhook-Id")] = true
					switch {
					case len(at) > c.fails:
						return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("ok"))}, nil
					case len(at)%2 == 0:
						return nil, errors.New("away")
					default:
						return &http.Response{StatusCode: 503, Body: io.NopCloser(strings.NewReader(""))}, nil
					}
				})
				go s.Run(t.Context())
				s.Send(monitor.Alarm{Kind: monitor.Rate, Time: began})
				err := <-done
				if (err == nil) != c.good || tries != c.tries || len(at) != c.tries {
					t.Errorf("%d tries at %v, error %v", tries, at, err)
				}
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the error has the address: %v", err)
				}
				want := []time.Duration{0, 5 * time.Second, 35 * time.Second, 155 * time.Second, 755 * time.Second}
				for i := range at {
					if at[i] != want[i] {
						t.Errorf("try %d after %v, want %v", i, at[i], want[i])
					}
				}
				if st := s.Stats(); st.Sent+st.Failed != 1 || (st.Sent == 1) != c.good {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}
