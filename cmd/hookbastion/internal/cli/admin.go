package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// Admin asks the admin listener of a service.
type Admin struct {
	URL                  string
	Token, CA, Cert, Key string // files, or empty
}

// AddFlags gives a command the flags of the client: --admin with a default and
// what it is for, and those of TLS and the token.
func (c *Admin) AddFlags(cmd *cobra.Command, url, usage string) {
	cmd.Flags().StringVar(&c.URL, "admin", url, usage)
	cmd.Flags().StringVar(&c.Token, "token-file", "", "file with the token of the admin listener (default: none)")
	cmd.Flags().StringVar(&c.CA, "ca", "", "PEM file with the authority of the admin listener's certificate (default: the system's)")
	cmd.Flags().StringVar(&c.Cert, "cert", "", "PEM file with a certificate to show to the admin listener (default: none)")
	cmd.Flags().StringVar(&c.Key, "key", "", "PEM file with the key of --cert (default: none)")
}

// maxAnswer is in bytes.
const maxAnswer = 16 << 20

// ask sends a request and returns the body of a good answer.
func (c *Admin) ask(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		value, err := secret.Ref{File: c.Token}.Load()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+string(value.Reveal()))
	}
	config, err := c.TLS(req.URL.Scheme)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it sends nobody elsewhere
	}
	response, err := client.Do(req)
	if failed := (*net.OpError)(nil); errors.As(err, &failed) && failed.Op == "dial" {
		return nil, fmt.Errorf("%w; the service has an admin listener only where the setting admin.listen says so, as in serve --admin-listen 127.0.0.1:9003", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", c.URL, response.Status, strings.TrimSpace(string(text[:min(len(text), 1<<10)])))
	}
	return text, nil
}

// TLS reads the files for TLS. A key that would not be used is an error.
func (c *Admin) TLS(scheme string) (*tls.Config, error) {
	if c.CA == "" && c.Cert == "" && c.Key == "" {
		return nil, nil //nolint:nilnil // the defaults
	}
	if scheme != "https" {
		return nil, errors.New("--ca, --cert and --key need an --admin that begins with https://")
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("--cert and --key need each other")
	}
	files := &settings.ClientTLS{CA: c.CA, Cert: c.Cert, Key: c.Key}
	if _, err := files.Load(time.Time{}); err != nil {
		return nil, err
	}
	return files.Config(), nil
}

// LiveKeys is what the admin listener says: GET /api/v1/keys.
type LiveKeys struct {
	// Since is when the service began to count.
	Since time.Time `json:"since"`
	// Complete says that each webhook is counted by itself.
	Complete bool                 `json:"complete"`
	Keys     []telemetry.KeyMatch `json:"keys"`
	// Fetched are the documents of providers that the service has, or would have.
	Fetched []Fetched `json:"fetched"`
}

// Fetched is what the service knows of a URL at which a provider publishes keys.
type Fetched struct {
	// Source is the URL as the policy has it, with {id} where keys are fetched by id.
	Source string `json:"source"`
	URL    string `json:"url"`
	// Confirmed is when the server said last that it is so, Changed when it said so
	// first; absent if it never did.
	Confirmed *time.Time `json:"confirmed,omitempty"`
	Changed   *time.Time `json:"changed,omitempty"`
	// State is current, failing (what was good last is in use) or missing.
	State string `json:"state"`
	// Failure is why the last fetch failed.
	Failure string `json:"failure,omitempty"`
}

// Keys asks which keys have matched.
func (c *Admin) Keys(ctx context.Context) (*LiveKeys, error) {
	live := &LiveKeys{}
	return live, c.get(ctx, "/api/v1/keys", live)
}

// Webhooks asks which webhooks have nonces.
func (c *Admin) Webhooks(ctx context.Context) (known map[string]watermark.Kept, err error) {
	err = c.get(ctx, "/api/v1/webhooks", &known)
	return known, err
}

func (c *Admin) get(ctx context.Context, path string, into any) error {
	text, err := c.ask(ctx, http.MethodGet, path, http.NoBody)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// Redeliver lets one refused copy through once. Either the id of the decision is
// given, or the ticket of its record.
func (c *Admin) Redeliver(ctx context.Context, decision, ticket string) (*Redelivery, error) {
	wanted := map[string]string{"decision": decision}
	if ticket != "" {
		wanted = map[string]string{"redeliver": ticket}
	}
	body, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	text, err := c.ask(ctx, http.MethodPost, "/api/v1/redeliver", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer := &Redelivery{}
	return answer, json.Unmarshal(text, answer)
}

// Redelivery is what POST /api/v1/redeliver answers.
type Redelivery struct {
	Webhook string `json:"webhook"`
	Seconds int    `json:"seconds"` // in which the copy must come
}
