package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// nemesis breaks one thing after the other. Most faults heal by themselves within a
// second or two; what takes the store's memory costs a pause of half a minute, and
// comes seldom.
type nemesis struct {
	world   *world
	random  *rand.Rand
	count   map[string]int
	diary   []string // what was done when
	last    string
	version int
	done    int
	heavy   int
	epoch   int       // of Envoy
	backup  time.Time // of the file store's directory, or of Redis' files
}

const ready = time.Minute

type fault struct {
	name string
	kind oracle.Kind
	do   func() error
}

// uncertain is for how long signed times are uncertain after a loss, at most.
const uncertain = 45 * time.Second

const (
	spell = 6               // faults between two calms
	calm  = 7 * time.Second // in which every answer must be the right one
)

// next does one fault.
func (n *nemesis) next() error {
	if n.count == nil {
		n.count = map[string]int{}
	}
	if n.done++; n.done%spell == 0 {
		time.Sleep(calm)
	}
	time.Sleep(n.upTo(n.world.rest))
	all := n.light()
	if n.heavy < n.world.losses && n.random.IntN(12) == 0 {
		if dear := n.dear(); len(dear) > 0 {
			all = dear
			n.heavy++
		}
	}
	if n.world.only != "" {
		all = slices.DeleteFunc(append(n.light(), n.dear()...), func(f fault) bool { return !strings.Contains(","+n.world.only+",", ","+f.name+",") })
		if len(all) == 0 {
			time.Sleep(time.Second)
			return nil
		}
	}
	f := all[n.random.IntN(len(all))]
	n.last = f.name
	n.count[f.name]++
	began, losses := time.Now(), len(n.world.forgotten)
	end := n.world.weather.Begin(f.kind)
	back := func() {}
	if f.kind == oracle.Part {
		back = n.apart()
	}
	err := f.do()
	back()
	if len(n.world.forgotten) > losses {
		n.world.weather.Lost() // it is known only when the store is there again
	}
	end()
	n.diary = append(n.diary, fmt.Sprintf("%s to %s %s", began.Format("05.000"), time.Now().Format("05.000"), f.name))
	if len(n.diary) > 200 {
		n.diary = n.diary[100:]
	}
	return err
}

func (n *nemesis) upTo(d time.Duration) time.Duration {
	return time.Duration(n.random.Int64N(int64(d)))
}

func (n *nemesis) light() []fault {
	w := n.world
	one := w.replicas[n.random.IntN(len(w.replicas))]
	if w.spared && len(w.replicas) > 1 {
		one = w.replicas[1]
	}
	var all []fault
	add := func(times int, name string, kind oracle.Kind, do func() error) {
		for range times {
			all = append(all, fault{name, kind, do})
		}
	}
	if !w.spared || len(w.replicas) > 1 {
		if w.store != "MEMORY" {
			add(3, "kill", oracle.Service, func() error { return n.restart(one, syscall.SIGKILL) })
			add(1, "redeploy", oracle.Service, func() error { return n.restart(one, syscall.SIGTERM) })
		}
	}
	add(2, "pause", oracle.Service, func() error { return n.pause(one) })
	add(1, "envoy killed", oracle.Proxy, n.killEnvoy)
	add(1, "envoy paused", oracle.Proxy, func() error { return n.pause(w.envoy) })
	if hotRestarts {
		add(1, "envoy restarted hot", oracle.Proxy, n.hotRestart)
	}
	add(1, "reload", oracle.Reload, n.reload)
	add(1, "bad policies", oracle.Reload, n.badPolicies)
	add(1, "half written policies", oracle.Reload, n.halfPolicies)
	add(1, "bad secret", oracle.Reload, n.badSecret)
	add(2, "access log lost", oracle.Log, n.loseLog)
	add(1, "application away", oracle.Reload, func() error { return w.application.away(n.upTo(time.Second)) })
	if w.store == "REDIS" {
		add(2, "redis paused", oracle.Store, func() error { return n.pause(w.redis[0]) })
		add(2, "redis slow", oracle.Store, func() error { return n.redisSlow(w.path("redis")) })
		add(1, "replica of redis paused", oracle.Store, func() error { return n.pause(w.redis[1]) })
	}
	if w.store == "CLUSTER" {
		add(4, "slot moves", oracle.Part, n.slotMoves)
		add(2, "master paused", oracle.Part, n.masterPaused)
		add(2, "master slow", oracle.Part, n.masterSlow)
	}
	return all
}

