// Package leak holds that the tests of a package leave nothing behind: no goroutine, by
// goleak, and no descriptor. TestMain calls Main, so that every server, store, watcher and
// fetcher that any test has started must be gone in the end.
//
// It says nothing of what comes and goes in between, nor of memory. Descriptors are looked
// at where /proc lists them, which is on Linux.
package leak

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a descriptor may take to be closed, by a goroutine that is about to.
const patience = 5 * time.Second

// Main runs the tests and ends the process: with their code, or with 1 if something is left
// or an end says so. Ends run after the tests, each with the code so far.
func Main(m *testing.M, ends ...func(code int) int) {
	before := descriptors()
	finish := func(code int) int {
		for _, end := range ends {
			code = end(code)
		}
		return code
	}
	// Benchmarks measure what others have written, too, which need not end.
	if flag.Parse(); flag.Lookup("test.bench").Value.String() != "" {
		os.Exit(finish(m.Run()))
	}
	goleak.VerifyTestMain(m, sleeps[0], sleeps[1], goleak.Cleanup(func(code int) {
		code = finish(code)
		if left := awaitClosed(before, patience); len(left) > 0 && code == 0 {
			fmt.Fprintln(os.Stderr, "descriptors are left:", strings.Join(left, ", "))
			code = 1
		}
		os.Exit(code)
	}))
}

// sleeps of rueidis do not end with its client, but by themselves after 5 s at most.
var sleeps = [2]goleak.Option{
	goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
	goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
}

// descriptors returns what each open one is, by its number.
func descriptors() map[string]string {
	all := map[string]string{}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return all
	}
	for _, link := range links {
		what, err := os.Readlink(link)
		// The runtime's poller and the directory that is being read are no leaks.
		if err == nil && !strings.HasPrefix(what, "anon_inode:") && !strings.HasPrefix(what, "/proc/") {
			all[filepath.Base(link)] = what
		}
	}
	return all
}

// awaitClosed returns what is open and was not, when that has not changed for so long.
func awaitClosed(before map[string]string, patience time.Duration) []string {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		if transport, ok := http.DefaultTransport.(*http.Transport); ok {
			transport.CloseIdleConnections() // the process's own, and not a test's
		}
		var left []string
		for number, what := range descriptors() {
			if before[number] != what {
				left = append(left, number+" is "+what)
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-deadline.C:
			slices.Sort(left)
			return left
		}
	}
}
