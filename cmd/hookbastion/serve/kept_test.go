package serve

import (
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
)

// What earlier processes accepted is known to a replica that starts while a part of the
// cluster is away, and to none where the server cannot be used.
func TestKeptWhileAPartIsAway(t *testing.T) {
	server := redistest.Start(t, redistest.Options{TCP: true, Args: []string{"--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"}})
	server.Do("CLUSTER", "ADDSLOTSRANGE", "0", "8191") // half of the parts
	now := time.Now()
	look := func() (int, error) {
		s := redis.New(redis.Config{Addresses: []string{server.Address}, Budget: time.Second})
		t.Cleanup(s.Close)
		for end := now.Add(30 * time.Second); ; { // until the cluster has begun to serve
			if _, err := s.Kept(t.Context()); err == nil || time.Now().After(end) {
				break
			}
			_ = s.Probe(t.Context(), now)
		}
		kept, err := keptIn(t.Context(), s, now)
		return len(kept), err
	}
	if n, err := look(); n != 0 || err == nil {
		t.Errorf("nothing is kept, and a part is away: %d, %v", n, err)
	}
	server.Do("SET", "hookbastion:{u0}kept", `{"github":{"tolerance":0,"span":1,"tenant":0}}`)
	if n, err := look(); n != 1 || err != nil {
		t.Errorf("a part is away: %d, %v", n, err)
	}
	server.Do("SET", "hookbastion:{u0}kept", `{"github":`)
	if n, err := look(); n != 0 || err == nil {
		t.Errorf("it is damaged: %d, %v", n, err)
	}

	server = redistest.Start(t, redistest.Options{TCP: true, Args: []string{"--maxmemory-policy", "allkeys-lru"}})
	server.Do("SET", "hookbastion:{u0}kept", `{"github":{"tolerance":0,"span":1,"tenant":0}}`)
	s := redis.New(redis.Config{Addresses: []string{server.Address}, Budget: time.Second})
	t.Cleanup(s.Close)
	if kept, err := keptIn(t.Context(), s, now); len(kept) != 0 || err == nil {
		t.Errorf("a server that evicts: %v, %v", kept, err)
	}
}
