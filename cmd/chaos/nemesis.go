package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
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
	heavy   int
	backup  time.Time // of the file store's directory, or of Redis' files
}

const ready = 30 * time.Second

type fault struct {
	name string
	do   func() error
}

// next does one fault.
func (n *nemesis) next() error {
	if n.count == nil {
		n.count = map[string]int{}
	}
	time.Sleep(n.upTo(700 * time.Millisecond))
	all := n.light()
	if n.heavy < n.world.losses && n.random.IntN(12) == 0 {
		if dear := n.dear(); len(dear) > 0 {
			all = dear
			n.heavy++
		}
	}
	f := all[n.random.IntN(len(all))]
	n.last = f.name
	n.count[f.name]++
	began := time.Now()
	err := f.do()
	n.diary = append(n.diary, fmt.Sprintf("%s to %s %s", began.Format("05.000"), time.Now().Format("05.000"), f.name))
	return err
}

func (n *nemesis) upTo(d time.Duration) time.Duration {
	return time.Duration(n.random.Int64N(int64(d)))
}

func (n *nemesis) light() []fault {
	w := n.world
	one := w.replicas[n.random.IntN(len(w.replicas))]
	all := []fault{
		{"kill", func() error { return n.restart(one, syscall.SIGKILL) }},
		{"kill", func() error { return n.restart(one, syscall.SIGKILL) }},
		{"redeploy", func() error { return n.restart(one, syscall.SIGTERM) }},
		{"pause", func() error { return n.pause(one) }},
		{"pause", func() error { return n.pause(one) }},
		{"reload", n.reload},
		{"envoy killed", func() error { return n.restart(w.envoy, syscall.SIGKILL) }},
		{"envoy paused", func() error { return n.pause(w.envoy) }},
	}
	if w.store == "REDIS" {
		all = append(all,
			fault{"redis paused", func() error { return n.pause(w.redis[0]) }},
			fault{"redis paused", func() error { return n.pause(w.redis[0]) }},
			fault{"replica of redis paused", func() error { return n.pause(w.redis[1]) }})
	}
	return all
}

// dear are the faults by which the store forgets.
func (n *nemesis) dear() []fault {
	w := n.world
	switch w.store {
	case "FILE":
		if n.backup.IsZero() {
			return []fault{{"backup", n.fileBackup}}
		}
		return []fault{{"old directory", n.fileOld}, {"backup", n.fileBackup}}
	case "REDIS":
		all := []fault{
			{"redis restarted", func() error { return n.redisRestart("kept") }},
			{"redis emptied", func() error { return n.redisRestart("emptied") }},
			{"redis demoted and promoted", n.redisFailback},
			{"redis evicts", n.redisEvicts},
		}
		if n.backup.IsZero() {
			return append(all, fault{"redis backup", n.redisBackup})
		}
		return append(all, fault{"redis from an old file", func() error { return n.redisRestart("old") }})
	default:
		return nil
	}
}

func (n *nemesis) restart(p *process, s syscall.Signal) error {
	if err := p.end(s); err != nil {
		return err
	}
	if n.world.store == "MEMORY" && p != n.world.envoy {
		n.forgot(loss{what: "restart", at: time.Now()})
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

func (n *nemesis) reload() error {
	n.version++
	return n.world.policies(n.version)
}

func (n *nemesis) forgot(l loss) { n.world.forgotten = append(n.world.forgotten, l) }

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
