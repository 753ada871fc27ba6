// Package anomalies makes streams of decisions with planted anomalies, and judges what
// finds them. It is for measuring package monitor; nothing that serves imports it.
//
// Two generators, First and Second, are built differently and share no numbers. A seed
// makes the same stream every time. Streams are made and judged decision by decision;
// no stream is held in memory.
package anomalies

import (
	"cmp"
	"slices"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
)

// Label is an anomaly that was planted.
type Label struct {
	Kind    monitor.Kind `json:"kind"`
	Webhook string       `json:"webhook"`
	From    time.Time    `json:"from"`
	To      time.Time    `json:"to"`
	// Strength says in words how strong it is.
	Strength string `json:"strength"`
}

// after is how long after its end an anomaly may still be found.
const after = time.Hour

// fits reports whether an alarm finds the label.
func (l *Label) fits(a *monitor.Alarm) bool {
	return a.Kind == l.Kind && a.Webhook == l.Webhook && !a.Time.Before(l.From) && !a.Time.After(l.To.Add(after))
}

// Score is how well alarms fit labels.
type Score struct {
	Labels, Found int
	Delays        []Delay // of those found
	False         []monitor.Alarm
	Missed        []Label
}

// Judge compares alarms with labels. An alarm that fits a label that was found already
// is not false.
func Judge(labels []Label, alarms []monitor.Alarm) Score {
	s := Score{Labels: len(labels)}
	found := make([]bool, len(labels))
	for i := range alarms {
		fits := false
		for j := range labels {
			if !labels[j].fits(&alarms[i]) {
				continue
			}
			fits = true
			if !found[j] {
				found[j] = true
				s.Found++
				s.Delays = append(s.Delays, Delay{labels[j].Kind, alarms[i].Time.Sub(labels[j].From)})
			}
		}
		if !fits {
			s.False = append(s.False, alarms[i])
		}
	}
	for j := range labels {
		if !found[j] {
			s.Missed = append(s.Missed, labels[j])
		}
	}
	return s
}

// Add adds another score.
func (s *Score) Add(o *Score) {
	s.Labels += o.Labels
	s.Found += o.Found
	s.Delays = append(s.Delays, o.Delays...)
	s.False = append(s.False, o.False...)
	s.Missed = append(s.Missed, o.Missed...)
}

// Delay is how long it took to find an anomaly.
type Delay struct {
	Kind monitor.Kind
	Took time.Duration
}

// Delay is the median time until an anomaly was found.
func (s *Score) Delay() time.Duration { return middle(s.Delays) }

// DelayOf is the same of one kind.
func (s *Score) DelayOf(k monitor.Kind) time.Duration {
	return middle(slices.DeleteFunc(slices.Clone(s.Delays), func(d Delay) bool { return d.Kind != k }))
}

func middle(delays []Delay) time.Duration {
	if len(delays) == 0 {
		return 0
	}
	slices.SortFunc(delays, func(a, b Delay) int { return cmp.Compare(a.Took, b.Took) })
	return delays[len(delays)/2].Took
}

// Stream is what a generator makes.
type Stream struct {
	// Webhooks are all names, without the empty one.
	Webhooks []string
	Labels   []Label
	From, To time.Time
	// Run makes the decisions in the order of their times. The event is valid during
	// the call.
	Run func(emit func(*monitor.Event))
}

// Watch runs the monitor over a stream and returns its alarms, and how many decisions
// there were. Others may watch, too.
func Watch(s *Stream, also func(*monitor.Event)) (alarms []monitor.Alarm, decisions int) {
	m := monitor.New(monitor.Config{Networks: 1 << 14, OnAlarm: func(a monitor.Alarm) { alarms = append(alarms, a) }})
	var next time.Time
	s.Run(func(e *monitor.Event) {
		if !e.Time.Before(next) {
			m.Tick(e.Time)
			next = e.Time.Truncate(monitor.Slot).Add(monitor.Slot)
		}
		m.Observe(e)
		decisions++
		if also != nil {
			also(e)
		}
	})
	m.Tick(s.To)
	return alarms, decisions
}
