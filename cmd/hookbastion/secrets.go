package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/policy"
)

// secretLog says what became of secrets that changed. It says at most
// maxChangeLines in a second: the names of tenants are the senders' choice.
type secretLog struct {
	log   *slog.Logger
	mu    sync.Mutex
	since time.Time
	lines int
}

func (l *secretLog) changed(changes []secret.Change) {
	for _, c := range changes {
		l.change(c)
	}
}

func (l *secretLog) change(c secret.Change) {
	if !l.allow(time.Now()) {
		return
	}
	attributes := []any{"file", c.File}
	if c.Webhook != "" {
		attributes = append(attributes, "webhook", c.Webhook, "key", c.Key)
	}
	if c.Err != nil {
		l.log.Error("secret not taken, the last good one, if there is one, stays", append(attributes, "error", c.Err.Error())...)
		return
	}
	l.log.Info("secret taken", attributes...)
}

func (l *secretLog) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= time.Second {
		l.since, l.lines = now, 0
	}
	l.lines++
	if l.lines == maxChangeLines+1 {
		l.log.Error("more secrets changed, see hookbastion.secrets and hookbastion.tenant.loads")
	}
	return l.lines <= maxChangeLines
}

// secretCounts counts the secrets of the table that serves.
func secretCounts(table *authz.Table) secret.Counts {
	if table == nil {
		return secret.Counts{}
	}
	return table.Secrets.Count()
}

// tenantStats adds to the numbers of the loader how much the table that serves
// has in memory.
func tenantStats(stats tenant.Stats, table *authz.Table) tenant.Stats {
	if table != nil && table.Tenants != nil {
		known, unknown := table.Tenants()
		stats.Held, stats.Missed = int64(known), int64(unknown)
	}
	return stats
}

// loadKeys is loadTable that also lists the secrets and tokens.
func loadKeys(paths []string, config string) (*authz.Table, []policy.Key, error) {
	var keys []policy.Key
	table, err := loadTableWith(paths, config, func(k policy.Key) { keys = append(keys, k) })
	return table, keys, err
}

// weakWarnings lists the secrets of a webhook that serve would refuse, or takes
// although they are weak.
func weakWarnings(keys []policy.Key, webhook, tenantName string) []string {
	var warnings []string
	for i := range keys {
		k := &keys[i]
		if k.Webhook != webhook {
			continue
		}
		if k.PerTenant() && tenantName != "" {
			*k, _ = k.Of(tenantName) // what cannot be read has its reason already
		}
		if advice := k.Advice(); advice != "" {
			warnings = append(warnings, k.Kind+" "+k.ID+": "+advice)
		}
	}
	return warnings
}

// weakFindings are the findings about weak secrets.
func weakFindings(keys []policy.Key) []policy.Finding {
	found := []policy.Finding{}
	for i := range keys {
		if f, ok := keys[i].Finding(); ok {
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b policy.Finding) int {
		return strings.Compare(fmt.Sprintf("%s:%08d", a.File, a.Line), fmt.Sprintf("%s:%08d", b.File, b.Line))
	})
	return found
}
