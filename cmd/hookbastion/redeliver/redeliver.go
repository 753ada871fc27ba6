// Package redeliver is the subcommand redeliver: one refused copy may pass once.
package redeliver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

func New() *cobra.Command {
	var client cli.Admin
	var decision, record string
	cmd := &cobra.Command{
		Use:   "redeliver --admin URL {--decision ID | --record FILE}",
		Short: "Let one refused copy through once",
		Long: "Let the next copy of what a decision refused as replayed through, once, within a\n" +
			"quarter of an hour: for a redelivery that an operator asks the provider for. The\n" +
			"application gets it with x-hookbastion-replay: redelivered.\n\n" +
			"--decision is known to the replica that refused, until it is restarted or has\n" +
			"refused copies of 128 other deliveries to the webhook. --record takes the line of\n" +
			"the decision records; with a store that replicas share it can be given to any.",
		Example: "  hookbastion redeliver --admin http://127.0.0.1:9003 --decision 9c1185a5c5e9fc54612808977ee8f548",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ticket := ""
			if record != "" {
				var err error
				if ticket, err = ticketOf(cmd.InOrStdin(), record); err != nil {
					return err
				}
			}
			answer, err := client.Redeliver(cmd.Context(), decision, ticket)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the next copy of this delivery to %s passes, once, within %s\n", answer.Webhook, time.Duration(answer.Seconds)*time.Second)
			return nil
		},
	}
	client.AddFlags(cmd, "http://127.0.0.1:9003", "address of the service's admin listener")
	cmd.Flags().StringVar(&decision, "decision", "", "id of the decision that refused the copy; this or --record")
	cmd.Flags().StringVar(&record, "record", "", "file with the record of that decision, - for standard input; this or --decision")
	cmd.MarkFlagsOneRequired("decision", "record")
	cmd.MarkFlagsMutuallyExclusive("decision", "record")
	return cmd
}

// maxRecord bounds a decision record.
const maxRecord = 64 << 10

// ticketOf reads the ticket of one decision record.
func ticketOf(stdin io.Reader, name string) (string, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRecord+1))
	if err != nil {
		return "", err
	}
	var record struct {
		Ticket string `json:"redeliver"`
	}
	switch err := json.Unmarshal(text, &record); {
	case len(text) > maxRecord:
		return "", errors.New("the record is longer than a record can be: give it the one line")
	case err != nil:
		return "", fmt.Errorf("the record is not one line of JSON: %w", err)
	case record.Ticket == "":
		return "", errors.New("the record has no redeliver: it is not that of a copy that was refused")
	}
	return record.Ticket, nil
}
