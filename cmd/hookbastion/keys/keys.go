// Package keys is the subcommand keys: all secrets and tokens, and what to do
// about them.
package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// rotateAfter is the age from which on `keys` advises another secret.
const rotateAfter = 90 * 24 * time.Hour

// retireAfter is how long after its last match a key can be retired if another
// one matches meanwhile: some providers repeat a delivery for days, as it was
// signed.
const retireAfter = 72 * time.Hour

func New() *cobra.Command {
	var o keysOptions
	cmd := &cobra.Command{
		Use:   "keys --policy DIR",
		Short: "List the secrets and tokens of all webhooks, and what to do about them",
		Long: "List the secrets and tokens of all webhooks: where each is, when it is accepted, how\n" +
			"old its file is, how strong it is, and what to do about it. With --admin also when\n" +
			"each has matched since the service started. Nothing of a secret is printed, and of\n" +
			"public keys the thumbprint.\n" +
			"Exits 0, or 3 if the policy is invalid.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.policies.AddFlags(cmd)
	cmd.Flags().StringVar(&o.now, "now", "", "the time to judge by, RFC 3339 or Unix seconds (default: now)")
	cmd.Flags().StringVar(&o.output, "output", "text", "text or json")
	o.admin.AddFlags(cmd, "", "address of the service's admin listener, such as http://127.0.0.1:9003 (default: ask nobody)")
	return cmd
}

type keysOptions struct {
	policies    cli.Policies
	now, output string
	admin       cli.Admin
}

// listedKey is one key in `keys --output json`.
type listedKey struct {
	Webhook string `json:"webhook"`
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	// Reference is a file, $ and a variable, a URL or a digest.
	Reference string     `json:"reference"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	// Modified is when the file was written; of tenants' the oldest. Of a URL it is
	// when its server was last asked with success, of several the oldest.
	Modified *time.Time `json:"modified,omitempty"`
	Bytes    int        `json:"bytes,omitempty"`
	// Strength is good, weak, published, public or unknown.
	Strength string `json:"strength"`
	// Public are public keys, which are no secrets.
	Public    []listedPublic     `json:"public,omitempty"`
	AllowWeak string             `json:"allow_weak,omitempty"`
	Tenants   *listedTenants     `json:"tenants,omitempty"`
	Fetched   []cli.Fetched      `json:"fetched,omitempty"`
	Matches   *telemetry.KeyStat `json:"matches,omitempty"`
	Advice    []string           `json:"advice"`
}

// listedPublic is a public key.
type listedPublic struct {
	KID  string `json:"kid,omitempty"`
	Kind string `json:"kind"`
	// Thumbprint is that of RFC 7638: SHA-256 in base64url.
	Thumbprint string `json:"thumbprint"`
}

// listedTenants sums up the files of tenants.
type listedTenants struct {
	Files    int `json:"files"`
	Weak     int `json:"weak"`
	Unusable int `json:"unusable"`
	// Examples are some that are weak or unusable.
	Examples []string `json:"examples,omitempty"`
}

func (o *keysOptions) run(cmd *cobra.Command) error {
	if err := cli.OneOf("--output", o.output, "text", "json"); err != nil {
		return err
	}
	now, err := cli.ParseNow(o.now)
	if err != nil {
		return err
	}
	_, keys, err := o.policies.Keys()
	if err != nil {
		return err
	}
	var live *cli.LiveKeys
	if o.admin.URL != "" {
		if live, err = o.admin.Keys(cmd.Context()); err != nil {
			return err
		}
	}
	all := []listedKey{}
	for i := range keys {
		all = append(all, describeKey(&keys[i], now, live))
	}
	if o.output == "json" {
		return cli.PrintJSON(cmd.OutOrStdout(), all)
	}
	return printKeys(cmd.OutOrStdout(), all, now)
}

func describeKey(k *keys.Key, now time.Time, live *cli.LiveKeys) listedKey {
	l := listedKey{
		Webhook: k.Webhook, Kind: k.Kind, ID: k.ID, Reference: reference(k), NotBefore: timeOrNil(k.NotBefore), NotAfter: timeOrNil(k.NotAfter),
		Bytes: k.Bytes, Strength: strength(k), AllowWeak: k.AllowWeak, Advice: []string{},
	}
	advise := func(text string) { l.Advice = append(l.Advice, text) }
	over := !k.NotAfter.IsZero() && !now.Before(k.NotAfter)
	if over {
		advise("safe to retire: not accepted since " + k.NotAfter.Format(time.RFC3339))
	}
	if now.Before(k.NotBefore) {
		advise("starts at " + k.NotBefore.Format(time.RFC3339))
	}
	if k.URL != "" {
		l.describeFetched(k, live)
	} else if k.PerTenant() {
		l.describeTenants(k)
	} else if info, err := os.Stat(k.File); k.File != "" && err == nil {
		l.Modified = timeOrNil(info.ModTime().UTC())
	}
	for _, public := range k.Public {
		l.Public = append(l.Public, listedPublic(public))
	}
	if l.Modified != nil && now.Sub(*l.Modified) > rotateAfter && !over && !k.IsPublic() {
		advise("older than 90 days: rotate")
	}
	if advice := k.Advice(); advice != "" {
		advise(advice)
	}
	if l.Tenants != nil && len(l.Tenants.Examples) > 0 {
		advise(fmt.Sprintf("%d tenants weak, %d unusable: look at %s", l.Tenants.Weak, l.Tenants.Unusable, strings.Join(l.Tenants.Examples, ", ")))
	}
	if live != nil {
		l.Matches = statOf(live, k)
		if never := neverSeen(live, k, l.Matches); never && !over && !now.Before(k.NotBefore) {
			advise("never seen since " + live.Since.Format(time.RFC3339))
		}
		if other := successor(live, k, l.Matches, now); other != "" && !over {
			advise("safe to retire: no match for " + age(&l.Matches.Last, now) + ", and " + other + " matches since")
		}
	}
	return l
}

func reference(k *keys.Key) string {
	switch {
	case k.File != "":
		return k.File
	case k.Env != "":
		return "$" + k.Env
	case k.URL != "":
		return k.URL
	default:
		return k.Digest
	}
}

func strength(k *keys.Key) string {
	switch {
	case errors.Is(k.Weakness, keys.ErrPublished):
		return "published"
	case k.Weakness != nil:
		return "weak"
	case k.IsPublic():
		return "public"
	case k.Bytes == 0:
		return "unknown" // a digest, or another for each tenant
	default:
		return "good"
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// describeTenants looks at the file of every tenant.
func (l *listedKey) describeTenants(k *keys.Key) {
	l.Tenants = &listedTenants{}
	example := func(name string) {
		if len(l.Tenants.Examples) < 5 {
			l.Tenants.Examples = append(l.Tenants.Examples, name)
		}
	}
	err := tenant.List(k.File, func(name string, info fs.FileInfo) {
		l.Tenants.Files++
		if at := info.ModTime().UTC(); l.Modified == nil || at.Before(*l.Modified) {
			l.Modified = &at
		}
		own, err := k.Of(name)
		switch {
		case err != nil:
			l.Tenants.Unusable++
			example(name)
		case own.Weakness != nil:
			l.Tenants.Weak++
			if k.AllowWeak == "" {
				example(name)
			}
		}
	})
	if err != nil {
		l.Advice = append(l.Advice, "the directory cannot be read")
	}
}

func statOf(l *cli.LiveKeys, k *keys.Key) *telemetry.KeyStat {
	for i := range l.Keys {
		if l.Keys[i].Webhook == k.Webhook && l.Keys[i].KeyID == k.ID {
			return &l.Keys[i].KeyStat
		}
	}
	return nil
}

// neverSeen reports whether the key is known not to have matched.
func neverSeen(l *cli.LiveKeys, k *keys.Key, found *telemetry.KeyStat) bool {
	if found != nil {
		return false
	}
	for i := range l.Keys {
		if l.Keys[i].Webhook == k.Webhook {
			return true // the webhook is counted, and this key not
		}
	}
	return l.Complete
}

// successor returns the id of a key that has begun to match since this one
// stopped; empty if there is none, or the time since is short.
func successor(l *cli.LiveKeys, k *keys.Key, found *telemetry.KeyStat, now time.Time) string {
	if found == nil || now.Sub(found.Last) < retireAfter {
		return ""
	}
	for i := range l.Keys {
		if l.Keys[i].Webhook == k.Webhook && l.Keys[i].First.After(found.Last) {
			return l.Keys[i].KeyID
		}
	}
	return ""
}

func printKeys(w io.Writer, all []listedKey, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WEBHOOK\tID\tFROM\tUNTIL\tAGE\tBYTES\tSTRENGTH\tREFERENCE")
	for i := range all {
		l := &all[i]
		size := "-"
		if l.Bytes > 0 {
			size = fmt.Sprint(l.Bytes)
		}
		reference := l.Reference
		if l.Tenants != nil {
			reference += fmt.Sprintf(" (%d tenants)", l.Tenants.Files)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Webhook, l.ID, day(l.NotBefore), day(l.NotAfter), age(l.Modified, now), size, l.Strength, reference)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i := range all {
		l := &all[i]
		if m := l.Matches; m != nil {
			fmt.Fprintf(w, "%s %s: %d matches, the first at %s, the last at %s\n", l.Webhook, l.ID, m.Count, m.First.Format(time.RFC3339), m.Last.Format(time.RFC3339))
		}
		for _, public := range l.Public {
			name := ""
			if public.KID != "" {
				name = fmt.Sprintf(" %q", public.KID) // a provider's word
			}
			fmt.Fprintf(w, "%s %s: public key%s, %s, thumbprint %s\n", l.Webhook, l.ID, name, public.Kind, public.Thumbprint)
		}
		for _, advice := range l.Advice {
			fmt.Fprintf(w, "%s %s: %s\n", l.Webhook, l.ID, advice)
		}
	}
	return nil
}

func day(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

func age(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return fmt.Sprintf("%dd", int(max(0, now.Sub(*t))/(24*time.Hour)))
}
