package redis_test

import (
	"context"
	"testing"

	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
)

// What a replica accepts is kept for those that start later, whenever Redis is
// there, and again after a flush.
func TestKept(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	s := open(t, config(server))
	keeps := func(s *redis.Store, want string) {
		t.Helper()
		if text, err := s.Kept(context.Background()); string(text) != want || err != nil {
			t.Errorf("%q, %v; want %q", text, err, want)
		}
	}
	keeps(s, "")
	s.Keep([]byte("one"))
	probe(t, s, start)
	keeps(open(t, config(server)), "one")
	server.Do("FLUSHALL")
	probe(t, s, start)
	keeps(s, "one")
	server.Kill()
	s.Keep([]byte("two"))
	if err := s.Probe(context.Background(), start); err == nil {
		t.Fatal("it is not away")
	}
	server.Restart()
	probe(t, s, start)
	keeps(s, "two")
	other := open(t, config(server))
	other.Keep([]byte("three"))
	probe(t, other, start)
	probe(t, s, start)
	keeps(s, "three")
}
