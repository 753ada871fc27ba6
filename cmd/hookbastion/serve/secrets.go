package serve

import (
	"log/slog"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
)

// secretLog says what became of secrets that changed. It says at most
// maxChangeLines in a second: the names of tenants are the senders' choice.
type secretLog struct {
	log   *slog.Logger
	lines lineLimit
}

func newSecretLog(log *slog.Logger) *secretLog {
	return &secretLog{log: log, lines: lineLimit{most: maxChangeLines, period: time.Second}}
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
	ok, _, full := l.lines.allow(now)
	if full {
		l.log.Error("more secrets changed, see hookbastion.secrets and hookbastion.tenant.loads")
	}
	return ok
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
