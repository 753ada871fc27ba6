package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// Captures is what GET /api/v1/captures answers.
type Captures struct {
	// On says that the service keeps some.
	On bool `json:"on"`
	// Captures are the newest first.
	Captures []captures.Capture `json:"captures"`
}

// AskDelivered is what POST /api/v1/delivered is asked.
type AskDelivered struct {
	Request []byte `json:"request"` // a raw HTTP/1.1 request
	Webhook string `json:"webhook,omitempty"`
	Scheme  string `json:"scheme,omitempty"` // https if empty
}

// Delivered is what it answers.
type Delivered struct {
	Webhook string `json:"webhook"`
	// Holds says that the request's proof holds there, Reason why it does not.
	Holds  bool   `json:"holds"`
	Reason string `json:"reason"`
	// Known says that something stands for the content, by which decisions are found.
	Known bool `json:"known"`
	// Decisions are those about the same content, the newest first.
	Decisions []record.Record `json:"decisions"`
}

// Captures asks which denied requests are kept.
func (c *Admin) Captures(ctx context.Context) (*Captures, error) {
	answer := &Captures{}
	return answer, c.get(ctx, "/api/v1/captures", answer)
}

// Capture asks for one, which is a file of age.
func (c *Admin) Capture(ctx context.Context, decision string) ([]byte, error) {
	return c.ask(ctx, http.MethodGet, "/api/v1/captures/"+url.PathEscape(decision), http.NoBody)
}

// Delivered asks what was decided about the content of a request before.
func (c *Admin) Delivered(ctx context.Context, asked AskDelivered) (*Delivered, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	text, err := c.ask(ctx, http.MethodPost, "/api/v1/delivered", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer := &Delivered{}
	return answer, json.Unmarshal(text, answer)
}
