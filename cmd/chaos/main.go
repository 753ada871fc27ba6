// Command chaos drives the service behind a real Envoy while processes are killed,
// paused and started from old files, and judges what became of each request.
//
// The traffic is deliveries, handshakes, attacks and copies at endpoints of many kinds, of
// which package oracle judges each answer when it comes. Beside it senders sign deliveries
// for three webhooks, an application behind Envoy takes, fails or loses them, and attackers
// send copies of what was sent, much later too. A nemesis breaks one thing after the
// other. In the end two questions are asked of each content of the senders:
//
//   - Did a copy come through without a mark after the application had taken the
//     content, while it was at it, or after it had perhaps taken it?
//   - Did the application take each honest delivery, if not at first then with one of
//     its sender's retries?
//
// A loss of the store excuses no copy: what may have been forgotten is marked. Only what
// ended before an access log had come may be lost, in memory, and is counted. The program
// imports no package of the service: what it expects is written from the documentation.
//
// A run is repeated by its seed, as far as processes and the network repeat themselves.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// setup is one run.
type setup struct {
	seed     int64
	store    string // MEMORY, FILE, REDIS or CLUSTER
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
	streams  int           // of the traffic
	pace     time.Duration // between two things that a stream does
	rest     time.Duration // the longest between two faults
	only     string        // the faults that there are, if not all
	at       string        // the endpoints of the traffic, if not all
	eager    bool          // end with the first wrong verdict
	spared   bool          // one replica is never ended, so that it can be watched
	record   *record       // of what that replica has; nil: nobody looks
	verdicts int           // to be judged before the faults end
	stores   string        // the list that it is from; "" is that of all seeds
}

// shared reports whether replicas share the store.
func (s *setup) shared() bool { return s.store == "REDIS" || s.store == "CLUSTER" }

// clustered is the seed from which on the store is a cluster. Those below take the others
// in turn.
const clustered = 1001

// of sets what a seed means: the store and whether Envoy repeats checks.
func (s *setup) of(seed int64) {
	list, first := s.stores, int64(1)
	if list == "" {
		list = "MEMORY,FILE,REDIS"
		if seed >= clustered {
			list, first = "CLUSTER", clustered
		}
	}
	names := strings.Split(list, ",")
	turn := int(seed - first)
	s.seed, s.store, s.retry = seed, names[turn%len(names)], turn/len(names)%2 == 1
}

// seedsOf are the seeds of a run: those that were asked for, and, where they have no cluster,
// one with a cluster for each five.
func seedsOf(stores string, first int64, many int) (seeds []int64) {
	for i := range many {
		seeds = append(seeds, first+int64(i))
	}
	if stores == "" && first < clustered {
		for i := range many / 5 {
			seeds = append(seeds, clustered-1+first+int64(i))
		}
	}
	return seeds
}

// cached is where make puts what it fetches.
const cached = ".cache/"

