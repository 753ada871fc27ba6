// The anomalies command measures what the monitor finds: it makes months of decisions
// with planted anomalies, and counts what was found, how soon, and what was raised for
// nothing, beside bands of mean and standard deviation and of median and deviation.
//
//	anomalies                              20 seeds that no threshold was chosen by
//	anomalies -write                       the same, into docs/anomalies.md
//	anomalies -seeds 1 -v                  with each label, and what was missed or false
//	anomalies -records F -labels F         one seed as files, for hookbastion monitor
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/monitor/anomalies"
)

// untuned is the first seed of those by which nothing was chosen.
const untuned = 1001

// page has the table.
const (
	page     = "docs/anomalies.md"
	pageFrom = "<!-- made by make anomalies -->\n"
	pageTo   = "<!-- end -->\n"
)

type options struct {
	seed            uint64
	seeds, days     int
	most            float64
	second, verbose bool
	write           bool
	records, labels string
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", untuned, "first seed")
	flag.IntVar(&o.seeds, "seeds", 20, "how many seeds, each a month")
	flag.IntVar(&o.days, "days", 28, "days of each")
	flag.BoolVar(&o.second, "second", false, "only the second generator; without it, the first, and then the second")
	flag.BoolVar(&o.verbose, "v", false, "list the labels, what was missed and what was false")
	flag.BoolVar(&o.write, "write", false, "write the tables into "+page)
	flag.StringVar(&o.records, "records", "", "write the decision records of one seed into this file, and judge nothing")
	flag.StringVar(&o.labels, "labels", "", "write the labels of that seed into this file")
	flag.Float64Var(&o.most, "most", 0, "leave webhooks with more decisions a day out of the files; 0: none")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "anomalies:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	if o.records != "" || o.labels != "" {
		return files(o)
	}
	var b strings.Builder
	if !o.second {
		measure(o, "the first generator", anomalies.First).table(&b)
		b.WriteString("\n")
	}
	measure(o, "the second generator", anomalies.Second).table(&b)
	fmt.Print(b.String())
	if o.write {
		return write(b.String())
	}
	return nil
}

// measure judges all seeds, two at a time.
func measure(o *options, name string, generate func(seed uint64, days int) *anomalies.Stream) *result {
	r := &result{name: name, began: time.Now(), seeds: o.seeds, days: o.days}
	seeds := make(chan uint64)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for seed := range seeds {
				r.judge(o, seed, generate(seed, o.days))
			}
		})
	}
	for i := range o.seeds {
		seeds <- o.seed + uint64(i)
	}
	close(seeds)
	workers.Wait()
	return r
}

// result is what a generator's seeds have shown.
type result struct {
	mu          sync.Mutex
	name        string
	began       time.Time
	seeds, days int
	decisions   int
	webhooks    int
	by          [3]anomalies.Score // the monitor, and both bands
	labels      [monitor.UnknownOutcomes + 1]int
}

