package main

import (
	"fmt"
	"testing"
)

// A seed means the same whatever else is run, and means what it did before there were clusters.
func TestSeeds(t *testing.T) {
	for _, c := range []struct {
		stores string
		first  int64
		many   int
		want   string
	}{
		{"", 1, 10, "1 MEMORY, 2 FILE, 3 REDIS, 4 MEMORY again, 5 FILE again, 6 REDIS again, 7 MEMORY, 8 FILE, 9 REDIS, 10 MEMORY again, 1001 CLUSTER, 1002 CLUSTER again"},
		{"", 7, 1, "7 MEMORY"},
		{"", 7, 5, "7 MEMORY, 8 FILE, 9 REDIS, 10 MEMORY again, 11 FILE again, 1007 CLUSTER"},
		{"", 1002, 2, "1002 CLUSTER again, 1003 CLUSTER"},
		{"FILE", 1, 2, "1 FILE, 2 FILE again"},
		{"REDIS,CLUSTER", 2, 5, "2 CLUSTER, 3 REDIS again, 4 CLUSTER again, 5 REDIS, 6 CLUSTER"},
	} {
		got := ""
		for _, seed := range seedsOf(c.stores, c.first, c.many) {
			s := setup{stores: c.stores}
			s.of(seed)
			if got != "" {
				got += ", "
			}
			got += fmt.Sprintf("%d %s", s.seed, s.store)
			if s.retry {
				got += " again"
			}
		}
		if got != c.want {
			t.Errorf("%q from %d: %s, want %s", c.stores, c.first, got, c.want)
		}
	}
}
