package serve

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/diff"
	"github.com/hookbastion/hookbastion/policy/watch"
)

// maxChangeLines is how many webhooks one reload logs by name.
const maxChangeLines = 20

// holdWeaker is how long the files of a policy that protects less than the one that
// serves must have been still.
const holdWeaker = 5 * time.Second

// logReload says what a reload changed, those webhooks first that accept more
// than before, or why it failed. The same errors again are one line.
func logReload(log *slog.Logger, report watch.Report) {
	switch {
	case report.Err != nil && report.Repeated:
		log.Error("policy not loaded, the last good one keeps serving", "errors", len(cli.AsErrors(report.Err)), "repeated", true)
	case report.Err != nil:
		for _, e := range cli.AsErrors(report.Err) {
			log.Error("policy not loaded, the last good one keeps serving", "error", e.Error())
		}
	case report.Held:
		log.Warn("the policy would accept more, or lacks webhooks: it waits until its files have been still", "for", holdWeaker,
			"removed", report.Changes.Count(diff.Removed), "wider", report.Changes.Wider())
		logChanges(log, report.Changes)
	default:
		c := report.Changes
		log.Info("policy loaded", "webhooks", len(report.Table.Webhooks()), "policy", report.Table.Digest,
			"added", c.Count(diff.Added), "removed", c.Count(diff.Removed), "changed", c.Count(diff.Changed), "wider", c.Wider())
		logChanges(log, c)
	}
}

func logChanges(log *slog.Logger, changes diff.Changes) {
	changes = slices.Clone(changes)
	slices.SortStableFunc(changes, func(a, b diff.Change) int {
		return min(len(b.Wider), 1) - min(len(a.Wider), 1)
	})
	for i, c := range changes {
		if i == maxChangeLines {
			log.Info("policy change: and others", "webhooks", len(changes)-i)
			return
		}
		attributes := []any{"webhook", c.Webhook, "change", c.Kind.String()}
		if len(c.Keys) > 0 {
			attributes = append(attributes, "keys", strings.Join(c.Keys, " "))
		}
		level := slog.LevelInfo
		if c.Kind == diff.Removed {
			level = slog.LevelWarn
		}
		if len(c.Wider) > 0 {
			attributes = append(attributes, "accepts_more", strings.Join(c.Wider, "; "))
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "policy change", attributes...)
	}
}
