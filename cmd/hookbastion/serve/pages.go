package serve

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/keylist"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/serve/console"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// newConsole makes the pages of what is asked of a running service.
func newConsole(a *admin, known *counted, state *condition, log *slog.Logger) *console.Console {
	config := console.Config{
		Decisions: known.recent, Policy: known.Policy, Keys: known.keysOf,
		Ranges:    known.ranges,
		Condition: func() []string { lines, _ := state.say(time.Now()); return lines },
		Redeliver: a.redeliverByForm, MayRedeliver: a.access.mayOperate,
		Version: cli.Version, Replica: replicaName(), Log: log,
	}
	if watched := known.anomalies.of(); watched != nil {
		config.Anomalies = watched.Alarms
	}
	return console.New(config)
}

// Policy is by what is decided now.
func (c *counted) Policy() console.Policy {
	table := c.watcher.Table()
	loaded, failing := c.recorder.Policy()
	about := c.inspector.of(table)
	p := console.Policy{
		Digest: table.Digest, Loaded: loaded.UTC(), Webhooks: len(table.Webhooks()), Table: table, Errors: policy.Errors{},
		Findings: about.findings, More: about.moreFindings, NotLooked: about.notLooked,
	}
	if p.Findings == nil {
		p.Findings = []finding.Finding{} // a list in JSON
	}
	if err := c.watcher.Err(); err != nil {
		p.Errors = asPolicyErrors(err)
		if failing = failing.UTC(); !failing.IsZero() {
			p.Failing = &failing
		}
	}
	return p
}

// ranges says what is known of the lists of addresses in use.
func (c *counted) ranges() (all []cli.Range) {
	for _, s := range rangesOf(c.watcher.Table(), time.Now()) {
		all = append(all, cli.RangeOf(&s))
	}
	return all
}

// asPolicyErrors makes a list of any error.
func asPolicyErrors(err error) policy.Errors {
	var list policy.Errors
	if errors.As(err, &list) {
		return list
	}
	list = policy.Errors{{}}
	list[0].Message = err.Error()
	return list
}

// keysOf lists the keys of a webhook; of all, if it is empty. Their files are looked at,
// for which a page that is asked for every few seconds is no reason: what is a few seconds
// old is good enough.
func (c *counted) keysOf(webhook string) console.Keys {
	c.listing.Lock()
	defer c.listing.Unlock()
	table, now := c.watcher.Table(), time.Now()
	if old := now.Sub(c.listed.at); c.listed.table != table || old < 0 || old > keyListAge {
		live, about := c.Keys(), c.inspector.of(table)
		k := console.Keys{Since: live.Since, Complete: live.Complete, More: about.moreKeys, Fetched: live.Fetched}
		for i := range about.keys {
			k.List = append(k.List, keylist.Describe(&about.keys[i], now, &live, false))
		}
		c.listed = listed{table, now, k}
	}
	k := c.listed.keys
	if webhook != "" {
		k.List = nil
		for i := range c.listed.keys.List {
			if c.listed.keys.List[i].Webhook == webhook {
				k.List = append(k.List, c.listed.keys.List[i])
			}
		}
	}
	return k
}

// keyListAge is how old the list of keys may be.
const keyListAge = 5 * time.Second

// listed is the list of the keys of a table, as it was.
type listed struct {
	table *authz.Table
	at    time.Time
	keys  console.Keys
}

// mayOperate reports whether the request would be an operator's if it had the token that
// a form asks for.
func (a *access) mayOperate(r *http.Request) bool {
	return a.operators.file != "" && a.byCertificate(r) >= toOperate
}

// redeliverByForm lets a copy through for a form of the console. What a browser sends
// unasked is not enough: the token stands in the form, too.
func (a *admin) redeliverByForm(r *http.Request, token string, decision *record.Record) console.Redelivery {
	if !a.access.mayOperate(r) || !a.access.operators.same(token) {
		a.access.logWrong(r)
		return console.Redelivery{Status: http.StatusForbidden, Problem: "This is not the token of operators."}
	}
	answer, status, problem := a.permit(r, decision.DecisionID, "")
	if status == http.StatusNotFound && decision.Redeliver != "" { // it has refused many others since
		answer, status, problem = a.permit(r, "", decision.Redeliver)
	}
	return console.Redelivery{Webhook: answer.Webhook, Problem: problem, Status: status, For: time.Duration(answer.Seconds) * time.Second}
}
