// Package providers is the subcommand providers: the catalogue, listed and
// shown.
package providers

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/provider/page"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func New() *cobra.Command {
	list := newProvidersList()
	cmd := &cobra.Command{
		Use:   "providers",
		Short: "The catalogue of providers: list, and show one",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return list.RunE(list, nil) },
	}
	cmd.AddCommand(list, newProvidersShow())
	return cmd
}

// listed is one entry in `providers list --output json`.
type listed struct {
	Name          string   `json:"name"`
	Title         string   `json:"title"`
	Confidence    string   `json:"confidence"`
	Schemes       []string `json:"schemes"`
	Vectors       int      `json:"vectors"`
	Kinds         []string `json:"kinds"`
	Proof         string   `json:"proof"`
	SignedTime    bool     `json:"signed_time"`
	Retry         string   `json:"retry"`
	DeniedStatus  int      `json:"denied_status"`
	Documentation string   `json:"documentation"`
}

// wanted says which entries are listed.
type wanted struct {
	text                      string
	scheme, proof, confidence string
}

// filters are the flags that take one of a few words.
func (f *wanted) filters() []filter {
	return []filter{
		{"scheme", "with a scheme of this kind", &f.scheme, []string{"hmac", "shared_token", "jws", "code"}},
		{"proof", "that give this proof", &f.proof, []string{"signature", "partial", "token"}},
		{"confidence", "of this confidence", &f.confidence, []string{"verified", "community"}},
	}
}

type filter struct {
	name, usage string
	value       *string
	words       []string
}

