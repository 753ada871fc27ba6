package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/secret"
)

func newRedeliver() *cobra.Command {
	var admin, decision, token string
	cmd := &cobra.Command{
		Use:   "redeliver --admin URL --decision ID",
		Short: "Let one refused copy through once",
		Long: "Let the next copy of what a decision refused as replayed through, once, within a\n" +
			"quarter of an hour: for a redelivery that an operator asks the provider for. The\n" +
			"application gets it with x-hookbastion-replay: redelivered.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := json.Marshal(map[string]string{"decision": decision})
			if err != nil {
				return err
			}
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodPost,
				strings.TrimSuffix(admin, "/")+"/api/v1/redeliver", bytes.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			if token != "" {
				value, err := secret.Ref{File: token}.Load()
				if err != nil {
					return err
				}
				req.Header.Set("Authorization", "Bearer "+string(value.Reveal()))
			}
			return askRedelivery(cmd.OutOrStdout(), req)
		},
	}
	cmd.Flags().StringVar(&admin, "admin", "http://127.0.0.1:9003", "address of the service's admin listener")
	cmd.Flags().StringVar(&decision, "decision", "", "id of the decision that refused the copy")
	cmd.Flags().StringVar(&token, "token-file", "", "file with the token of the admin listener")
	_ = cmd.MarkFlagRequired("decision") // it exists
	return cmd
}

func askRedelivery(out io.Writer, req *http.Request) error {
	response, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(text))
	}
	var answer struct {
		Webhook string `json:"webhook"`
		Seconds int    `json:"seconds"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	fmt.Fprintf(out, "the next copy of this delivery to %s passes, once, within %s\n", answer.Webhook, time.Duration(answer.Seconds)*time.Second)
	return nil
}
