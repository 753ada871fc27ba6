package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	policyv1 "github.com/hookbastion/hookbastion/proto/hookbastion/policy/v1"
)

func newProviders() *cobra.Command {
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
	Proof         string   `json:"proof"`
	SignedTime    bool     `json:"signed_time"`
	Retry         string   `json:"retry"`
	Documentation string   `json:"documentation"`
}

func newProvidersList() *cobra.Command {
	var output, proof, confidence string
	cmd := &cobra.Command{
		Use:   "list [TEXT]",
		Short: "List the providers whose name or title has the text",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output must be text or json, not %q", output)
			}
			all, err := listProviders(strings.Join(args, ""), proof, confidence)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return printProviders(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	cmd.Flags().StringVar(&proof, "proof", "", "only those that give this proof: signature, partial or token")
	cmd.Flags().StringVar(&confidence, "confidence", "", "only those of this confidence: verified or community")
	_ = cmd.RegisterFlagCompletionFunc("proof", cobra.FixedCompletions([]string{"signature", "partial", "token"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("confidence", cobra.FixedCompletions([]string{"verified", "community"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func listProviders(text, proof, confidence string) ([]listed, error) {
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
		if !strings.Contains(strings.ToLower(l.Name+"\n"+l.Title), strings.ToLower(text)) ||
			proof != "" && l.Proof != proof || confidence != "" && !strings.EqualFold(l.Confidence, confidence) {
			continue
		}
		all = append(all, l)
	}
	return all, nil
}

func listing(p *policyv1.Provider) (listed, error) {
	vectors, err := provider.Vectors(p.GetName())
	first := p.GetSchemes()[0].GetScheme()
	l := listed{
		Name: p.GetName(), Title: p.GetTitle(), Confidence: p.GetConfidence().String(), Vectors: vectors,
		Proof: provider.Proof(first), SignedTime: provider.Describe(first).Time != "",
		Retry: p.GetRetry().String(), Documentation: p.GetDocumentation(),
	}
	for _, s := range p.GetSchemes() {
		l.Schemes = append(l.Schemes, s.GetName())
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
		Use:   "show NAME",
		Short: "What a provider sends, what it covers, and a policy for it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json", "yaml"}, output) {
				return fmt.Errorf("--output must be text, json or yaml, not %q", output)
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
		_, err = io.WriteString(w, strings.ReplaceAll(provider.Page(p), "&lt;", "<"))
	}
	return err
}