// loseLog loses a share of the access log's entries for a while, up to all of them.
func (n *nemesis) loseLog() error {
	if err := n.world.logShare([]int{0, 0, 30, 70}[n.random.IntN(4)]); err != nil {
		return err
	}
	time.Sleep(time.Second + n.upTo(3*time.Second))
	return n.world.logShare(100)
}

// dear are the faults by which the store forgets.
func (n *nemesis) dear() []fault {
	w := n.world
	one := w.replicas[0]
	switch {
	case w.store == "MEMORY" && !w.spared:
		return []fault{
			{"kill", oracle.Service, func() error { return n.restart(one, syscall.SIGKILL) }},
			{"redeploy", oracle.Service, func() error { return n.restart(one, syscall.SIGTERM) }},
		}
	case w.store == "FILE" && !w.spared:
		if n.backup.IsZero() {
			return []fault{{"backup", oracle.Service, n.fileBackup}}
		}
		return []fault{{"old directory", oracle.Service, n.fileOld}, {"backup", oracle.Service, n.fileBackup}}
	case w.store == "REDIS":
		all := []fault{
			{"redis restarted", oracle.Store, func() error { return n.redisRestart("kept") }},
			{"redis emptied", oracle.Store, func() error { return n.redisRestart("emptied") }},
			{"redis demoted and promoted", oracle.Store, n.redisFailback},
			{"redis evicts", oracle.Store, n.redisEvicts},
		}
		if n.backup.IsZero() {
			return append(all, fault{"redis backup", oracle.Store, n.redisBackup})
		}
		return append(all, fault{"redis from an old file", oracle.Store, func() error { return n.redisRestart("old") }})
	case w.store == "CLUSTER":
		return []fault{
			{"master restarted", oracle.Part, func() error { return n.masterRestarted(false) }},
			{"master emptied", oracle.Part, func() error { return n.masterRestarted(true) }},
			{"slot emptied", oracle.Part, n.slotEmptied},
			{"slot broken off", oracle.Part, n.slotBroken},
		}
	default:
		return nil
	}
}

func (n *nemesis) restart(p *process, s syscall.Signal) error {
	if err := p.end(s); err != nil {
		return err
	}
	if n.world.store == "MEMORY" {
		n.forgot(loss{what: "restart", at: time.Now()})
	}
	if n.world.store == "FILE" && n.world.weather.Broken(time.Now().Add(-uncertain), time.Now(), oracle.Forgot) {
		defer n.world.weather.Lost() // what was uncertain is so for the same time after a further start
	}
	time.Sleep(n.upTo(300 * time.Millisecond))
	if err := p.start(); err != nil {
		return err
	}
	return p.await(ready)
}

func (n *nemesis) pause(p *process) error {
	p.signal(sigStop)
	time.Sleep(50*time.Millisecond + n.upTo(1500*time.Millisecond))
	p.signal(sigContinue)
	return nil
}

// forgot notes that the store has lost what it knew.
func (n *nemesis) forgot(l loss) {
	n.world.forgotten = append(n.world.forgotten, l)
	n.world.weather.Lost()
}

// heal leaves all running.
func (n *nemesis) heal() error {
	for _, p := range append(append([]*process{n.world.envoy}, n.world.replicas...), n.world.redis...) {
		p.signal(sigContinue)
		if err := p.await(ready); err != nil {
			return err
		}
	}
	return nil
}

// fileBackup copies the file store's directory while nobody writes there.
func (n *nemesis) fileBackup() error {
	p := n.world.replicas[0]
	if err := p.end(syscall.SIGKILL); err != nil {
		return err
	}
	if err := copyDir(n.world.path("nonces"), n.world.path("nonces.old")); err != nil {
		return err
	}
	n.backup = time.Now()
	if err := p.start(); err != nil {
		return err
	}
	return p.await(ready)
}

// fileOld starts with an old copy of the directory.
func (n *nemesis) fileOld() error {
	p := n.world.replicas[0]
	if err := p.end(syscall.SIGKILL); err != nil {
		return err
	}
	n.forgot(loss{what: "old directory", at: time.Now()})
	if err := os.RemoveAll(n.world.path("nonces")); err != nil {
		return err
	}
	if err := copyDir(n.world.path("nonces.old"), n.world.path("nonces")); err != nil {
		return err
	}
	if err := p.start(); err != nil {
		return err
	}
	return p.await(ready)
}

func copyDir(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copy of %s: %w", from, err)
	}
	return nil
}
