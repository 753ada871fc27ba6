package serve

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/monitor/notify"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// How often the monitor looks whether a slot has ended, and how often it is kept.
const (
	watchPeriod = 5 * time.Second
	keepPeriod  = 10 * time.Minute
)

// watchman runs the monitor. A nil one is that of settings that switch it off.
type watchman struct {
	monitor *monitor.Monitor
	sender  *notify.Sender // nil: alarms are sent nowhere
	file    string
	log     *slog.Logger
}

// newWatchman makes the monitor, with what was learned before.
func newWatchman(s *settings.Settings, log *slog.Logger) (*watchman, error) {
	if s.Monitor.Off {
		return nil, nil //nolint:nilnil // nobody watches
	}
	w := &watchman{file: s.Monitor.File, log: log}
	if hook := s.Monitor.Webhook; hook != nil {
		config := *hook
		if config.Secret != nil {
			if _, err := notify.Key(config.Secret); err != nil {
				return nil, err
			}
		}
		config.Replica, config.OnResult = replicaName(), w.sent
		w.sender = notify.New(config)
	}
	w.monitor = monitor.New(monitor.Config{OnAlarm: w.raised, OnEnd: w.ended})
	if w.file == "" {
		return w, nil
	}
	switch err := w.monitor.Load(w.file, time.Now()); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		log.Warn("what the monitor has learned cannot be read: it learns again", "error", err)
	}
	return w, nil
}

// of is the monitor; nil if nobody watches.
func (w *watchman) of() *monitor.Monitor {
	if w == nil {
		return nil
	}
	return w.monitor
}

// about is what the log says of an alarm.
func about(a *monitor.Alarm) []any {
	return []any{
		"kind", a.Kind.String(), "webhook", a.Webhook, "source", a.Source, "baseline", a.Baseline, "value", a.Value, "unit", a.Unit,
		"samples", a.Samples, "since", a.Since.Format(time.RFC3339), "message", a.Message,
	}
}

func (w *watchman) raised(a monitor.Alarm) {
	w.log.Warn("anomaly", about(&a)...)
	if w.sender != nil {
		w.sender.Send(a)
	}
}

func (w *watchman) ended(a monitor.Alarm) {
	w.log.Info("an anomaly has ended", "kind", a.Kind.String(), "webhook", a.Webhook, "raised", a.Time.Format(time.RFC3339))
	if w.sender != nil {
		w.sender.Send(a)
	}
}

// sent says what became of a message.
func (w *watchman) sent(a monitor.Alarm, tries int, err error) {
	if err != nil {
		w.log.Error("an alarm could not be sent to monitor.webhook", "kind", a.Kind.String(), "webhook", a.Webhook, "tries", tries, "error", err)
	}
}

// run judges until the context ends, and keeps what was learned.
func (w *watchman) run(ctx context.Context) {
	if w == nil {
		return
	}
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		if w.sender != nil {
			w.sender.Run(ctx)
		}
	}()
	tick := time.NewTicker(watchPeriod)
	defer tick.Stop()
	var dropped int64
	for kept := time.Now(); ; {
		select {
		case <-ctx.Done():
			w.keep()
			<-sending
			return
		case now := <-tick.C:
			w.monitor.Tick(now)
			if now.Sub(kept) >= keepPeriod {
				kept = now
				w.keep()
			}
			if w.sender != nil {
				if n := w.sender.Stats().Dropped; n > dropped {
					w.log.Error("alarms were not sent to monitor.webhook: too many wait", "times", n-dropped)
					dropped = n
				}
			}
		}
	}
}

// keep writes what was learned to its file. One that cannot be written is said each
// time: what was learned would be lost.
func (w *watchman) keep() {
	if w.file == "" {
		return
	}
	if err := w.monitor.Save(w.file); err != nil {
		w.log.Error("what the monitor has learned cannot be kept", "error", err)
	}
}

// counts are those of the metrics; nil if nobody watches.
func (w *watchman) counts() func() (raised, current map[string]int64) {
	if w == nil {
		return nil
	}
	return func() (raised, current map[string]int64) {
		s := w.monitor.Stats()
		raised, current = map[string]int64{}, map[string]int64{}
		for _, k := range monitor.Kinds() {
			raised[k.String()], current[k.String()] = s.Raised[k], s.Current[k]
		}
		return raised, current
	}
}

// Anomalies is what GET /api/v1/anomalies answers.
type Anomalies struct {
	// Watched is false where settings switch the monitor off.
	Watched bool `json:"watched"`
	// Current are the alarms that go on, Past those that have ended; the newest first.
	Current []monitor.Alarm `json:"current"`
	Past    []monitor.Alarm `json:"past"`
}

// Anomalies are the alarms.
func (c *counted) Anomalies() Anomalies { return c.anomalies.list() }

func (w *watchman) list() Anomalies {
	a := Anomalies{Current: []monitor.Alarm{}, Past: []monitor.Alarm{}}
	if w == nil {
		return a
	}
	current, past := w.monitor.Alarms()
	a.Watched = true
	for i := len(current) - 1; i >= 0; i-- {
		a.Current = append(a.Current, current[i])
	}
	for i := len(past) - 1; i >= 0; i-- {
		a.Past = append(a.Past, past[i])
	}
	return a
}

// listAnomalies answers with the alarms.
func (a *admin) listAnomalies(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.facts.Anomalies()) // the client is gone
}
