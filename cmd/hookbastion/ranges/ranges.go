// Package ranges is the subcommand ranges: the addresses that providers publish, in the
// program and in a service.
package ranges

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ranges",
		Short: "The addresses that providers publish: list, show, compare and accept them",
		Long: "The addresses that providers publish, which policies name in source_ip.ranges. Without\n" +
			"--admin it is what stands in the program, with it what counts in a service.",
	}
	cmd.AddCommand(newList(), newShow(), newDiff(), newAccept())
	return cmd
}

// command is what the subcommands have in common.
type command struct {
	output string
	admin  cli.Admin
}

const adminUsage = "address of the service's admin listener, such as http://127.0.0.1:9003 (default: what is in the program)"

func (c *command) addFlags(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&c.output, "output", "text", "text or json")
	c.admin.AddFlags(cmd, "", usage)
}

func (c *command) check() error { return cli.OneOf("--output", c.output, "text", "json") }

func newList() *cobra.Command {
	c := &command{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the addresses that policies can name, or those that a service uses",
		Long: "List the addresses that policies can name in source_ip.ranges, with the day on which those\n" +
			"in the program were read. With --admin it lists those that the policies of a service\n" +
			"name, with their state: current, snapshot (nothing was fetched), failing (what was good\n" +
			"last counts), held (a change waits), stale (old) or missing (nothing counts yet).\n" +
			"Exits 0, or 2 if the service does not answer.",
		Example: "  hookbastion ranges list\n" +
			"  hookbastion ranges list --admin http://127.0.0.1:9003",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.check(); err != nil {
				return err
			}
			all, err := c.all(cmd)
			if err != nil {
				return err
			}
			if c.output == "json" {
				return cli.PrintJSON(cmd.OutOrStdout(), all)
			}
			return printList(cmd.OutOrStdout(), all)
		},
	}
	c.addFlags(cmd, adminUsage)
	return cmd
}

// all are the lists of a service, or those of the catalogue.
func (c *command) all(cmd *cobra.Command) ([]cli.Range, error) {
	if c.admin.URL != "" {
		return c.admin.Ranges(cmd.Context())
	}
	documents, err := provider.RangeDocuments()
	all := []cli.Range{}
	for _, d := range documents {
		for _, name := range d.Lists() {
			all = append(all, offline(d, name))
		}
	}
	return all, err
}

// offline describes a list as it stands in the program.
func offline(d *provider.RangeDocument, name string) cli.Range {
	s := ranges.Status{Name: name, Of: d.Document, State: "refresh_needed"}
	if list := inProgram(d, name); list != nil {
		s = list.Status(time.Now())
	}
	return cli.RangeOf(&s)
}

// inProgram is a list of which the program has the networks; nil if it has none.
func inProgram(d *provider.RangeDocument, name string) *ranges.List {
	_, service, _ := strings.Cut(name, ":")
	list, err := (*ranges.Keeper)(nil).List(nil, name, d.Document, service)
	if err != nil {
		return nil
	}
	return list
}

func printList(w io.Writer, all []cli.Range) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tPROVIDER\tNETWORKS\tOF\tFORMAT\tSTATE")
	for i := range all {
		r := &all[i]
		at := "-"
		if r.Fetched != nil {
			at = r.Fetched.UTC().Format(time.RFC3339)
			if r.State == string(ranges.Snapshot) || r.Fetched.Equal(r.Fetched.Truncate(24*time.Hour)) {
				at = r.Fetched.UTC().Format(time.DateOnly)
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", r.Name, r.Provider, r.Networks, at, r.Format, r.State)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i := range all {
		if r := &all[i]; r.Detail != "" {
			fmt.Fprintf(w, "%s: %s\n", r.Name, r.Detail)
		}
	}
	return nil
}

func newShow() *cobra.Command {
	c := &command{}
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a list of addresses: where it is from, and its networks",
		Long: "Show a list of addresses: where the provider publishes it, and its networks, one a line.\n" +
			"With --admin they are those that count in a service.\n" +
			"Exits 0, or 2 if there is no such list.",
		Example: "  hookbastion ranges show github",
		Args:    cli.Needs(1, 1, "the name of a list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(); err != nil {
				return err
			}
			r, d, err := c.one(cmd, args[0])
			if err != nil {
				return err
			}
			if c.output == "json" {
				return cli.PrintJSON(cmd.OutOrStdout(), r)
			}
			printOne(cmd.OutOrStdout(), r, d)
			return nil
		},
	}
	c.addFlags(cmd, adminUsage)
	return cmd
}

// one is a list with its networks, and its document; nil where this program does not know
// it, and the service does.
func (c *command) one(cmd *cobra.Command, name string) (*cli.Range, *provider.RangeDocument, error) {
	document, _, _ := strings.Cut(name, ":")
	d, err := provider.Ranges(document)
	if err != nil {
		return nil, nil, err
	}
	if c.admin.URL != "" {
		r, err := c.admin.Range(cmd.Context(), name)
		return r, d, err
	}
	if err := exists(d, name); err != nil {
		return nil, nil, err
	}
	r := offline(d, name)
	if list := inProgram(d, name); list != nil {
		r.In = cli.Texts(list.Set(time.Now()).Networks())
	}
	return &r, d, nil
}

// exists says what is wrong with a name.
func exists(d *provider.RangeDocument, name string) error {
	document, service, _ := strings.Cut(name, ":")
	switch {
	case d == nil:
		all, err := provider.RangeDocuments()
		var names []string
		for _, other := range all {
			names = append(names, other.Name)
		}
		return errors.Join(err, errors.New("there are no addresses called "+strconv.Quote(document)+strictyaml.Suggest(document, names)))
	case d.Find(service) == nil:
		return errors.New(strconv.Quote(name) + " is none of " + strings.Join(d.Lists(), ", "))
	default:
		return nil
	}
}

func printOne(w io.Writer, r *cli.Range, d *provider.RangeDocument) {
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%-10s %s\n", name, text)
		}
	}
	line("name", r.Name)
	line("provider", r.Provider)
	line("document", r.URL)
	line("until", r.Ends)
	if d != nil {
		line("told at", d.Page)
	}
	line("state", r.State)
	line("detail", r.Detail)
	if r.Fetched != nil {
		line("of", r.Fetched.UTC().Format(time.RFC3339))
	}
	if d != nil && r.Fetched != nil && r.Fetched.Equal(d.Read) {
		line("read at", d.Source)
	}
	if d != nil {
		for _, note := range d.Notes {
			line("note", note)
		}
	}
	if len(r.In) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, network := range r.In {
		fmt.Fprintln(w, network)
	}
}

// setOf makes a set of networks that this program or a service has printed.
func setOf(texts []string) (*ranges.Set, error) {
	networks := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var err error
		if networks[i], err = ranges.ParsePrefix(text); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
	}
	return ranges.NewSet(networks), nil
}
