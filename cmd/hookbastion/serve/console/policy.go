package console

import (
	"net/http"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/keylist"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
)

// Policy is by what is decided: also the answer of GET /api/v1/policy.
type Policy struct {
	Digest   string    `json:"digest"`
	Loaded   time.Time `json:"loaded"`
	Webhooks int       `json:"webhooks"`
	// Errors keep the newest files from serving, since Failing.
	Errors  policy.Errors `json:"errors"`
	Failing *time.Time    `json:"failing_since,omitempty"`
	// Findings are what is weak, the first ones, and More how many there are besides.
	Findings []finding.Finding `json:"findings"`
	More     int               `json:"findings_left_out,omitempty"`
	// NotLooked is why nobody has looked for any.
	NotLooked string `json:"findings_missing,omitempty"`
	// Table is what serves.
	Table *authz.Table `json:"-"`
}

func (p Policy) has(webhook string) bool {
	return p.Table != nil && p.Table.Webhook(webhook) != nil
}

// Count is how many findings have a severity and are not suppressed.
func (p Policy) Count(severity string) int {
	return finding.Count(p.Findings, finding.Severity(severity))
}

// Keys are the secrets, tokens and public keys of policies.
type Keys struct {
	// Since is when counting matches began. Complete says that each webhook is counted by
	// itself.
	Since    time.Time
	Complete bool
	List     []keylist.Key
	More     int // that are left out
	Fetched  []cli.Fetched
}

// policy is the page of the policy.
func (c *Console) policy(_ *http.Request, v *view) error {
	v.Page, v.Title, v.Data = "policy", "Policy", c.config.Policy()
	return nil
}

// keys is the page of all keys.
func (c *Console) keys(_ *http.Request, v *view) error {
	v.Page, v.Title, v.Data = "keys", "Keys", c.config.Keys("")
	return nil
}
