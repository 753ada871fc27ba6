// Command chaos drives the service behind a real Envoy while processes are killed,
// paused and started from old files, and judges what reached the application.
//
// Senders sign deliveries, an application behind Envoy takes, fails or loses them,
// attackers send copies of what was sent, and a nemesis breaks one thing after the
// other. In the end two questions are asked of each signed content:
//
//   - Did a copy come through without a mark after the application had taken the
//     content, while it was at it, or after it had perhaps taken it?
//   - Did the application take each honest delivery, if not at first then with one of
//     its sender's retries?
//
// A loss of the store excuses no copy: what may have been forgotten is marked. Only what
// ended before an access log had come may be lost, in memory, and is counted. The program imports no package of the service: what
// it expects is written from the documentation.
//
// A run is repeated by its seed, as far as processes and the network repeat themselves.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// setup is one run.
type setup struct {
	seed     int64
	store    string // MEMORY, FILE or REDIS
	retry    bool   // Envoy repeats a check that failed
	faults   int
	time     time.Duration // of faults, if not 0, in place of their number
	losses   int           // by which the store forgets, at most
	workers  int
	lurk     time.Duration // the longest that an attacker waits
	binary   string
	envoy    string
	redis    string
	dir      string
	patience time.Duration // for retries after the last fault
}

// cached is where make puts what it fetches.
const cached = ".cache/"

func main() {
	var s setup
	stores := flag.String("stores", "MEMORY,FILE,REDIS", "stores, taken in turn")
	first := flag.Int64("seed", 1, "the first seed")
	seeds := flag.Int("seeds", 10, "how many")
	flag.IntVar(&s.faults, "faults", 100, "faults a seed")
	flag.DurationVar(&s.time, "time", 0, "how long there are faults, in place of their number")
	flag.IntVar(&s.losses, "losses", 4, "faults a seed by which the store forgets, each half a minute of 503, at most")
	flag.IntVar(&s.workers, "workers", 6, "senders")
	flag.DurationVar(&s.lurk, "lurk", 25*time.Second, "the longest that an attacker waits with a copy")
	flag.DurationVar(&s.patience, "patience", 3*time.Minute, "how long senders go on retrying after the last fault")
	flag.StringVar(&s.binary, "hookbastion", "bin/hookbastion", "the service")
	flag.StringVar(&s.envoy, "envoy", "", "an Envoy; by default that of .cache or PATH")
	flag.StringVar(&s.redis, "redis", "", "a redis-server; by default that of .cache or PATH")
	flag.Parse()
	if !works {
		fmt.Fprintln(os.Stderr, "chaos: this needs a Unix: processes are made to stand still")
		os.Exit(2)
	}
	s.envoy = find(s.envoy, "envoy", cached+"envoy-*/envoy")
	s.redis = find(s.redis, "redis-server", cached+"redis/bin/redis-server")

	list, bad, total := strings.Split(*stores, ","), 0, 0
	for i := range *seeds {
		s.seed = *first + int64(i)
		turn := int(s.seed - 1)
		s.store = list[turn%len(list)]
		s.retry = turn/len(list)%2 == 1
		verdict, err := run(s)
		if err != nil {
			fmt.Fprintf(os.Stderr, "chaos: seed %d: %v\n", s.seed, err)
			os.Exit(2)
		}
		verdict.print(os.Stdout, s)
		total += verdict.faults
		if len(verdict.wrong) > 0 {
			bad++
		}
	}
	fmt.Printf("%d faults over %d seeds\n", total, *seeds)
	if bad > 0 {
		fmt.Printf("%d seeds show what must not be\n", bad)
		os.Exit(1)
	}
}

func run(s setup) (*verdict, error) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s.dir = dir
	w, err := start(s)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	l := newLoad(w)
	l.start()
	n := &nemesis{world: w, random: newRandom(s.seed, "nemesis")}
	for i, end := 0, time.Now().Add(s.time); i < s.faults && s.time == 0 || time.Now().Before(end); i++ {
		if err := n.next(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", n.last, err, w.tails())
		}
	}
	if err := n.heal(); err != nil {
		return nil, err
	}
	l.finish(s.patience)
	v := judge(w, l)
	v.kinds = n.count
	for _, k := range n.count {
		v.faults += k
	}
	if len(v.wrong) > 0 {
		v.wrong = append(v.wrong, strings.Join(n.diary, "\n"), w.tails())
	}
	return v, nil
}
