package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// cursorOf names a place in the list of decisions of this process.
func (c *Console) cursorOf(number uint64) string {
	return c.process + "-" + strconv.FormatUint(number, 10)
}

var errCursor = errors.New("this place in the list was that of a service that has ended: begin anew")

func (c *Console) cursor(text string) (uint64, error) {
	process, digits, _ := strings.Cut(text, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || process != c.process || n == 0 {
		return 0, errCursor
	}
	return n, nil
}

// oneDecision is the page of one decision.
type oneDecision struct {
	ID     string
	Record *record.Record // nil: it is not among the last ones
	JSON   string
	// Ticket is what hookbastion redeliver takes on another replica.
	Redeliver bool // a copy can be let through here
	Refused   bool // it refused a copy
	Problem   string
	Passes    *Redelivery
}

// find looks for the decision that the path names.
func (c *Console) find(r *http.Request) *oneDecision {
	d := &oneDecision{ID: r.PathValue("id")}
	found, ok := c.config.Decisions.Find(d.ID)
	if !ok {
		return d
	}
	d.Record = &found
	d.Refused = found.Redeliver != ""
	d.Redeliver = d.Refused && c.config.MayRedeliver(r)
	return d
}

// decision shows all that is known of one decision.
func (c *Console) decision(r *http.Request, v *view) error {
	d := c.find(r)
	v.Page, v.Title, v.Data, v.Live = "decision", "Decision", d, false
	if d.Record == nil {
		v.Status = http.StatusNotFound
		return nil
	}
	text, err := json.MarshalIndent(d.Record, "", "  ")
	d.JSON = string(text)
	return err
}

// askRedelivery asks for the token.
func (c *Console) askRedelivery(r *http.Request, v *view) error {
	d := c.find(r)
	if !d.Redeliver {
		return c.decision(r, v)
	}
	v.Page, v.Title, v.Data, v.Live = "redeliver", "Let a copy through", d, false
	return nil
}

// redeliver lets a copy through if the token is right.
func (c *Console) redeliver(r *http.Request, v *view) error {
	d := c.find(r)
	v.Page, v.Title, v.Data, v.Live = "redeliver", "Let a copy through", d, false
	if !d.Redeliver {
		v.Status = http.StatusForbidden
		return c.decision(r, v)
	}
	if r.ParseForm() != nil {
		v.Status, d.Problem = http.StatusBadRequest, "The form cannot be read."
		return nil //nolint:nilerr // the page says it
	}
	answer := c.config.Redeliver(r, r.PostForm.Get("token"), d.Record)
	if v.Status = answer.Status; answer.Webhook == "" {
		d.Problem = answer.Problem
		return nil
	}
	d.Passes = &answer
	return nil
}

// Minutes is how many minutes a copy may take.
func (r *Redelivery) Minutes() int { return int(r.For / time.Minute) }

// checkWord says in words what a check said.
func checkWord(c record.Check) string {
	switch c.Reason {
	case authz.OK.String():
		return "passed"
	case authz.Handshake.String():
		return "answered"
	default:
		return "failed"
	}
}
