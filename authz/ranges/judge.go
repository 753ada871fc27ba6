package ranges

import (
	"fmt"
	"strings"
)

// Change is what becomes of a list.
type Change struct {
	// Lost and Added are how many networks of the old are not wholly in the new, and the
	// other way round, of how many: Old and New.
	Lost, Added, Old, New int
	// Why says what is too much, in words for operators; empty: nothing is.
	Why string
}

// Compare says what a new list would change. More than half is lost where that much of
// the networks, or of the addresses of a family, is gone; it grows beyond double where
// more is new than there was. Networks that are written in another way are no change.
func Compare(old, next *Set) Change {
	c := Change{Lost: len(old.Less(next)), Added: len(next.Less(old)), Old: old.Len(), New: next.Len()}
	was, is, both := amountOf(old.networks), amountOf(next.networks), shared(old, next)
	var why []string
	if 2*c.Lost > c.Old || 2*(was.v4-both.v4) > was.v4 || 2*(was.v6-both.v6) > was.v6 {
		why = append(why, fmt.Sprintf("loses more than half: %d of %d networks", c.Lost, c.Old))
	}
	if c.Added > c.Old || is.v4-both.v4 > was.v4 || is.v6-both.v6 > was.v6 {
		why = append(why, fmt.Sprintf("grows beyond double: %d networks are new, beside %d", c.Added, c.Old))
	}
	c.Why = strings.Join(why, ", and ")
	return c
}
