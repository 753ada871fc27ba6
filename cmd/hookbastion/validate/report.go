package validate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/keylist"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/posture"
	"github.com/hookbastion/hookbastion/policy/posture/page"
)

// report is what is asked for of a posture report.
type report struct {
	names   []string
	compare string
}

func (r *report) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&r.names, "report", nil, "write how well webhooks are defended to a file whose name ends in .html, for people, or .json; may be repeated (default: no report)")
	cmd.Flags().StringVar(&r.compare, "compare", "", "with --report: an earlier report in JSON; what became better or worse since is printed, and in the new report (default: none)")
}

// check says what is wrong with the flags, before anything is looked at.
func (r *report) check() error {
	for _, name := range r.names {
		if ext := filepath.Ext(name); ext != ".html" && ext != ".json" {
			return fmt.Errorf("--report must end in .html or .json, and does not: %q", name)
		}
	}
	if r.compare != "" && len(r.names) == 0 {
		return errors.New("--compare goes with --report")
	}
	return nil
}

// report writes the reports, of policies that can be served alone: others have no posture.
func (v *validation) report(cmd *cobra.Command, l looked, now time.Time) error {
	if len(v.reports.names) == 0 {
		return nil
	}
	said := cmd.ErrOrStderr() // out has what was found
	if len(l.problem) > 0 {
		fmt.Fprintln(said, "no report is written: the policies have errors")
		return nil
	}
	var before *posture.Report
	if v.reports.compare != "" {
		text, _, err := files.Read(v.reports.compare, posture.MaxBytes)
		if err != nil {
			return fmt.Errorf("%s: %w", v.reports.compare, err)
		}
		if before, err = posture.Parse(text); err != nil {
			return fmt.Errorf("%s %w", v.reports.compare, err)
		}
	}
	r, err := v.judge(cmd.Context(), l, now)
	if err != nil {
		return err
	}
	if before != nil {
		r.Changes = posture.Compare(before, r)
		printChanges(said, r.Changes)
	}
	for _, name := range v.reports.names {
		if err := writeReport(name, r); err != nil {
			return err
		}
		fmt.Fprintf(said, "%s: grade %s\n", name, r.Grade)
	}
	return nil
}

// judge gathers what there is to know, and judges it.
func (v *validation) judge(ctx context.Context, l looked, now time.Time) (*posture.Report, error) {
	set, err := policy.Load(v.p.Paths...)
	if err != nil {
		return nil, err
	}
	if set.Digest != l.table.Digest {
		return nil, errors.New("the policies have changed meanwhile: ask again")
	}
	in := posture.Input{Set: set, Findings: l.found, Program: cli.Version, Now: now, Keys: map[string][]posture.Key{}}
	if v.p.Config != "" {
		in.Settings = &posture.Settings{Monitored: !l.settings.Monitor.Off}
	}
	var live *cli.LiveKeys
	if v.admin.URL != "" {
		if live, err = v.admin.Keys(ctx); err != nil {
			return nil, err
		}
		if in.Live, err = v.admin.Posture(ctx); err != nil {
			return nil, err
		}
		in.Live.Since = live.Since
	}
	for i := range l.keys {
		k := &l.keys[i]
		in.Keys[k.Webhook] = append(in.Keys[k.Webhook], postureKey(k, now, live))
	}
	return posture.Judge(in)
}

// postureKey is what a reviewer may see of a key.
func postureKey(k *keys.Key, now time.Time, live *cli.LiveKeys) posture.Key {
	l := keylist.Describe(k, now, live, true)
	own := posture.Key{
		Kind: l.Kind, ID: l.ID, Reference: l.Reference, NotBefore: l.NotBefore, NotAfter: l.NotAfter, Modified: l.Modified,
		Strength: l.Strength, Fetched: k.URL != "",
	}
	switch {
	case k.Digest != "": // who guesses the token could see that it is right
		own.Reference = "a digest in the policy"
	case k.URL != "":
		own.Reference = hostOf(k.URL)
	}
	if l.Tenants != nil {
		own.Reference += fmt.Sprintf(" (tenants: %d)", l.Tenants.Files)
		switch {
		case l.Tenants.Weak+l.Tenants.Unusable > 0:
			own.Strength = "weak"
		case l.Tenants.Files > 0:
			own.Strength = "good"
		}
	}
	if live != nil && k.Kind != keys.KindVerifyToken {
		count := int64(0)
		if m := l.Matches; m != nil {
			count, own.LastMatch = m.Count, &m.Last
		}
		if l.Matches != nil || live.Complete {
			own.Matches = &count
		}
	}
	return own
}

// hostOf leaves out what may be a secret in a URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "a URL"
	}
	return u.Scheme + "://" + u.Host
}

func printChanges(w io.Writer, c *posture.Changes) {
	for _, part := range []struct {
		name  string
		lines []string
	}{{"worse", c.Worse}, {"better", c.Better}, {"other", c.Other}} {
		for _, line := range part.lines {
			fmt.Fprintf(w, "%s: %s\n", part.name, line)
		}
	}
	if len(c.Worse)+len(c.Better)+len(c.Other) == 0 {
		fmt.Fprintln(w, "nothing has changed since", c.Since.Format(time.RFC3339))
	}
}

// writeReport writes a file, whole or not at all, that its owner alone may read: who gets
// a report is for him to say.
func writeReport(name string, r *posture.Report) (err error) {
	var text bytes.Buffer
	if filepath.Ext(name) == ".html" {
		err = page.Write(&text, r)
	} else {
		err = cli.PrintJSON(&text, r)
	}
	if err != nil {
		return err
	}
	return cli.WriteWhole(name, text.Bytes(), 0o600)
}
