package oracle

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Answer is what a sender got, and what reached the application.
type Answer struct {
	Err        error
	Status     int
	Reason     string // as Envoy has it; "" if the service was not asked, or said nothing
	Header     http.Header
	Body       string
	Arrived    http.Header // what the application got; nil: nothing
	Sent, Done time.Time
}

// Judge judges answers. It is safe for concurrent use.
type Judge struct {
	Weather *Weather
	Lease   time.Duration
	Pause   time.Duration // for how long Redis refuses after a loss what has no signed time; 0 with other stores
	Alone   bool          // a store of one replica
	Since   time.Time     // when the service was started first

	others others
}

const (
	// slack is how long after something was broken it may still show on a busy machine.
	slack = 5 * time.Second
	// clocks is what the service allows clocks to differ by.
	clocks = 30 * time.Second
)

// Verdict reports whether the answer tells a verdict, of the service or of Envoy itself,
// and what is wrong with it.
func (j *Judge) Verdict(c *Case, a Answer, unlike bool) (told bool, wrong string) {
	var faults []string
	fault := func(format string, arguments ...any) { faults = append(faults, fmt.Sprintf(format, arguments...)) }
	e := c.Endpoint
	switch {
	case a.Reason == "":
		told = a.Err == nil && slices.Contains(c.Statuses, a.Status)
		if a.Arrived != nil && !j.allowed(c, a)["ok"] && !e.Shadow && !e.Open {
			fault("it reached the application, and nobody says why")
		}
		if a.Err == nil && !told && a.Status/100 != 5 && a.Status != http.StatusRequestTimeout {
			fault("status %d without a reason", a.Status)
		}
	default:
		told = true
		j.count(c, a)
		allowed := j.allowed(c, a)
		if !allowed[a.Reason] {
			fault("the reason is %s", a.Reason)
		}
		enforced := !e.Shadow || a.Reason == "no_webhook" || a.Reason == "method_not_allowed" && a.Arrived == nil
		if !forwards[a.Reason] && enforced {
			j.denial(c, a, unlike, fault)
		}
		if a.Arrived != nil {
			j.arrival(c, a, fault)
		}
	}
	if len(faults) == 0 {
		return told, ""
	}
	return told, fmt.Sprintf("%s: %s: %s; expected %s", e.Name, c.Name, strings.Join(faults, ", "), strings.Join(keysOf(j.allowed(c, a)), " or "))
}

func keysOf(m map[string]bool) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// denial judges what a sender gets that is refused or answered.
func (j *Judge) denial(c *Case, a Answer, unlike bool, fault func(string, ...any)) {
	e := c.Endpoint
	if a.Arrived != nil {
		fault("it reached the application all the same")
	}
	want, known := statuses[a.Reason]
	switch {
	case a.Reason == "handshake":
		if a.Status != http.StatusOK || a.Body != c.Answer {
			fault("answered %d %q, want %q", a.Status, a.Body, c.Answer)
		}
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Cache-Control") != "no-store" {
			fault("answered without nosniff or no-store")
		}
		return
	case !known:
		fault("a reason that is not documented")
		return
	case a.Reason == "replayed" && a.Status == http.StatusOK:
		if e.Copies != Acknowledged || unlike || !c.Copy.mayBeTaken() {
			fault("a 200 for what nobody has taken")
		}
		return
	case want == 0:
		want = e.Status
		if a.Reason == "handshake_refused" && c.Refused != 0 {
			want = c.Refused
		}
	}
	if a.Status != want {
		fault("status %d for %s, want %d", a.Status, a.Reason, want)
	}
	if want == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == "" {
		fault("503 without Retry-After")
	}
	if want == http.StatusMethodNotAllowed && a.Header.Get("Allow") == "" {
		fault("405 without Allow")
	}
	if a.Header.Get("X-Hookbastion-Decision-Id") == "" {
		fault("a denial without an id")
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "X-Hookbastion-") && name != "X-Hookbastion-Decision-Id" {
			fault("the sender is told %s", name)
		}
	}
}

// arrival judges what the application got.
func (j *Judge) arrival(c *Case, a Answer, fault func(string, ...any)) {
	e := c.Endpoint
	verified := e.Proof
	if !forwards[a.Reason] {
		verified = "" // in SHADOW
	}
	if got := a.Arrived.Values("X-Hookbastion-Verified"); verified == "" && len(got) > 0 || verified != "" && !slices.Equal(got, []string{verified}) {
		fault("the application was told that %q was verified, want %q", got, verified)
	}
	if got := a.Arrived.Values("X-Hookbastion-Webhook"); !slices.Equal(got, []string{e.Name}) {
		fault("the application was told of webhook %q", got)
	}
	if got := a.Arrived.Values("X-Hookbastion-Decision-Id"); len(got) != 1 || got[0] == "forged" {
		fault("the application was told of decision %q", got)
	}
	tenant := ""
	if e.Name == "tenant" {
		tenant = "acme"
	}
	if got := a.Arrived.Get("X-Hookbastion-Tenant"); got != tenant {
		fault("the application was told of tenant %q", got)
	}
	for name := range a.Arrived {
		if strings.Contains(name, "_") && strings.Contains(strings.ToLower(name), "hookbastion") {
			fault("the application got %s", name)
		}
	}
	mark := a.Arrived.Get("X-Hookbastion-Replay")
	if must, may := j.marks(c, a); mark == "" && must {
		fault("a copy came through without a mark")
	} else if mark != "" && !slices.Contains(may, mark) {
		fault("marked as %q, want %q", mark, may)
	}
}
