// Package model follows requests through Envoy's HTTP filters and routes, and tells which
// of them reach a cluster without having been verified.
//
// It chooses virtual hosts and routes as Envoy does, runs the filters in their order, and
// keeps three facts of a request: the route that was chosen, which Envoy remembers until a
// filter clears it; whether the service has been asked; and what has become of a header by
// which a sender claims that it was. A filter that is switched off is left out by the
// route that was chosen first, one that a route tells to skip by the one that is chosen
// when it runs. A request that no route matches passes an external authorization filter.
//
// The requests that it tries are made from the configuration: for each host and route some
// that match and some that just do not. Where a condition hangs on what no configuration
// says, such as chance, metadata, addresses or another service's word, both ways are
// taken. Code may make any request of any other. What it finds open can thus be tried, and
// is printed as a request and the steps it takes; it is no proof that nothing else is.
//
// It knows nothing of YAML: package audit builds it.
package model

// Manager is an HTTP connection manager.
type Manager struct {
	Filters []*Filter
	// Upgrades are chains of their own for requests that ask for an upgrade, by its name
	// in lower case.
	Upgrades map[string]*Upgrade
	Routes   *Routes
	// Headers are changes before the first filter, as by early header mutation.
	Headers []HeaderChange

	tried  []*Request
	chosen [][]*Target // for each of these
}

// Upgrade is what a manager says of one kind of upgrade.
type Upgrade struct {
	Allowed bool
	Filters []*Filter // nil: those of the manager
	Place   any
}

// Cause is why the service was not asked.
type Cause int

// The causes, in no order.
const (
	Unasked     Cause = iota // no filter asks it
	NoRoute                  // no route had been chosen
	SwitchedOff              // the filter is not in the chain of this route
	Skipped                  // the route tells the filter to pass requests by
	Conditional              // filter_enabled or filter_enabled_metadata
	Elsewhere                // the route asks another service
	Unmatched                // a matcher leaves the filter out
	Shadowed                 // refusals do not count
)

// Claim is what has become of the header that tells of a verification.
type Claim int

// The claims.
const (
	Absent  Claim = iota
	Forged        // as the sender wrote it
	Fixed         // as the configuration writes it
	Service       // as the service wrote it
)

// Step is one thing that happens on the way.
type Step struct {
	Text  string
	Place any
}

// Outcome is a request that reaches clusters.
type Outcome struct {
	Request  *Request // as the sender wrote it
	Target   *Target
	Verified bool
	Claim    Claim
	Value    string // of a Fixed claim
	// Cause and CausePlace say why the service was not asked.
	Cause      Cause
	CausePlace any
	// Moved says that a filter behind the check chose another route than the one that it
	// went by, Mover which.
	Moved bool
	Mover *Filter
	Steps []Step
}
