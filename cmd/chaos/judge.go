package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// loss is a time at which the store forgot. It excuses no copy: what passes after it is
// marked.
type loss struct {
	what string
	at   time.Time
}

// verdict is what became of a run.
type verdict struct {
	kinds                       map[string]int
	faults                      int
	deliveries, contents, taken int
	marked, retried, forwarded  int
	unproven                    int // lost since nothing had come of the access log yet
	half                        int // lost since the application said 2xx, and died when nobody listened any more
	wrong                       []string
	bad                         int // how many, also those of which wrong has no room
	statuses                    map[string]int

	// of the traffic
	told, untold, delivered int64
	copies, forged, passed  int64
	lost                    int64
	reasons, cases          map[string]int
	partly                  string // what became of new deliveries while parts of a cluster were away
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
		case (d.refused || d.told) && w.application.saidSo(d):
			v.half++
		case l.hurried: // nobody has waited for its retries
		default:
			v.fail("lost: %s %s, answered %s; came %s", d.path, d.body, strings.Join(d.answers, ", "), w.application.tell(d))
		}
	}
	return v
}

// saidSo reports whether the application began to say 2xx. Where the sender leaves then,
// nobody learns that it died before the end.
func (a *application) saidSo(d *delivery) bool {
	return slices.ContainsFunc(d.contents, func(c content) bool {
		return slices.ContainsFunc(a.arrivals[c.key], func(came *arrival) bool { return came.outcome == half })
	})
}

// tell lists what came of a delivery.
func (a *application) tell(d *delivery) string {
	var all []string
	for _, c := range d.contents {
		for _, came := range a.arrivals[c.key] {
			all = append(all, fmt.Sprintf("%s to %s %s %s", came.began.Format("05.000"), came.ended.Format("05.000"), came.outcome, came.mark))
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (v *verdict) fail(format string, arguments ...any) {
	v.bad++
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
			case b.outcome == lost, b.outcome == half:
				how = "may have taken it"
			}
			if how == "" || b.mark != "" && w.overtook(b.began, a.began) {
				continue
			}
			v.fail("a copy came through unmarked while the application %s: %s, first at %s, again at %s; came %s", how, c.key, b.began.Format("05.000"), a.began.Format("05.000"),
				w.application.tell(&delivery{contents: []content{c}}))
			break
		}
	}
	return took
}

// lag is how long after a check its delivery may reach the application: Envoy may be
// paused in between.
const lag = 3 * time.Second

// hurry is how much later than what overtakes it a delivery may come.
const hurry = time.Second

// overtook reports whether what came marked at the first time may have been checked
// after what came without a mark at the second: that was checked before a loss, or its
// sender left while it was on its way, which let the other through.
func (w *world) overtook(marked, unmarked time.Time) bool {
	if unmarked.Sub(marked) < hurry {
		return true
	}
	return slices.ContainsFunc(w.forgotten, func(l loss) bool {
		return l.at.Before(marked) && !unmarked.After(l.at.Add(lag))
	})
}

// unproven reports whether a delivery that began then met a process that did not know
// yet whether an access log comes. Until it does, the end of a lease means taken, and a
// retry is a copy. That is so after the first start; the store in memory forgets it as
// all else, and so does a Redis that was emptied, where the replicas have been started
// since. Of a cluster never all is emptied.
func (w *world) unproven(began time.Time) bool {
	if began.Before(w.began.Add(starting)) {
		return true
	}
	before := lease
	switch w.store {
	case "MEMORY":
	case "REDIS":
		before += recovery + refusing
	default:
		return false
	}
	if w.weather != nil && w.weather.Broken(began.Add(-troubled), began, oracle.Service, oracle.Log, oracle.Busy) {
		before += troubled // entries were lost again, or Envoy was slow to send the first one
	}
	return slices.ContainsFunc(w.forgotten, func(l loss) bool {
		return l.at.After(began.Add(-before)) && l.at.Before(began.Add(2*lease))
	})
}

// troubled is how much later the first entry may come where more is broken.
const troubled = 20 * time.Second

// starting is how long after the first start entries may be few.
const starting = 10 * time.Second

// refusing is for how long Redis refuses, beside recovery, what has no signed time.
const refusing = 30 * time.Second

func (v *verdict) print(out io.Writer, s setup) {
	retry := ""
	if s.retry {
		retry = ", retry_policy"
	}
	fmt.Fprintf(out, "seed %d, %s%s: %d verdicts judged, %d wrong; %d deliveries of %d kinds of traffic taken, %d forgeries refused, %d copies refused, %d marked as documented, %d retries refused since an entry of the access log was lost; %d faults, %d answers without a verdict\n",
		s.seed, s.store, retry, v.verdicts(), v.bad, v.delivered, len(v.cases), v.forged, v.copies, v.passed, v.lost, v.faults, v.untold)
	fmt.Fprintf(out, "  senders: %d deliveries (%d retried), %d taken, %d contents of which %d came more than once, %d marked, %d lost before an access log had come, %d after half an answer\n",
		v.deliveries, v.retried, v.taken, v.contents, v.forwarded, v.marked, v.unproven, v.half)
	fmt.Fprintf(out, "  faults: %s\n  answers: %s\n  reasons: %s\n", counts(v.kinds), counts(v.statuses), counts(v.reasons))
	if v.partly != "" {
		fmt.Fprintf(out, "  new deliveries while parts of the cluster were away: %s\n", v.partly)
	}
	for _, wrong := range v.wrong {
		fmt.Fprintf(out, "  WRONG %s\n", wrong)
	}
	if v.bad > 0 {
		flags := ""
		if s.stores != "" {
			flags = fmt.Sprintf(` CHAOS_FLAGS="-stores %s"`, s.stores)
		}
		fmt.Fprintf(out, "  again: make chaos CHAOS_SEED=%d%s\n", s.seed, flags)
	}
}

// verdicts are all that were judged: those of the traffic, and each content of the senders.
func (v *verdict) verdicts() int64 { return v.told + int64(v.contents) }

func counts(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
	}
	return strings.Join(parts, ", ")
}
