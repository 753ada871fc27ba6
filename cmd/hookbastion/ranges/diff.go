package ranges

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/provider"
)

func newDiff() *cobra.Command {
	c := &command{}
	cmd := &cobra.Command{
		Use:   "diff NAME [FILE|-]",
		Short: "Compare a list of addresses with a document, or with the change that is held",
		Long: "Compare a list of addresses with a document of the provider that somebody has saved, and\n" +
			"say what would become of it: it counts at once, it is held, or it is refused. With\n" +
			"--admin the list is the one that counts in a service, and without a file it is\n" +
			"compared with the change that the service holds.\n" +
			"Exits 0, 2 if something cannot be read, or 3 if the document is refused.",
		Example: "  hookbastion ranges diff github meta.json\n" +
			"  hookbastion ranges diff github --admin http://127.0.0.1:9003",
		Args: cli.Needs(1, 2, "the name of a list and a file"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.diff(cmd, args) },
	}
	c.addFlags(cmd, adminUsage)
	return cmd
}

// difference is what diff prints as JSON.
type difference struct {
	Name  string   `json:"name"`
	Lost  []string `json:"lost"`
	Added []string `json:"added"`
	// Verdict is counts, held or refused; Why says what is too much, or wrong.
	Verdict string `json:"verdict"`
	Why     string `json:"why,omitempty"`
	// Digest is that of the change that a service holds.
	Digest string `json:"digest,omitempty"`
}

func (c *command) diff(cmd *cobra.Command, args []string) error {
	if err := c.check(); err != nil {
		return err
	}
	r, d, err := c.one(cmd, args[0])
	if err != nil {
		return err
	}
	old, err := setOf(r.In)
	if err != nil {
		return err
	}
	diff := &difference{Name: r.Name, Lost: []string{}, Added: []string{}}
	var next *ranges.Set
	switch {
	case len(args) == 2:
		var bad error
		if next, bad = read(cmd, d, args); errors.As(bad, new(unread)) {
			return bad
		} else if bad != nil {
			diff.Verdict, diff.Why = "refused", bad.Error()
		}
	case c.admin.URL == "":
		return errors.New("there is nothing to compare with: name a file, or a service with --admin")
	case r.Held == nil:
		return fmt.Errorf("no change of %s is held", r.Name)
	default:
		if diff.Digest = r.Held.Digest; len(r.Next) == 0 {
			return fmt.Errorf("a change of %s is held, and the service was restarted and has not seen it again", r.Name)
		}
		if next, err = setOf(r.Next); err != nil {
			return err
		}
	}
	if next != nil {
		diff.judge(old, next)
	}
	if c.output == "json" {
		if err := cli.PrintJSON(cmd.OutOrStdout(), diff); err != nil {
			return err
		}
	} else {
		printDiff(cmd.OutOrStdout(), diff)
	}
	if diff.Verdict == "refused" {
		return cli.Invalid
	}
	return nil
}

// judge says what would become of a document that is sound.
func (d *difference) judge(old, next *ranges.Set) {
	d.Lost, d.Added, d.Verdict = cli.Texts(old.Less(next)), cli.Texts(next.Less(old)), "counts"
	if old.Len() == 0 {
		return // what is compared with nothing is believed
	}
	if d.Why = ranges.Compare(old, next).Why; d.Why != "" {
		d.Verdict = "held"
	}
}

// unread is an error of the file, and not of what is in it.
type unread struct{ error }

func read(cmd *cobra.Command, d *provider.RangeDocument, args []string) (*ranges.Set, error) {
	if err := exists(d, args[0]); err != nil {
		return nil, unread{err}
	}
	if d.Kind == "" {
		return nil, unread{fmt.Errorf("the networks of %s stand on a page, %s, and in no document", d.Name, d.Page)}
	}
	body, err := cli.ReadInput(cmd.InOrStdin(), args[1])
	switch {
	case err != nil:
		return nil, unread{err}
	case len(body) > ranges.MaxBytes:
		return nil, errors.New("the document is larger than 8 MiB")
	}
	_, service, _ := strings.Cut(args[0], ":")
	return d.Find(service).Parse(d.Kind, body)
}

func printDiff(w io.Writer, d *difference) {
	for _, network := range d.Lost {
		fmt.Fprintln(w, "-", network)
	}
	for _, network := range d.Added {
		fmt.Fprintln(w, "+", network)
	}
	switch {
	case d.Digest != "":
		fmt.Fprintf(w, "held: %s; hookbastion ranges accept %s --digest %s lets it count\n", d.Why, d.Name, d.Digest)
	case d.Verdict == "held":
		fmt.Fprintf(w, "held: %s; it would count after it has stood there for a day, or when it is accepted\n", d.Why)
	case d.Verdict == "refused":
		fmt.Fprintf(w, "refused: %s\n", d.Why)
	case len(d.Lost)+len(d.Added) == 0:
		fmt.Fprintln(w, "the same")
	default:
		fmt.Fprintln(w, "counts: it would count at once")
	}
}

func newAccept() *cobra.Command {
	c := &command{}
	var digest string
	cmd := &cobra.Command{
		Use:   "accept NAME --admin URL",
		Short: "Let a change of addresses count that a service holds",
		Long: "Let a change of addresses count that a service holds since it loses more than half or\n" +
			"grows beyond double. Look at it with ranges diff first, and give the digest that it\n" +
			"prints: if the document has changed since, nothing is accepted. Without --digest the\n" +
			"one that is held now is accepted. The service fetches it once more, and then it\n" +
			"counts. Replicas that share fetch.directory accept it with their next fetch.\n" +
			"Exits 0, or 2 if no such change is held.",
		Example: "  hookbastion ranges accept github --admin http://127.0.0.1:9003",
		Args:    cli.Needs(1, 1, "the name of a list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(); err != nil {
				return err
			}
			if c.admin.URL == "" {
				return errors.New("--admin is missing: only a service holds changes")
			}
			r, err := c.admin.Range(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case r.Held == nil:
				return fmt.Errorf("no change of %s is held", args[0])
			case digest == "":
				digest = r.Held.Digest
			}
			if err := c.admin.AcceptRange(cmd.Context(), args[0], digest); err != nil {
				return err
			}
			if c.output == "json" {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]string{"name": args[0], "digest": digest})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the change of %s counts when it was fetched once more, which is now: %d networks go, %d come\n", args[0], r.Held.Lost, r.Held.Added)
			return nil
		},
	}
	c.addFlags(cmd, "address of the service's admin listener, such as http://127.0.0.1:9003 (default: none, and it must be given)")
	cmd.Flags().StringVar(&digest, "digest", "", "the change that is meant, as ranges diff prints it (default: the one that is held now)")
	return cmd
}
