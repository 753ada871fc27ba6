// Package fetched says in one line what a package's tests lack that is in no module:
// a plain go test ./... would otherwise fail a hundred times for one cause.
package fetched

import (
	"flag"
	"fmt"
	"io"
	"os"
)

// Need ends the process, with one line on standard error, where a check fails.
// TestMain calls it. It does nothing where -run or -list has narrowed the tests to some
// that may need less.
func Need(checks ...func() error) {
	flag.Parse()
	for _, name := range []string{"test.run", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return
		}
	}
	if !complete(os.Stderr, checks) {
		os.Exit(1)
	}
}

// complete names the first that is missing, and what fetches all.
func complete(w io.Writer, checks []func() error) bool {
	for _, check := range checks {
		if err := check(); err != nil {
			fmt.Fprintf(w, "%v; `make fetch` fetches, once, all that tests need\n", err)
			return false
		}
	}
	return true
}
