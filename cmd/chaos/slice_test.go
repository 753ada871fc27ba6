package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A few seconds with each store; make chaos has minutes. What is lost with a Redis is waited
// for, so that two of them run at once.
func TestSlice(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "hookbastion")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../hookbastion")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	for _, group := range [][]setup{
		{{seed: 1, store: "MEMORY"}},
		{{seed: 2, store: "FILE", retry: true}},
		{{seed: 3, store: "REDIS"}, {seed: 1003, store: "CLUSTER", only: "slot moves,master paused,kill"}},
	} {
		name := group[0].store
		for _, s := range group[1:] {
			name += " and " + s.store
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			for _, s := range group {
				s.binary = binary
				all.Go(func() { slice(t, s) })
			}
			all.Wait()
		})
	}
}

func slice(t *testing.T, s setup) {
	s.time, s.losses, s.rest, s.workers, s.streams, s.lurk, s.patience = 18*time.Second, 1, time.Second, 2, 3, 4*time.Second, 2*time.Minute
	s.envoy, s.redis = find("", "envoy", "../../"+cached+"envoy-*/envoy"), find("", "redis-server", "../../"+cached+"redis/bin/redis-server")
	v, err := run(s)
	if err != nil {
		t.Errorf("%s: %v", s.store, err)
		return
	}
	if v.deliveries < 50 || v.taken < 50 || v.told < 200 || v.forged == 0 || v.copies == 0 || v.delivered == 0 {
		t.Errorf("%s: %+v", s.store, v)
	}
	if strings.Contains(s.only, "slot moves") && v.kinds["slot moves"] == 0 {
		t.Errorf("no slot has moved: %s", counts(v.kinds))
	}
	for _, wrong := range v.wrong {
		t.Errorf("%s: %s", s.store, wrong)
	}
}
