// The anomalies command measures what the monitor finds: it makes months of decisions
// with planted anomalies and counts what was found, how soon, and what was raised for
// nothing.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/monitor/anomalies"
)

func main() {
	seed := flag.Uint64("seed", 1, "first seed")
	seeds := flag.Int("seeds", 1, "how many")
	days := flag.Int("days", 28, "days")
	verbose := flag.Bool("v", false, "list what was missed and what was false")
	flag.Parse()
	var total anomalies.Score
	began := time.Now()
	byKind := map[monitor.Kind][3]int{}
	for i := range *seeds {
		s := anomalies.First(*seed+uint64(i), *days)
		if *verbose {
			list(s)
		}
		alarms, n := anomalies.Watch(s, nil)
		score := anomalies.Judge(s.Labels, alarms)
		total.Add(&score)
		fmt.Fprintf(os.Stderr, "seed %d: %d decisions, %d of %d found, median delay %v, %d false, %v\n", *seed+uint64(i), n, score.Found, score.Labels, score.Delay(), len(score.False), time.Since(began).Round(time.Second))
		for _, l := range s.Labels {
			c := byKind[l.Kind]
			c[0]++
			byKind[l.Kind] = c
		}
		for _, l := range score.Missed {
			c := byKind[l.Kind]
			c[1]++
			byKind[l.Kind] = c
			if *verbose {
				fmt.Printf("  missed %s %s %s to %s (%s) %s\n", l.Kind, l.Webhook, l.From.Format("Mon 02 15:04"), l.To.Format("Mon 02 15:04"), l.To.Sub(l.From), l.Strength)
			}
		}
		for _, a := range score.False {
			c := byKind[a.Kind]
			c[2]++
			byKind[a.Kind] = c
			if *verbose {
				fmt.Printf("  false  %s %s %s since %s: %s [%d]\n", a.Kind, a.Webhook, a.Time.Format("Mon 02 15:04"), a.Since.Format("Mon 02 15:04"), a.Message, a.Samples)
			}
		}
	}
	for _, k := range monitor.Kinds() {
		fmt.Printf("%-20s labels %d missed %d false %d\n", k, byKind[k][0], byKind[k][1], byKind[k][2])
	}
}

func list(s *anomalies.Stream) {
	for _, l := range s.Labels {
		fmt.Printf("  label %s %s %s to %s (%s) %s\n", l.Kind, l.Webhook, l.From.Format("Mon 02 15:04"), l.To.Format("Mon 02 15:04"), l.To.Sub(l.From), l.Strength)
	}
}
