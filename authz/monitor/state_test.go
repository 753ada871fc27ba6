package monitor_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
)

// TestRestart: what was learned survives, the time in between counts for nothing, and
// alarms go on.
func TestRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	s := newStream(11)
	if err := s.m.Load(file, monday); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	s.run(15*24*time.Hour, 60, nil)
	s.run(2*time.Hour, 60, func(e *monitor.Event) { e.BodyBytes *= 4 })
	for range 2 { // once over the old one
		if err := s.m.Save(file); err != nil {
			t.Fatal(err)
		}
	}
	s.now = s.now.Add(30 * time.Hour) // nobody saw what came
	s.m = monitor.New(monitor.Config{Networks: 1 << 12, OnAlarm: func(a monitor.Alarm) { s.alarms = append(s.alarms, a) }})
	if err := s.m.Load(file, s.now); err != nil {
		t.Fatal(err)
	}
	current, _ := s.m.Alarms()
	if len(s.alarms) != 1 || len(current) != 1 || current[0].Kind != monitor.BodySize || !current[0].Time.Equal(s.alarms[0].Time) {
		t.Fatalf("%v were raised, %v go on", s.alarms, current)
	}
	s.run(24*time.Hour, 60, nil)
	if current, past := s.m.Alarms(); len(s.alarms) != 1 || len(current) != 0 || len(past) != 1 {
		t.Errorf("after a day: %v were raised, %v go on, %v have ended", s.alarms, current, past)
	}
	s.run(3*time.Hour, 60, func(e *monitor.Event) { // the same networks, an old key
		e.KeyID = "old"
		if e.Source.As4()[3] == 3 {
			deny(authz.SignatureInvalid)(e)
		}
	})
	raised := func(k monitor.Kind) bool {
		return slices.ContainsFunc(s.alarms, func(a monitor.Alarm) bool { return a.Kind == k && !a.Strangers })
	}
	if !raised(monitor.RetiredKey) || !raised(monitor.SignatureFailures) || raised(monitor.NewSource) {
		t.Errorf("alarms %v", s.alarms)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("beside the file lies something: %v, %v", entries, err)
	}
}

// TestBrokenState: no file that is not whole is read, and the monitor is as new.
func TestBrokenState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	s := newStream(13)
	s.run(26*time.Hour, 60, nil)
	if err := s.m.Save(file); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		text []byte
		now  time.Time
	}{
		"empty":         {nil, s.now},
		"half":          {good[:len(good)/2], s.now},
		"one byte less": {good[:len(good)-1], s.now},
		"a byte more":   {append(bytes.Clone(good), 'x'), s.now},
		"another byte":  {flipped, s.now},
		"another file":  {bytes.Repeat([]byte("hello\n"), 100), s.now},
		"of tomorrow":   {good, s.now.Add(-24 * time.Hour)},
	} {
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		m := monitor.New(monitor.Config{Networks: 1 << 12})
		if err := m.Load(file, c.now); err == nil {
			t.Errorf("%s: was read", name)
		}
		if st := m.Stats(); st.Webhooks != 0 {
			t.Errorf("%s: %d webhooks are known", name, st.Webhooks)
		}
	}
	if err := s.m.Save(filepath.Join(file, "none")); err == nil {
		t.Error("was saved where there is no directory")
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	other := monitor.New(monitor.Config{Networks: 1 << 16}) // a table of another size
	if err := other.Load(file, s.now); err != nil || other.Stats().Webhooks != 1 {
		t.Errorf("with another table: %v", err)
	}
}
