package model

import "slices"

// Filter is one entry of a chain of HTTP filters. Exactly one of its kinds is set; a
// filter without one does nothing that the model looks at.
type Filter struct {
	Name string
	// Disabled takes it out of the chain unless a route has settings for it.
	Disabled bool
	// Inner says that it stands within another, where no route takes it out.
	Inner bool
	Place any
	// Spec is the caller's own account of it.
	Spec any

	Check  *Check
	RBAC   *RBAC
	Change *Change
	Chain  []*Filter // filters that run in its place; empty but not nil where there are none
	Choice *Choice
	Router bool
	// Stops says that requests without credentials of its own do not pass it.
	Stops bool
}

// Check is an external authorization filter.
type Check struct {
	// Ours says that the service asked is the one that refuses what nobody signed.
	// Another is taken to let everything pass.
	Ours bool
	// On tells whether it runs for a request, DenyElse what happens if it does not.
	On       Condition
	DenyElse bool
	// Shadow lets pass what is refused.
	Shadow bool
	// Clears says that it clears the chosen route after an answer.
	Clears bool
}

// RBAC are its rules: enforced, and in the shadow.
type RBAC struct {
	// Pass tells which requests pass.
	Pass Condition
	// Shadow are policies of which the first that holds is written to metadata.
	Shadow []Policy
	// Namespace and Key say where to.
	Namespace, Key string
}

// Policy is a named condition.
type Policy struct {
	Name string
	If   Condition
}

// Change is what a filter may make of a request.
type Change struct {
	// Anything says that it may become any request, as by code or another service.
	Anything bool
	// Headers change the header that tells of a verification.
	Headers []HeaderChange
	// Edit makes requests of one; nil: it stays what it is.
	Edit func(r *Request, all []*Request) []*Request
	// Clears says that the route is chosen anew, Metadata and State that these are
	// written.
	Clears, Metadata, State bool
	// ByRoute says that it does something only where the route says so.
	ByRoute bool
	// Wants are conditions on requests that it treats otherwise than all others.
	Wants []Condition
	// Maybe says that it may also leave a request as it is.
	Maybe bool
	// Word says in a word what it does.
	Word string
}

// Choice is a filter that a matcher puts in or leaves out. Actions are a []*Filter that
// runs; nil: Else does.
type Choice struct {
	Tree *Matcher
	Else []*Filter
}

// Merge is a chain with what a route says of it: a filter stands in the place of the one
// of its name, and others stand behind.
func Merge(chain, more []*Filter) []*Filter {
	merged := slices.Clone(chain)
	for _, f := range more {
		if i := slices.IndexFunc(merged, func(m *Filter) bool { return m.Name == f.Name }); i >= 0 {
			merged[i] = f
		} else {
			merged = append(merged, f)
		}
	}
	return merged
}

// checks reports whether there is a filter of ours in a chain.
func checks(filters []*Filter) bool {
	for _, f := range filters {
		if f.Check != nil && f.Check.Ours || checks(f.Chain) {
			return true
		}
		if f.Choice != nil {
			found := checks(f.Choice.Else)
			f.Choice.Tree.All(func(action any, _ []func(*Request)) {
				chosen, _ := action.([]*Filter)
				found = found || checks(chosen)
			})
			if found {
				return true
			}
		}
	}
	return false
}