func main() {
	var s setup
	flag.StringVar(&s.stores, "stores", "", "stores, taken in turn; by default MEMORY,FILE,REDIS, and CLUSTER from seed 1001 on")
	first := flag.Int64("seed", 1, "the first seed")
	many := flag.Int("seeds", 10, "how many; without -stores, one from 1001 on is added for each five")
	flag.IntVar(&s.faults, "faults", 40, "faults a seed")
	flag.DurationVar(&s.time, "time", 0, "how long there are faults, in place of their number")
	flag.IntVar(&s.losses, "losses", 4, "faults a seed by which the store forgets, each half a minute of 503, at most")
	flag.IntVar(&s.workers, "workers", 3, "senders")
	flag.DurationVar(&s.lurk, "lurk", 25*time.Second, "the longest that an attacker waits with a copy")
	flag.DurationVar(&s.patience, "patience", 3*time.Minute, "how long senders go on retrying after the last fault")
	flag.IntVar(&s.streams, "streams", 12, "streams of the traffic")
	flag.DurationVar(&s.pace, "pace", 0, "what a stream waits on average between two things that it does")
	flag.DurationVar(&s.rest, "rest", 1200*time.Millisecond, "the longest between two faults")
	flag.StringVar(&s.only, "only", "", "faults that there are, with commas; by default all")
	flag.StringVar(&s.at, "at", "", "endpoints of the traffic, with commas; by default all")
	flag.BoolVar(&s.eager, "eager", false, "end with the first wrong verdict")
	flag.IntVar(&s.verdicts, "verdicts", 0, "verdicts of the traffic a seed, before its faults end")
	soak := flag.Duration("soak", 0, "in place of seeds: for how long to watch what the service uses")
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

	go untilInterrupted()
	if *soak > 0 {
		s.seed = *first
		os.Exit(soaked(s, *soak))
	}
	bad, total, verdicts := 0, 0, int64(0)
	seeds := seedsOf(s.stores, *first, *many)
	for _, seed := range seeds {
		s.of(seed)
		verdict, err := run(s)
		if err != nil {
			fmt.Fprintf(os.Stderr, "chaos: seed %d: %v\n", s.seed, err)
			os.Exit(2)
		}
		verdict.print(os.Stdout, s)
		total += verdict.faults
		verdicts += verdict.verdicts()
		if verdict.bad > 0 {
			bad++
			if s.eager {
				break
			}
		}
	}
	fmt.Printf("%d verdicts judged and %d faults over %d seeds\n", verdicts, total, len(seeds))
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
	return w.suffer()
}

// suffer lets traffic and faults be, and judges what came of them.
func (w *world) suffer() (*verdict, error) {
	l, t := newLoad(w), newTraffic(w)
	l.start()
	t.start()
	stop, over := make(chan struct{}), make(chan struct{})
	var keys, pulse sync.WaitGroup
	pulse.Go(func() { w.weather.Pulse(over) })
	if w.record != nil {
		pulse.Go(func() { w.record.follow(w, stop) })
	}
	keys.Go(func() { w.rotations(stop, func(err error) { t.fail("rotation: " + err.Error()) }) })
	err := w.faults(t)
	close(stop)
	keys.Wait()
	if err != nil {
		close(over)
		return nil, err
	}
	w.finish(l, t)
	close(over)
	pulse.Wait()
	v := judge(w, l)
	t.report(v)
	v.kinds = w.nemesis.count
	for _, k := range v.kinds {
		v.faults += k
	}
	if v.bad > 0 {
		v.wrong = append(v.wrong, strings.Join(w.nemesis.diary, "\n"), w.tails())
	}
	return v, nil
}

// finish ends both loads at once, each of which retries for a while.
func (w *world) finish(l *load, t *traffic) {
	patience := w.patience
	if w.eager && t.failed() {
		patience, l.hurried = 0, true
	}
	var both sync.WaitGroup
	both.Go(func() { l.finish(patience) })
	both.Go(func() { t.finish(patience) })
	both.Wait()
}

// faults breaks one thing after the other, and leaves all running.
func (w *world) faults(t *traffic) error {
	s := w.setup
	n := &nemesis{world: w, random: newRandom(s.seed, "nemesis")}
	w.nemesis = n
	for time.Until(w.began.Add(setupTime+time.Second)) > 0 && !(s.eager && t.failed()) {
		time.Sleep(100 * time.Millisecond)
	}
	goes := func(i int) bool {
		switch {
		case s.eager && t.failed():
			return false
		case s.verdicts > 0 && t.told.Load() < int64(s.verdicts):
			return true
		case s.time > 0:
			return time.Since(w.began) < s.time
		default:
			return i < s.faults
		}
	}
	for i := 0; goes(i); i++ {
		if err := n.next(); err != nil {
			return fmt.Errorf("%s: %w\n%s", n.last, err, w.tails())
		}
	}
	return n.heal()
}
