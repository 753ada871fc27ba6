package serve

import (
	"fmt"
	"sync"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/keys"
	"github.com/hookbastion/hookbastion/policy/lint"
)

// Bounds of what is kept of a set for operators. A set of more webhooks is not searched
// for findings at each load: hookbastion validate does that.
const (
	maxInspected    = 10_000
	maxKeptKeys     = 1000
	maxKeptFindings = 200
)

// inspector keeps, for operators, what compiling saw of a set beside its table: the keys,
// and what is weak. A nil inspector keeps nothing. It is safe for concurrent use.
type inspector struct {
	settings *settings.Settings

	mu sync.Mutex
	// serves is of the table that served when the newest one was made. That may be held
	// back, or given up.
	serves, newest *inspected
}

// inspected is what is known of one table.
type inspected struct {
	table        *authz.Table
	keys         []keys.Key
	moreKeys     int
	findings     []finding.Finding
	moreFindings int
	// notLooked is why there are no findings.
	notLooked string
}

// seen collects the keys of a set while it is compiled.
type seen struct {
	all  bool // they are looked through
	keys []keys.Key
	more int
}

// begin is called before a set is compiled.
func (in *inspector) begin(set *policy.Set) *seen {
	if in == nil {
		return nil
	}
	return &seen{all: len(set.Names()) <= maxInspected}
}

// onKey is told of each key; nil where nobody wants to know.
func (s *seen) onKey() func(keys.Key) {
	if s == nil {
		return nil
	}
	return func(k keys.Key) {
		if !s.all && len(s.keys) == maxKeptKeys {
			s.more++
			return
		}
		s.keys = append(s.keys, k)
	}
}

// done is called with the table that was made of a set, and the one that serves.
func (in *inspector) done(set *policy.Set, table, serves *authz.Table, s *seen) {
	if in == nil {
		return
	}
	made := &inspected{table: table, moreKeys: s.more}
	if s.all {
		found, err := lint.Lint(lint.Input{
			Set: set, Table: table, Keys: s.keys, Proofs: in.settings.Proofs(),
			OnePhase: in.settings.Lease == 0, OnlyFailures: in.settings.OnlyFailures,
		})
		if err != nil {
			made.notLooked = err.Error()
		}
		made.findings, made.moreFindings = first(found, maxKeptFindings)
	} else {
		made.notLooked = fmt.Sprintf("Sets of more than %d webhooks are not searched while they serve: hookbastion validate lists what is weak.", maxInspected)
	}
	var more int
	made.keys, more = first(s.keys, maxKeptKeys)
	made.moreKeys += more
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.newest != nil && in.newest.table == serves {
		in.serves = in.newest
	}
	in.newest = made
}

// first copies at most so many of a list, and says how many are left out.
func first[T any](list []T, most int) (kept []T, more int) {
	n := min(len(list), most)
	return append([]T(nil), list[:n]...), len(list) - n
}

// of is what is known of a table.
func (in *inspector) of(table *authz.Table) inspected {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, one := range []*inspected{in.newest, in.serves} {
		if one != nil && one.table == table {
			return *one
		}
	}
	return inspected{notLooked: "Nothing is known of the policy that serves yet."}
}
