package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is everything that was measured.
type report struct {
	Machine   machine  `json:"machine"`
	Rounds    int      `json:"rounds"`
	Seconds   float64  `json:"seconds"`
	Saturated []*table `json:"saturated,omitempty"`
	Latency   *table   `json:"latency,omitempty"`
	Envoy     []*table `json:"envoy,omitempty"`
}

// machine is what figures hold for.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Load   string `json:"load"` // before the run
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(text), " ")
	}
	return m
}

// table has a row for each server. The first row is what the others are
// compared with.
type table struct {
	Title string `json:"title"`
	Rows  []*row `json:"rows"`
}

// row is the measurements of one server. A spread is over the rounds.
type row struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"requests_per_second"`
	PerCPU    float64 `json:"requests_per_cpu_second"`
	Ratio     spread  `json:"ratio"` // of that to the first row, round by round
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	AddedP50  spread  `json:"added_p50_us"` // to the first row, round by round
	AddedP99  spread  `json:"added_p99_us"`
	Cores     float64 `json:"cores"`
	// The process's own account of memory, where it gives one.
	Memory   bool    `json:"memory"`
	Objects  float64 `json:"objects_per_request"`
	Bytes    float64 `json:"bytes_per_request"`
	GC       float64 `json:"gc_share"`
	Resident float64 `json:"resident_mb"`
	// Through Envoy: microseconds of each process for a request.
	EnvoyCPU   float64 `json:"envoy_cpu_us,omitempty"`
	ServiceCPU float64 `json:"service_cpu_us,omitempty"`
	// What both take more than Envoy without external authorization, round by round,
	// and as a share of the no-op's; then the same of each one's best round.
	Added      spread  `json:"added_us,omitzero"`
	AddedRatio spread  `json:"added_ratio,omitzero"`
	LeastAdded float64 `json:"least_added_us,omitempty"`
	LeastRatio float64 `json:"least_added_ratio,omitempty"`

	all []measurement
}

// spread is a median with the lowest and the highest value.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := v[len(v)/2]
	if len(v)%2 == 0 {
		middle = (v[len(v)/2-1] + middle) / 2
	}
	return spread{middle, v[0], v[len(v)-1]}
}

func (t *table) row(name string) *row {
	for _, r := range t.Rows {
		if r.Name == name {
			return r
		}
	}
	r := &row{Name: name}
	t.Rows = append(t.Rows, r)
	return r
}

func (r *row) add(m measurement) { r.all = append(r.all, m) }

func (m *measurement) perCPU() float64 {
	if m.cpu <= 0 {
		return math.NaN()
	}
	return float64(m.requests) / m.cpu.Seconds()
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// median is that of one value of each round.
func (r *row) median(value func(*measurement) float64) float64 {
	var values []float64
	for i := range r.all {
		values = append(values, value(&r.all[i]))
	}
	return spreadOf(values).Median
}

// against is a value of each round beside the first row's of the same round.
func (r *row) against(first *row, value func(own, first *measurement) float64) spread {
	var values []float64
	for i := range min(len(r.all), len(first.all)) {
		values = append(values, value(&r.all[i], &first.all[i]))
	}
	return spreadOf(values)
}

func (t *table) finish() {
	for _, r := range t.Rows {
		first := t.Rows[0]
		r.PerSecond = r.median(func(m *measurement) float64 { return float64(m.requests) / m.wall.Seconds() })
		r.PerCPU = r.median((*measurement).perCPU)
		r.Cores = r.median(func(m *measurement) float64 { return m.cpu.Seconds() / m.wall.Seconds() })
		r.P50 = r.median(func(m *measurement) float64 { return us(m.times.at(0.5)) })
		r.P99 = r.median(func(m *measurement) float64 { return us(m.times.at(0.99)) })
		r.Ratio = r.against(first, func(own, first *measurement) float64 { return own.perCPU() / first.perCPU() })
		r.AddedP50 = r.against(first, func(own, first *measurement) float64 { return us(own.times.at(0.5) - first.times.at(0.5)) })
		r.AddedP99 = r.against(first, func(own, first *measurement) float64 { return us(own.times.at(0.99) - first.times.at(0.99)) })
		r.Memory = len(r.all) > 0 && r.all[0].known
		r.Objects = r.median(func(m *measurement) float64 { return m.memory.objects / float64(m.requests) })
		r.Bytes = r.median(func(m *measurement) float64 { return m.memory.bytes / float64(m.requests) })
		r.GC = r.median(func(m *measurement) float64 {
			if m.memory.gcCPU+m.memory.userCPU <= 0 {
				return 0 // not one collection has ended
			}
			return m.memory.gcCPU / (m.memory.gcCPU + m.memory.userCPU)
		})
		r.Resident = r.median(func(m *measurement) float64 { return float64(m.resident) / 1e6 })
	}
}

// write prints Markdown and, where a file is named, writes JSON.
func (r *report) write(w io.Writer, file string) error {
	fmt.Fprintf(w, "%s, %d cores, Linux %s, %s; load before the run %s. %d rounds of %g s; medians, and the ratio's lowest and highest round.\n",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, r.Machine.Load, r.Rounds, r.Seconds)
	for _, t := range r.Saturated {
		t.saturated(w)
	}
	if r.Latency != nil {
		r.Latency.latency(w)
	}
	for _, t := range r.Envoy {
		t.envoy(w)
	}
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

func (t *table) saturated(w io.Writer) {
	fmt.Fprintf(w, "\n| %s | requests per CPU-second | ratio | requests/s | p50 / p99 ms | objects / bytes per check | GC | resident MB |\n|---|---|---|---|---|---|---|---|\n", t.Title)
	for _, r := range t.Rows {
		memory, gc := "", ""
		if r.Memory {
			memory, gc = fmt.Sprintf("%.0f / %.0f", r.Objects, r.Bytes), fmt.Sprintf("%.1f %%", 100*r.GC)
		}
		fmt.Fprintf(w, "| %s | %.0f | %s | %.0f | %.2f / %.2f | %s | %s | %.0f |\n",
			r.Name, r.PerCPU, r.Ratio.ratio(), r.PerSecond, r.P50/1e3, r.P99/1e3, memory, gc, r.Resident)
	}
}

func (s spread) ratio() string { return fmt.Sprintf("%.2f [%.2f-%.2f]", s.Median, s.Low, s.High) }

func (s spread) added() string { return fmt.Sprintf("%+.0f [%+.0f to %+.0f]", s.Median, s.Low, s.High) }

func (t *table) latency(w io.Writer) {
	fmt.Fprintf(w, "\n| %s | p50 µs | p99 µs | added p50 µs | added p99 µs | cores | ratio |\n|---|---|---|---|---|---|---|\n", t.Title)
	for _, r := range t.Rows {
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %s | %s | %.2f | %s |\n", r.Name, r.P50, r.P99, r.AddedP50.added(), r.AddedP99.added(), r.Cores, r.Ratio.ratio())
	}
}
