package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newRedeliver() *cobra.Command {
	var client adminClient
	var decision string
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
			text, err := client.ask(cmd.Context(), http.MethodPost, "/api/v1/redeliver", bytes.NewReader(body))
			if err != nil {
				return err
			}
			var answer struct {
				Webhook string `json:"webhook"`
				Seconds int    `json:"seconds"`
			}
			if err := json.Unmarshal(text, &answer); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the next copy of this delivery to %s passes, once, within %s\n", answer.Webhook, time.Duration(answer.Seconds)*time.Second)
			return nil
		},
	}
	cmd.Flags().StringVar(&client.url, "admin", "http://127.0.0.1:9003", "address of the service's admin listener")
	cmd.Flags().StringVar(&decision, "decision", "", "id of the decision that refused the copy")
	client.addFlags(cmd)
	_ = cmd.MarkFlagRequired("decision") // it exists
	return cmd
}
