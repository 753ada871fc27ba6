package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// maxDecisions is how many decisions one answer has.
const maxDecisions = 1000

// listDecisions answers with the newest decisions that are wanted, the newest first:
//
//	webhook, reason, verdict  as in a record
//	since                     a time in RFC 3339, or how long ago: 15m
//	limit                     1 to 1000; default 100
//	before, after             next or last of an earlier answer
func (a *admin) listDecisions(w http.ResponseWriter, r *http.Request) {
	q, gone, err := a.decisionQuery(r.URL.RawQuery, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	page := a.facts.Decisions().Query(q)
	answer := cli.Decisions{Decisions: page.Decisions, Last: a.cursor(page.Last)}
	if page.Next != 0 {
		answer.Next = a.cursor(page.Next)
	}
	if gone {
		answer.Decisions, answer.Next = nil, ""
	}
	if answer.Decisions == nil {
		answer.Decisions = []record.Record{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone
}

// showDecision answers with one decision.
func (a *admin) showDecision(w http.ResponseWriter, r *http.Request) {
	decision, ok := a.facts.Decisions().Find(r.PathValue("id"))
	if !ok {
		http.Error(w, "no such decision is among the last ones of this replica: look in the records", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(decision) // the client is gone
}

// decisionQuery reads what is wanted. gone says that it is before a decision of an
// earlier process, which knew other ones.
func (a *admin) decisionQuery(query string, now time.Time) (q recent.Query, gone bool, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, false, errors.New("the query cannot be read")
	}
	for name, all := range values {
		if len(all) > 1 {
			return q, false, fmt.Errorf("%q stands there twice", name)
		}
		value := all[0]
		switch name {
		case "webhook":
			q.Webhook = value
		case "reason":
			q.Reason, err = value, new(authz.Reason).UnmarshalText([]byte(value))
		case "verdict":
			if q.Verdict = value; value != authz.Allow.String() && value != authz.Deny.String() {
				err = fmt.Errorf("verdict must be allow or deny, not %q", value)
			}
		case "since":
			q.Since, err = cli.ParseSince(value, now)
		case "limit":
			if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 1 || q.Limit > maxDecisions {
				err = fmt.Errorf("limit must be a number from 1 to %d", maxDecisions)
			}
		case "after":
			q.After, _, err = a.number(name, value) // of an earlier process: all that this one has are after it
		case "before":
			var ours bool
			q.Before, ours, err = a.number(name, value)
			gone = !ours
		default:
			err = fmt.Errorf("%q is none of webhook, reason, verdict, since, limit, before, after", name)
		}
		if err != nil {
			return q, false, err
		}
	}
	return q, gone, nil
}

// cursor names a decision of this process by its number, since another process counts
// anew.
func (a *admin) cursor(number uint64) string {
	return a.process + "-" + strconv.FormatUint(number, 10)
}

// number reads a cursor; 0 if it is of another process.
func (a *admin) number(name, cursor string) (number uint64, ours bool, err error) {
	process, digits, _ := strings.Cut(cursor, "-")
	number, err = strconv.ParseUint(digits, 10, 64)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("%s must be next or last of an earlier answer", name)
	case process != a.process:
		return 0, false, nil
	default:
		return number, true, nil
	}
}