func (r *result) judge(o *options, seed uint64, s *anomalies.Stream) {
	sigma, mad := anomalies.NewBands(anomalies.Sigma), anomalies.NewBands(anomalies.MAD)
	alarms, n := anomalies.Watch(s, func(e *monitor.Event) { sigma.Observe(e); mad.Observe(e) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decisions += n
	r.webhooks += len(s.Webhooks)
	score := anomalies.Judge(s.Labels, alarms)
	r.by[0].Add(&score)
	for i, b := range []*anomalies.Bands{sigma, mad} {
		other := anomalies.Judge(s.Labels, b.Alarms)
		r.by[1+i].Add(&other)
	}
	for _, l := range s.Labels {
		r.labels[l.Kind]++
	}
	fmt.Fprintf(os.Stderr, "%s, seed %d: %d decisions, %d of %d found, median delay %v, %d false; after %v\n",
		r.name, seed, n, score.Found, score.Labels, score.Delay().Round(time.Minute), len(score.False), time.Since(r.began).Round(time.Second))
	if o.verbose {
		list(s, &score)
	}
}

func list(s *anomalies.Stream, score *anomalies.Score) {
	const at = "Mon 02 15:04"
	for _, l := range s.Labels {
		fmt.Printf("  label  %s %q %s to %s, %s\n", l.Kind, l.Webhook, l.From.Format(at), l.To.Format(at), l.Strength)
	}
	for _, l := range score.Missed {
		fmt.Printf("  missed %s %q %s to %s, %s\n", l.Kind, l.Webhook, l.From.Format(at), l.To.Format(at), l.Strength)
	}
	for _, a := range score.False {
		fmt.Printf("  false  %s %q %s since %s: %s\n", a.Kind, a.Webhook, a.Time.Format(at), a.Since.Format(at), a.Message)
	}
}

// table writes what was found.
func (r *result) table(b *strings.Builder) {
	fmt.Fprintf(b, "Of %s: %d seeds of %d days, %.1f million decisions a seed, judged in %v.\n\n",
		r.name, r.seeds, r.days, float64(r.decisions)/float64(r.seeds)/1e6, time.Since(r.began).Round(time.Second))
	b.WriteString("| | found | median delay | false alarms per webhook and month |\n| --- | --- | --- | --- |\n")
	months := float64(r.webhooks) * float64(r.days) / 28
	for i, name := range []string{"the monitor", "mean ± 3 σ", "median ± 2 MAD"} {
		s := &r.by[i]
		fmt.Fprintf(b, "| %s | %d of %d (%.1f %%) | %v | %.2f |\n", name, s.Found, s.Labels, 100*float64(s.Found)/float64(max(s.Labels, 1)), minutes(s.Delay()), float64(len(s.False))/months)
	}
	b.WriteString("\n| kind | found by the monitor | median delay | false alarms |\n| --- | --- | --- | --- |\n")
	for _, k := range monitor.Kinds() {
		missed, wrong := 0, 0
		for _, l := range r.by[0].Missed {
			if l.Kind == k {
				missed++
			}
		}
		for _, a := range r.by[0].False {
			if a.Kind == k {
				wrong++
			}
		}
		fmt.Fprintf(b, "| `%s` | %d of %d | %s | %d |\n", k, r.labels[k]-missed, r.labels[k], minutes(r.by[0].DelayOf(k)), wrong)
	}
}

func minutes(d time.Duration) string { return fmt.Sprintf("%.0f min", d.Minutes()) }

// write puts the tables into the page.
func write(tables string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, _ := strings.Cut(string(text), pageFrom)
	_, after, ok := strings.Cut(rest, pageTo)
	if !ok {
		return errors.New(page + " has no place for the tables")
	}
	return os.WriteFile(page, []byte(before+pageFrom+tables+pageTo+after), 0o600)
}

// files writes a seed's records and labels.
func files(o *options) (err error) {
	generate := anomalies.First
	if o.second {
		generate = anomalies.Second
	}
	out := map[string]bool{} // webhooks that are left out
	if o.most > 0 {
		daily := map[string]float64{}
		generate(o.seed, o.days).Run(func(e *monitor.Event) { daily[e.Webhook] += 1 / float64(o.days) })
		for name, n := range daily {
			out[name] = n > o.most
		}
	}
	s := generate(o.seed, o.days)
	labels := slices.DeleteFunc(s.Labels, func(l anomalies.Label) bool { return out[l.Webhook] })
	if o.labels != "" {
		err = create(o.labels, func(f *os.File) error { return anomalies.WriteLabels(f, labels) })
	}
	if err != nil || o.records == "" {
		return err
	}
	return create(o.records, func(f *os.File) error {
		records := anomalies.NewRecords(f)
		s.Run(func(e *monitor.Event) {
			if !out[e.Webhook] {
				records.Write(e)
			}
		})
		return records.Close()
	})
}

func create(name string, fill func(*os.File) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}
