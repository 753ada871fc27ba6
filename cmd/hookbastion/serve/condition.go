package serve

import (
	"fmt"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/logwatch"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// inForce is what is asked of the policies.
type inForce interface {
	envoy.Source
	// Err is what keeps the newest ones from serving; nil if they serve.
	Err() error
}

// condition is how the service is, as /readyz says it.
type condition struct {
	policies inForce
	recorder *telemetry.Recorder
	fetcher  *fetch.Fetcher
	log      *logwatch.Watch
}

// say returns one line for each thing that is not as it should be, or one that says that
// all is well. It reports whether there is anything to serve. No line has a name of a
// file or a text of a stranger: the page needs no password.
func (c *condition) say(now time.Time) (lines []string, ok bool) {
	table := c.policies.Table()
	if table == nil {
		return nil, false
	}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if c.policies.Err() != nil {
		loaded, stale := c.recorder.Policy()
		add("ok, with the last good policy, of %s: the newest has errors since %s ago, see the log", loaded.UTC().Format(time.RFC3339), ago(stale, now))
	}
	if n := secretCounts(table).LastGood; n > 0 {
		add("ok, with the last good value of %d keys: their files cannot be used, see the log", n)
	}
	if n := missing(c.fetcher); n > 0 {
		add("ok, without %d documents of providers: they could not be fetched yet, see the log", n)
	}
	if old := oldRanges(table, now); len(old) > 0 {
		add("ok, with the last good addresses of %s: see the log, and hookbastion ranges list", strings.Join(old, ", "))
	}
	lines = append(lines, lostLogs(c.log.Nodes())...)
	if lines == nil {
		add("ok")
	}
	return lines, true
}

// lostMost is how many Envoys without an access log are named.
const lostMost = 10

// lostLogs has a line for each Envoy whose access log is lost.
func lostLogs(nodes []logwatch.Node) (lines []string) {
	lost := 0
	for _, n := range nodes {
		if !n.Lost {
			continue
		}
		if lost++; lost <= lostMost {
			lines = append(lines, fmt.Sprintf("ok, without the access log of Envoy at %s: of %d deliveries since %s, %d have no entry, with %d streams open",
				n.Address, n.Of, n.Since.UTC().Format(time.RFC3339), n.Absent, n.Streams))
		}
	}
	if lost > lostMost {
		lines = append(lines, fmt.Sprintf("ok, without the access logs of %d more", lost-lostMost))
	}
	return lines
}

// ago is how long ago a time was, in whole seconds.
func ago(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0 // in this moment
	}
	return max(now.Sub(at), 0).Round(time.Second)
}
