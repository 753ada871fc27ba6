package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
)

// loss is a time at which the store forgot what it had learnt since another time, as
// docs/replay.md says of it.
type loss struct {
	what     string
	from, at time.Time
	// timed: deliveries with a signed time as well, and not only those without.
	timed bool
}

// verdict is what became of a run.
type verdict struct {
	kinds                            map[string]int
	faults                           int
	deliveries, contents, taken      int
	marked, gaps, retried, forwarded int
	unproven                         int // lost since nothing had come of the access log yet
	wrong                            []string
	statuses                         map[string]int
}

func judge(w *world, l *load) *verdict {
	v := &verdict{statuses: l.statuses}
	l.mu.Lock()
	defer l.mu.Unlock()
	w.application.mu.Lock()
	defer w.application.mu.Unlock()
	for _, d := range l.deliveries {
		v.deliveries++
		if len(d.answers) > 1 {
			v.retried++
		}
		took := false
		for _, c := range d.contents {
			v.contents++
			took = v.content(w, c) || took
		}
		switch {
		case took:
			v.taken++
		case d.refused && w.unproven(d.began):
			v.unproven++
		default:
			v.fail("lost: %s %s, answered %s", d.path, d.body, strings.Join(d.answers, ", "))
		}
	}
	return v
}

func (v *verdict) fail(format string, arguments ...any) {
	const most = 20
	if len(v.wrong) < most {
		v.wrong = append(v.wrong, fmt.Sprintf(format, arguments...))
	}
}

// content judges what came of one signed content, and reports whether the application
// took it.
func (v *verdict) content(w *world, c content) (took bool) {
	arrivals := w.application.arrivals[c.key]
	sort.Slice(arrivals, func(i, j int) bool { return arrivals[i].began.Before(arrivals[j].began) })
	if len(arrivals) > 1 {
		v.forwarded++
	}
	excused := map[*loss]bool{}
	for i, a := range arrivals {
		took = took || a.outcome == taken
		if a.mark != "" {
			v.marked++
			continue
		}
		for _, b := range slices.Backward(arrivals[:i]) {
			how := ""
			switch {
			case b.ended.IsZero() || b.ended.After(a.began):
				how = "is at it"
			case b.outcome == taken:
				how = "has taken it"
			case b.outcome == lost:
				how = "may have taken it"
			}
			if how == "" {
				continue
			}
			if gap := w.gap(c.path == "/timed", b.began, a.began); gap != nil && !excused[gap] {
				excused[gap] = true // each loss lets a copy pass once
				v.gaps++
			} else {
				v.fail("a copy came through unmarked while the application %s: %s, first at %s, again at %s", how, c.key, b.began.Format("05.000"), a.began.Format("05.000"))
			}
			break
		}
	}
	return took
}

// lag is how long after a check its delivery may reach the application: Envoy may be
// paused in between.
const lag = 3 * time.Second

// gap returns the loss by which a copy of what came at the first time may pass at the
// second.
func (w *world) gap(timed bool, first, again time.Time) *loss {
	for i := range w.forgotten {
		l := &w.forgotten[i]
		if first.After(l.from) && !first.After(l.at.Add(lag)) && again.After(l.at) && (l.timed || !timed) {
			return l
		}
	}
	return nil
}

// unproven reports whether a delivery that began then met a process that did not know
// yet whether an access log comes. Until it does, the end of a lease means taken, and a
// retry is a copy. The store in memory forgets that as all else.
func (w *world) unproven(began time.Time) bool {
	return w.store == "MEMORY" && slices.ContainsFunc(w.forgotten, func(l loss) bool {
		return l.at.After(began.Add(-lease)) && l.at.Before(began.Add(2*lease))
	})
}

func (v *verdict) print(out io.Writer, s setup) {
	retry := ""
	if s.retry {
		retry = ", retry_policy"
	}
	fmt.Fprintf(out, "seed %d, %s%s: %d faults, %d deliveries (%d retried), %d taken, %d contents of which %d came more than once, %d marked; gaps: %d copies, %d lost\n",
		s.seed, s.store, retry, v.faults, v.deliveries, v.retried, v.taken, v.contents, v.forwarded, v.marked, v.gaps, v.unproven)
	fmt.Fprintf(out, "  faults: %s\n  answers: %s\n", counts(v.kinds), counts(v.statuses))
	for _, wrong := range v.wrong {
		fmt.Fprintf(out, "  WRONG %s\n", wrong)
	}
}

func counts(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}
