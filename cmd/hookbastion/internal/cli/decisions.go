package cli

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// Decisions is what GET /api/v1/decisions answers.
type Decisions struct {
	// Decisions are the newest first.
	Decisions []record.Record `json:"decisions"`
	// Next is what before must be to get the next ones; absent if there are none.
	Next string `json:"next,omitempty"`
	// Last is what after must be to get only what is decided from now on.
	Last string `json:"last"`
}

// Decisions asks for the last decisions. The query's names are those of the API.
func (c *Admin) Decisions(ctx context.Context, query url.Values) (*Decisions, error) {
	answer := &Decisions{}
	return answer, c.get(ctx, "/api/v1/decisions?"+query.Encode(), answer)
}

// Decision asks for one decision.
func (c *Admin) Decision(ctx context.Context, id string) (*record.Record, error) {
	answer := &record.Record{}
	return answer, c.get(ctx, "/api/v1/decisions/"+url.PathEscape(id), answer)
}

// ParseSince reads a time in RFC 3339, or how long before now it was, such as 15m.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("since must be a time in RFC 3339 or how long ago, such as 15m")
	}
	return at, nil
}
