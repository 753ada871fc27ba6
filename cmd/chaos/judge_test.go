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
	outage := []loss{{what: "emptied", at: at(10)}}
	for _, c := range []struct {
		name     string
		path     string
		arrivals []*arrival
		losses   []loss
		want     string // a part of what is wrong
	}{
		{"once", "/untimed", []*arrival{came(1, 2, taken, "")}, nil, ""},
		{"never", "/untimed", nil, nil, "lost"},
		{"failed", "/untimed", []*arrival{came(1, 2, refused, "")}, nil, "lost"},
		{"a copy after half an answer", "/untimed", []*arrival{came(1, 2, half, ""), came(3, 4, taken, "")}, nil, "may have taken it"},
		{"perhaps", "/untimed", []*arrival{came(1, 2, lost, "")}, nil, "lost"},
		{"retried", "/untimed", []*arrival{came(1, 2, refused, ""), came(3, 4, taken, "")}, nil, ""},
		{"a copy", "/untimed", []*arrival{came(1, 2, taken, ""), came(3, 4, taken, "")}, nil, "has taken it"},
		{"a copy out of order", "/untimed", []*arrival{came(3, 4, taken, ""), came(1, 2, taken, "")}, nil, "has taken it"},
		{"a copy meanwhile", "/untimed", []*arrival{came(1, 5, taken, ""), came(3, 4, taken, "")}, nil, "is at it"},
		{"a copy of what never ended", "/untimed", []*arrival{came(1, 0, running, ""), came(3, 4, taken, "")}, nil, "is at it"},
		{"a copy after an unknown end", "/untimed", []*arrival{came(1, 2, lost, ""), came(3, 4, taken, "")}, nil, "may have taken it"},
		{"a marked one after an unknown end", "/untimed", []*arrival{came(1, 2, lost, ""), came(3, 4, taken, "possible")}, nil, ""},
		{"a copy after a marked one", "/untimed", []*arrival{came(1, 2, lost, ""), came(3, 4, taken, "possible"), came(5, 6, taken, "")}, nil, "has taken it"},
		{"a copy after a loss", "/untimed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, "")}, outage, "has taken it"},
		{"a marked one after a loss", "/untimed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, "possible")}, outage, ""},
		{"and another", "/untimed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, "possible"), came(40, 41, taken, "")}, outage, "has taken it"},
		{"overtaken by a marked one after a loss", "/untimed", []*arrival{came(11, 12, taken, "possible"), came(12.5, 13, taken, "")}, outage, ""},
		{"later than it can be overtaken", "/untimed", []*arrival{came(11, 12, taken, "possible"), came(13.5, 14, taken, "")}, outage, "has taken it"},
		{"overtaken by a marked one", "/untimed", []*arrival{came(1, 2, taken, "possible"), came(1.5, 3, taken, "")}, nil, ""},
		{"a copy of a signed time after a loss", "/timed", []*arrival{came(1, 2, taken, ""), came(30, 31, taken, "")}, outage, "has taken it"},
	} {
		d := &delivery{path: c.path, contents: []content{{path: c.path, key: "k"}}}
		w := &world{forgotten: c.losses, application: &application{arrivals: map[string][]*arrival{"k": c.arrivals}}}
		v := judge(w, &load{deliveries: []*delivery{d}})
		if wrong := strings.Join(v.wrong, "\n"); c.want == "" && wrong != "" || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: %q, want %q", c.name, wrong, c.want)
		}
	}
}
