package redis

import "testing"

// What finds no room is counted.
func TestLaterIsBounded(t *testing.T) {
	var l later
	for range laterTasks + 3 {
		l.add(task{})
	}
	var e elsewhere
	for range laterTasks + 2 {
		e.mustTell(task{}.r, 0)
	}
	if n := l.dropped.Load(); n != 3 || len(l.take()) != laterTasks || e.dropped != 2 || len(e.theirs) != laterTasks {
		t.Errorf("%d and %d were dropped", n, e.dropped)
	}
}
