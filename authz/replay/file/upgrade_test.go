package file_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// What the first version of the log has written is read by all later ones:
// testdata/first holds directories that it left, by a clean end and by a kill,
// with 30 nonces that were settled in five ways in turn, every third without a
// signed time and of a tenant, in two segments.
func TestUpgradeKeepsNonces(t *testing.T) {
	for _, end := range []string{"clean", "killed"} {
		t.Run(end, func(t *testing.T) {
			dir := directory(t)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "first", end))); err != nil {
				t.Fatal(err)
			}
			for _, now := range []time.Time{start.Add(time.Second), start.Add(2 * time.Second)} { // the second time by what this version has written
				s := opened(t, config(dir), now)
				r := s.Recovery()
				if r.New || r.Crash != (end == "killed" || now != start.Add(time.Second)) || r.PowerLoss || r.Lossy || r.Damage != nil {
					t.Errorf("%+v", r)
				}
				if kept, err := s.Kept(); err != nil || len(kept) == 0 {
					t.Errorf("kept %q, %v", kept, err)
				}
				for n := range uint64(30) {
					nonce := nonceOf(n)
					if n%3 == 0 {
						nonce.Tenant = authz.View("tenant")
					}
					a, err := s.Reserve(context.Background(), nonce, replaytest.Claim(100+n, 100+n, replay.Unsure), now)
					want := []replay.Outcome{replay.Copy, replay.CopyUnknown, replay.Reserved, replay.Reserved, replay.Pending}[n%5]
					if err != nil || a.Outcome != want && !(want == replay.Reserved && a.Outcome == replay.Uncertain) {
						t.Errorf("nonce %d: outcome %d, want %d, %v", n, a.Outcome, want, err)
					}
					if a.Outcome != replay.Reserved {
						continue
					}
					if possible := n%5 == 2; possible != (a.Mark == authz.MarkPossible) {
						t.Errorf("nonce %d: mark %q", n, a.Mark)
					}
					if ok, err := s.Release(context.Background(), a.Reservation, now); !ok || err != nil {
						t.Error(ok, err)
					}
				}
				s.Kill()
			}
		})
	}
}
