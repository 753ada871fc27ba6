package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sample is what a replica has at a time.
type sample struct {
	at     time.Time
	values [quantities]float64
}

const quantities = 4

// quantity is one of what is watched. It is flat if the median of the last third of all
// samples is no more than a tenth and grace above that of the first third, both without
// the first fifth of the run, in which pools and caches fill. Grace is for what must grow:
// the nonces of a run, some 40 bytes each, and connections that come and go.
type quantity struct {
	name, unit string
	metric     string // where /metrics has it; "" is asked of the system
	scale      float64
	grace      float64
}

var watched = [quantities]quantity{
	{"resident memory", "MiB", "process_resident_memory_bytes", 1 << 20, 12},
	{"heap", "MiB", "go_memstats_heap_alloc_bytes", 1 << 20, 12},
	{"descriptors", "", "process_open_fds", 1, 6},
	{"goroutines", "", "go_goroutines", 1, 12},
}

// every is the time between two samples.
const every = 10 * time.Second

// record is the samples of a run. It follows the first replica, which is never ended.
type record struct {
	samples []sample
	missed  int // while the replica stood still
}

func (r *record) follow(w *world, stop <-chan struct{}) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		text, err := get(w.replicas[0].metrics)
		if err != nil {
			r.missed++
			continue
		}
		s := sample{at: time.Now()}
		for i, q := range watched {
			s.values[i] = metric(text, q.metric) / q.scale
		}
		r.samples = append(r.samples, s)
	}
}

// metric is the value of a line without labels.
func metric(text, name string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				return 0
			}
			return v
		}
	}
	return 0
}

// flat prints a row for each quantity, and reports whether all are flat.
func (r *record) flat(out io.Writer, name string) bool {
	settled := r.samples[len(r.samples)/5:]
	if len(settled) < 6 {
		fmt.Fprintf(out, "%s: only %d samples\n", name, len(r.samples))
		return false
	}
	all := true
	for i, q := range watched {
		column := make([]float64, len(settled))
		for n, s := range settled {
			column[n] = s.values[i]
		}
		third := len(column) / 3
		first, last := median(column[:third]), median(column[len(column)-third:])
		word := "flat"
		if first <= 0 || last > first*1.1+q.grace {
			word, all = "NOT FLAT", false
		}
		fmt.Fprintf(out, "| %s | %s | %.4g | %.4g | %.4g | %.4g | %s |\n", name, strings.TrimSpace(q.name+" "+q.unit), slices.Min(column), first, last, slices.Max(column), word)
	}
	return all
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// save writes all samples as lines of numbers.
func (r *record) save(file string) error {
	var b strings.Builder
	b.WriteString("seconds")
	for _, q := range watched {
		fmt.Fprintf(&b, ",%s", strings.ReplaceAll(strings.TrimSpace(q.name+" "+q.unit), " ", "_"))
	}
	for _, s := range r.samples {
		fmt.Fprintf(&b, "\n%.0f", s.at.Sub(r.samples[0].at).Seconds())
		for _, v := range s.values {
			fmt.Fprintf(&b, ",%.2f", v)
		}
	}
	return os.WriteFile(file, []byte(b.String()+"\n"), 0o600)
}

// soaked lets two services run for a while beside each other, one with a Redis and one
// with a file, at a load that leaves room, with all faults but the end of what is watched.
// It returns the status of the program.
func soaked(s setup, d time.Duration) int {
	s.time, s.spared, s.workers, s.streams, s.losses = d, true, 2, 4, max(4, int(d/(3*time.Minute)))
	s.pace, s.rest = 60*time.Millisecond, 9*time.Second
	stores := []string{"REDIS", "FILE"}
	records, verdicts, errs := make([]*record, len(stores)), make([]*verdict, len(stores)), make([]error, len(stores))
	setups := make([]setup, len(stores))
	var both sync.WaitGroup
	for i, store := range stores {
		own := s
		own.store, own.seed, own.record = store, s.seed+int64(i), &record{}
		records[i], setups[i] = own.record, own
		both.Go(func() { verdicts[i], errs[i] = run(own) })
	}
	both.Wait()
	good := true
	for i, store := range stores {
		if errs[i] != nil {
			good = false
			fmt.Fprintf(os.Stderr, "chaos: %s: %v\n", store, errs[i])
			continue
		}
		verdicts[i].print(os.Stdout, setups[i])
		good = good && verdicts[i].bad == 0
	}
	fmt.Printf("\n| store | | least | first third | last third | most | |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for i, store := range stores {
		good = records[i].flat(os.Stdout, store) && good
		if records[i].missed > 0 {
			fmt.Printf("%s: %d samples are missing, since the replica stood still\n", store, records[i].missed)
		}
		if err := records[i].save("bin/soak-" + strings.ToLower(store) + ".csv"); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
		}
	}
	if !good {
		return 1
	}
	return 0
}
