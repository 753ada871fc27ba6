package main

import (
	"strings"
	"testing"
	"time"
)

// at is a time of the run, in seconds.
func at(s float64) time.Time { return time.Unix(0, 0).Add(time.Duration(s * float64(time.Second))) }

func came(began, ended float64, o outcome, mark string) *arrival {
	a := &arrival{began: at(began), outcome: o, mark: mark}
	if o != running {
		a.ended = at(ended)
	}
	return a
}

// What must not be is found, and what may be is not.
func TestJudge(t *testing.T) {
	outage := []loss{{what: "emptied", from: at(0), at: at(10)}}
	for _, c := range []struct {
		name     string
		path     string
		arrivals []*arrival
		losses   []loss
		want     string // a part of what is wrong
		gaps     int
	}{
		{"once", "/untimed", []*arrival{came(1, 2, taken, "")}, nil, "", 0},
		{"never", "/untimed", nil, nil, "lost", 0},
		{"failed", "/untimed", []*arrival{came(1, 2, refused, "")}, nil, "lost", 0},
		{"perhaps", "/untimed", []*arrival{came(1, 2, lost, "")}, nil, "lost", 0},
		{"retried", "/untimed", []*arrival{came(1, 2, refused, ""), came(3, 4, taken, "")}, nil, "", 0},
		{"a copy", "/untimed", []*arrival{came(1, 2, taken, ""), came(3, 4, taken, "")}, nil, "has taken it", 0},
		{"a copy out of order", "/untimed", []*arrival{came(3, 4, taken, ""), came(1, 2, taken, "")}, nil, "has taken it", 0},
		{"a copy meanwhile", "/untimed", []*arrival{came(1, 5, taken, ""), came(3, 4, taken, "")}, nil, "is at it", 0},
		{"a copy of what never ended", "/untimed", []*arrival{came(1, 0, running, ""), came(3, 4, taken, "")}, nil, "is at it", 0},
		{"a copy after an unknown end", "/untimed", []*arrival{came(1, 2, lost, ""), came(3, 4, taken, "")}, nil, "may have taken it", 0},
		{"a marked one after an unknown end", "/untimed", []*arrival{came(1, 2, lost, ""), came(3, 4, taken, "possible")}, nil, "", 0},
		{"a copy after a marked one", "/untimed", []*arrival{came(1, 2, lost, ""), came(3, 4, taken, "possible"), came(5, 6, taken, "")}, nil, "has taken it", 0},
		{"a gap", "/untimed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, "")}, outage, "", 1},
		{"a gap is one copy", "/untimed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, ""), came(40, 41, taken, "")}, outage, "has taken it", 1},
		{"no gap before the loss", "/untimed", []*arrival{came(1, 2, taken, ""), came(3, 4, taken, "")}, outage, "has taken it", 0},
		{"no gap after the loss", "/untimed", []*arrival{came(14, 15, taken, ""), came(16, 17, taken, "")}, outage, "has taken it", 0},
		{"no gap for a signed time", "/timed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, "")}, outage, "has taken it", 0},
		{"a gap for signed times, too", "/timed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, "")}, []loss{{from: at(0), at: at(10), timed: true}}, "", 1},
	} {
		d := &delivery{path: c.path, contents: []content{{path: c.path, key: "k"}}}
		w := &world{forgotten: c.losses, application: &application{arrivals: map[string][]*arrival{"k": c.arrivals}}}
		v := judge(w, &load{deliveries: []*delivery{d}})
		switch wrong := strings.Join(v.wrong, "\n"); {
		case c.want == "" && wrong != "", !strings.Contains(wrong, c.want):
			t.Errorf("%s: %q, want %q", c.name, wrong, c.want)
		case v.gaps != c.gaps:
			t.Errorf("%s: %d gaps, want %d", c.name, v.gaps, c.gaps)
		}
	}
}
