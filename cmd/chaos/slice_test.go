package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A few seconds with each store; make chaos has minutes.
func TestSlice(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "hookbastion")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../hookbastion")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	for i, store := range []string{"MEMORY", "FILE", "REDIS"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			v, err := run(setup{
				seed: int64(i + 1), store: store, retry: i == 1, time: 18 * time.Second, losses: 1, rest: time.Second, workers: 2, streams: 3, lurk: 4 * time.Second, patience: 2 * time.Minute, binary: binary,
				envoy: find("", "envoy", "../../"+cached+"envoy-*/envoy"), redis: find("", "redis-server", "../../"+cached+"redis/bin/redis-server"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if v.deliveries < 50 || v.taken < 50 || v.told < 200 || v.forged == 0 || v.copies == 0 || v.delivered == 0 {
				t.Errorf("%+v", v)
			}
			for _, wrong := range v.wrong {
				t.Error(wrong)
			}
		})
	}
}
