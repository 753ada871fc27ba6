package keys

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/handshake"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// newAccept is the subcommand keys accept.
func newAccept() *cobra.Command {
	var policies cli.Policies
	var webhook string
	cmd := &cobra.Command{
		Use:   "accept --policy DIR --webhook NAME",
		Short: "Take the secret that a provider brought in a handshake",
		Long: "Take the secret that a provider brought while handshake.setup_until was open: until\n" +
			"then deliveries get 503. Whoever came first brought it, so look first whether it is\n" +
			"the provider's: the record of the handshake has the sender's address.\n" +
			"Exits 0, 2 if none waits or it cannot be taken, 3 if the policy is invalid.",
		Example: "  hookbastion keys accept --policy policies --webhook asana",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, all, err := policies.Keys()
			if err != nil {
				return err
			}
			file, err := accept(all, webhook)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "the secret of webhook %s is now %s\n", webhook, file)
			}
			return err
		},
	}
	policies.AddFlags(cmd)
	cmd.Flags().StringVar(&webhook, "webhook", "", "name of the webhook (required)")
	_ = cmd.MarkFlagRequired("webhook") // the flag exists
	return cmd
}

func accept(all []keys.Key, webhook string) (file string, err error) {
	for i := range all {
		k := &all[i]
		if k.Webhook != webhook || k.Kind != keys.KindLearnt {
			continue
		}
		text, err := secret.Ref{File: k.File + handshake.Waiting}.Load()
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("no secret waits for webhook %s", webhook)
		}
		if err == nil {
			err = secret.Plain(text)
		}
		if err == nil {
			err = keys.Weakness(text, text)
		}
		if err == nil {
			err = handshake.Accept(k.File)
		}
		if err != nil {
			return "", fmt.Errorf("the secret that waits for webhook %s cannot be taken: %w", webhook, err)
		}
		return k.File, nil
	}
	return "", fmt.Errorf("webhook %s waits for no secret: it has one, or its policy has no handshake.learnt", webhook)
}
