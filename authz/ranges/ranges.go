// Package ranges knows the networks that providers say their deliveries come from.
//
// A [Document] is what a provider publishes: where it is, how addresses stand in it, and
// perhaps a snapshot of a day. A [List] is what a policy names of it. A
// look-up walks a trie of eight bits a step (package bart), so that it costs the same
// for ten networks and for a hundred thousand; it never waits and never fetches.
//
// Where the settings allow it, package fetch gets documents in the background, and the
// [Keeper] judges what came before it counts. A list is refused whole if it names
// nothing, an address that is no public one, a network wider than /8 (IPv4) or /19 (IPv6),
// or so many that they are a sixteenth of all IPv4 or an IPv6 /12. A change that
// loses more than half of what was good last, or adds more than that had, is held until
// it has stood there for 24 hours, or an operator accepts it. What was good last
// stays meanwhile, and for ever if its server is away.
//
// It does not protect against a provider that publishes a stranger's network among its
// own, nor against whoever can write to the directory of what was good last; and the first
// document of a provider without a snapshot is believed. An address
// is no proof of who has sent a delivery: many senders share those of a provider.
package ranges

import "time"

// Limits of documents. They are no settings: no provider comes near them.
const (
	// MaxBytes is the size of the largest document; Azure's has 4 MB.
	MaxBytes = 8 << 20
	// MaxNetworks is how many a list may name.
	MaxNetworks = 200_000
	// WidestIPv4 and WidestIPv6 are the shortest prefixes that one network may have.
	WidestIPv4 = 8
	WidestIPv6 = 19
	// mostIPv4 and mostIPv6 bound all networks together: as much as a network of so
	// short a prefix.
	mostIPv4 = 4
	mostIPv6 = 12
)

// When things are late.
const (
	// HoldTime is how long a change that is held must stand there.
	HoldTime = 24 * time.Hour
	// StaleAfter is the age from which on operators are told: since a document was
	// confirmed last, if it is fetched.
	StaleAfter = 7 * 24 * time.Hour
	// SnapshotStaleAfter is that of a snapshot, if it is not.
	SnapshotStaleAfter = 90 * 24 * time.Hour
)

// Document is what a provider publishes. It is not changed after it was made.
type Document struct {
	// Name is what policies call it, Provider what people do.
	Name, Provider string
	// URL is where it is; empty if each customer has another one, which the settings
	// must say, or if it is no document but a page that somebody has read.
	URL string
	// Kind is what it is made of; empty for a page.
	Kind Kind
	// Services are the lists that it has; one without a name if it is one list.
	Services []Service
	// Default is the service that counts where a policy names none; empty: the one without
	// a name, or a policy must name one.
	Default string
	// Read is the day of the snapshots, zero if there are none.
	Read time.Time
	// Ends is the last day of its URL; zero: nobody knows of one.
	Ends time.Time
}

// Service is one list of a document.
type Service struct {
	Name string
	// Takes are the places of its networks, one or more; none for Lines.
	Takes []Take
	// Snapshot is what it said on the day of Document.Read; nil: that is not known.
	Snapshot *Set
}

// Find finds a service by its name, or the one that counts without a name; nil if there is
// none.
func (d *Document) Find(name string) *Service {
	if name == "" {
		name = d.Default
	}
	for i := range d.Services {
		if d.Services[i].Name == name {
			return &d.Services[i]
		}
	}
	return nil
}