func newProvidersList() *cobra.Command {
	var output string
	var want wanted
	cmd := &cobra.Command{
		Use:   "list [TEXT]",
		Short: "List the providers whose name or title has the text",
		Example: "  hookbastion providers list pay\n" +
			"  hookbastion providers list --output json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", output, "text", "json"); err != nil {
				return err
			}
			for _, f := range want.filters() {
				*f.value = strings.ToLower(*f.value)
				if *f.value != "" && !slices.Contains(f.words, *f.value) {
					return fmt.Errorf("--%s must be one of %s, not %q", f.name, strings.Join(f.words, ", "), *f.value)
				}
			}
			want.text = strings.Join(args, "")
			all, err := listProviders(&want)
			if err != nil {
				return err
			}
			if output == "json" {
				err = cli.PrintJSON(cmd.OutOrStdout(), all)
			} else if len(all) > 0 {
				err = printProviders(cmd.OutOrStdout(), all)
			}
			if err == nil && len(all) == 0 {
				err = want.noMatch()
			}
			return err
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	for _, f := range want.filters() {
		cmd.Flags().StringVar(f.value, f.name, "", "only those "+f.usage+": "+strings.Join(f.words, ", ")+" (default: all)")
		_ = cmd.RegisterFlagCompletionFunc(f.name, cobra.FixedCompletions(f.words, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	}
	return cmd
}

// kinds are what a policy can say of a sender that the catalogue does not have, by
// the key of its scheme.
var kinds = map[string]string{
	"hmac":           "a keyed hash over body, time, URL or headers (hmac)",
	"rsa":            "an RSA signature over the same, checked with a public key (rsa)",
	"ecdsa":          "an ECDSA signature over the same (ecdsa)",
	"ed25519":        "an Ed25519 signature over the same (ed25519)",
	"jws":            "a JSON Web Token or other JWS, signed with a secret or a private key (jws)",
	"http_signature": "an HTTP message signature of RFC 9421, or of its draft (http_signature)",
	"shared_token":   "a shared token in a header, the query or the body (shared_token)",
}

// noMatch says that nothing is listed, and what to do about a sender that is not in
// the catalogue.
func (f *wanted) noMatch() error {
	message := "no entry of the catalogue fits"
	if f.text != "" {
		message = fmt.Sprintf("no entry of the catalogue that fits has %q in its name or title", f.text)
		if all, err := listProviders(&wanted{text: f.text}); err == nil && len(all) == 0 {
			names, _ := provider.Names() // read without an error before
			message += strictyaml.Suggest(strings.ToLower(f.text), names)
		}
	}
	return fmt.Errorf("%s\nA policy can describe a sender of its own, without any code, if it signs or sends:\n"+
		"  %s\nThe guide is docs/concepts.md#a-signature-of-your-own-kind, and for the catalogue docs/providers/adding.md",
		message, strings.Join(slices.Sorted(maps.Values(kinds)), "\n  "))
}

func listProviders(want *wanted) ([]listed, error) {
	names, err := provider.Names()
	if err != nil {
		return nil, err
	}
	all := []listed{}
	for _, name := range names {
		p, err := provider.Get(name)
		if err != nil {
			return nil, err
		}
		l, err := listing(p)
		if err != nil {
			return nil, err
		}
		if want.has(&l) {
			all = append(all, l)
		}
	}
	return all, nil
}

func (f *wanted) has(l *listed) bool {
	return strings.Contains(strings.ToLower(l.Name+"\n"+l.Title), strings.ToLower(f.text)) &&
		(f.scheme == "" || slices.Contains(l.Kinds, f.scheme)) &&
		(f.proof == "" || l.Proof == f.proof) &&
		(f.confidence == "" || strings.EqualFold(l.Confidence, f.confidence))
}

func listing(p *policyv1.Provider) (listed, error) {
	vectors, err := provider.Vectors(p.GetName())
	first := p.GetSchemes()[0].GetScheme()
	l := listed{
		Name: p.GetName(), Title: p.GetTitle(), Confidence: p.GetConfidence().String(), Vectors: vectors,
		Proof: provider.Proof(first), SignedTime: page.Describe(first).Time != "",
		Retry: p.GetRetry().String(), DeniedStatus: http.StatusUnauthorized, Documentation: p.GetDocumentation(),
	}
	if p.DeniedStatus != nil {
		l.DeniedStatus = int(p.GetDeniedStatus())
	}
	for _, s := range p.GetSchemes() {
		l.Schemes = append(l.Schemes, s.GetName())
		if kind := provider.Kind(s.GetScheme()); !slices.Contains(l.Kinds, kind) {
			l.Kinds = append(l.Kinds, kind)
		}
	}
	return l, err
}

func printProviders(w io.Writer, all []listed) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tTITLE\tPROOF\tTIME\tRETRY\tCONFIDENCE")
	for _, l := range all {
		timed := "-"
		if l.SignedTime {
			timed = "signed"
		}
		fmt.Fprintf(table, "%s\t%.34s\t%s\t%s\t%s\t%s\n", l.Name, l.Title, l.Proof, timed, strings.ToLower(l.Retry), strings.ToLower(l.Confidence))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d providers\n", len(all))
	return err
}

func newProvidersShow() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "What a provider sends, what it covers, and a policy for it",
		Example: "  hookbastion providers show stripe",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.OneOf("--output", output, "text", "json", "yaml"); err != nil {
				return err
			}
			return showProvider(cmd.OutOrStdout(), args[0], output)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names, _ := provider.Names() // no completion where the catalogue cannot be read
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text, json or yaml")
	return cmd
}

func showProvider(w io.Writer, name, output string) error {
	p, err := provider.Get(name)
	if err != nil {
		return err
	}
	if p == nil {
		names, _ := provider.Names() // read without an error above
		return fmt.Errorf("%q is not in the catalogue%s", name, strictyaml.Suggest(name, names))
	}
	switch output {
	case "yaml":
		_, err = w.Write(provider.Source(name))
	case "json":
		text, jsonErr := protojson.MarshalOptions{UseProtoNames: true, Indent: "  "}.Marshal(p)
		if jsonErr != nil {
			return jsonErr
		}
		_, err = fmt.Fprintf(w, "%s\n", text)
	default:
		_, err = io.WriteString(w, page.Text(p))
	}
	return err
}
