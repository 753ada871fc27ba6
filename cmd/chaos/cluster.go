package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// cluster is masters that share the slots of a Redis cluster. What the service keeps in
// which slot is read from them.
type cluster struct {
	nodes []*node
	used  []int // slots that have nonces, once all are known
	owner map[int]*node
	moved []move
}

type node struct {
	*process
	port, bus, id string
	socket        string // where the test asks it
}

// move is what was moved last, to be moved back.
type move struct {
	slot int
	home *node
}

const slots = 16384 // of each cluster

// startCluster starts two masters or three, which the service knows by their addresses.
func (w *world) startCluster() error {
	w.cluster = &cluster{owner: map[int]*node{}}
	masters := 2 + int(w.seed/2%2)
	for i := range masters {
		n := &node{socket: w.path("node" + strconv.Itoa(i))}
		_, n.port, _ = net.SplitHostPort(freeAddress())
		_, n.bus, _ = net.SplitHostPort(freeAddress())
		if err := os.MkdirAll(n.socket+".d", 0o700); err != nil {
			return err
		}
		n.process = &process{name: "master " + strconv.Itoa(i), ready: func(*process) error { return ping(n.socket) }, command: []string{
			w.setup.redis, "--port", n.port, "--bind", host(), "--unixsocket", n.socket, "--dir", n.socket + ".d", "--save", "",
			"--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction", // it is killed, and the disk is not
			"--cluster-enabled", "yes", "--cluster-port", n.bus, "--cluster-announce-ip", host(),
			"--cluster-node-timeout", "5000", "--cluster-require-full-coverage", "no",
		}}
		w.redis, w.cluster.nodes = append(w.redis, n.process), append(w.cluster.nodes, n)
		if err := n.start(); err != nil {
			return err
		}
		if err := n.await(ready); err != nil {
			return err
		}
		var err error
		if n.id, err = redis(n.socket, "CLUSTER", "MYID"); err != nil {
			return err
		}
		first, last := i*slots/masters, (i+1)*slots/masters-1
		if _, err := redis(n.socket, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
			return err
		}
		if _, err := redis(n.socket, "CLUSTER", "MEET", host(), w.cluster.nodes[0].port, w.cluster.nodes[0].bus); err != nil {
			return err
		}
	}
	return w.cluster.whole()
}

// addresses are those that the service is told.
func (c *cluster) addresses() (url, others string) {
	var all []string
	for _, n := range c.nodes {
		all = append(all, net.JoinHostPort(host(), n.port))
	}
	return "redis://" + all[0], strings.Join(all[1:], ",")
}

// whole waits until all masters say that all slots are served.
func (c *cluster) whole() error {
	end := time.Now().Add(ready)
	for _, n := range c.nodes {
		for {
			text, err := redis(n.socket, "CLUSTER", "INFO")
			if err == nil && strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_slots_ok:"+strconv.Itoa(slots)) {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("the cluster is not whole: %s %w", text, err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// look finds out which slots have nonces. They are as many as the documentation says, and
// one in each sixteenth of all slots.
func (c *cluster) look() error {
	if len(c.used) == oracle.Parts {
		return nil
	}
	c.used = nil
	commands := make([][]string, slots)
	for i := range commands {
		commands[i] = []string{"CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(i)}
	}
	for _, n := range c.nodes {
		counts, err := redisAll(n.socket, commands...)
		if err != nil {
			return err
		}
		for i, count := range counts {
			if count != "0" {
				c.used = append(c.used, i)
				c.owner[i] = n
			}
		}
	}
	slices.Sort(c.used)
	parts := map[int]bool{}
	for _, slot := range c.used {
		parts[slot/(slots/oracle.Parts)] = true
	}
	if len(c.used) != oracle.Parts || len(parts) != oracle.Parts {
		return fmt.Errorf("nonces lie in the slots %d, and not in %d that are spread evenly", c.used, oracle.Parts)
	}
	return nil
}

// has is how many of the parts a master has.
func (c *cluster) has(n *node) (parts int) {
	for _, owner := range c.owner {
		if owner == n {
			parts++
		}
	}
	return parts
}

// after is the master that comes after another.
func (c *cluster) after(n *node) *node { return c.nodes[(slices.Index(c.nodes, n)+1)%len(c.nodes)] }

// apart lets a fault draw from numbers of its own until the returned function is called: how many
// it draws depends on how many keys there are, and the faults that follow must not.
func (n *nemesis) apart() (back func()) {
	all := n.random
	n.random = rand.New(rand.NewPCG(all.Uint64(), all.Uint64())) //nolint:gosec // to be repeated
	return func() { n.random = all }
}

// some returns a master.
func (n *nemesis) some() *node {
	nodes := n.world.cluster.nodes
	return nodes[n.random.IntN(len(nodes))]
}

// someAway returns a master that is away until the returned function is called.
func (n *nemesis) someAway() (one *node, end func(again bool), err error) {
	one = n.some()
	c := n.world.cluster
	if err := c.look(); err != nil {
		return nil, nil, err
	}
	return one, n.world.weather.Away(c.has(one)), nil
}

// masterPaused lets a master stand still.
func (n *nemesis) masterPaused() error {
	one, end, err := n.someAway()
	if err != nil {
		return err
	}
	defer func() { end(false) }()
	if err := n.pause(one.process); err != nil {
		return err
	}
	return n.world.cluster.whole()
}

// masterSlow lets the commands of a master wait.
func (n *nemesis) masterSlow() error {
	one, end, err := n.someAway()
	if err != nil {
		return err
	}
	defer func() { end(false) }()
	return n.redisSlow(one.socket)
}

// masterRestarted kills a master and starts it with what it had, or without nonces.
func (n *nemesis) masterRestarted(emptied bool) error {
	one, end, err := n.someAway()
	if err != nil {
		return err
	}
	defer func() { end(true) }()
	if err := one.end(syscall.SIGKILL); err != nil {
		return err
	}
	if emptied { // it stays a part of the cluster
		n.forgot(loss{what: "emptied", at: time.Now()})
		if err := os.RemoveAll(one.socket + ".d/appendonlydir"); err != nil {
			return err
		}
	}
	time.Sleep(n.upTo(time.Second))
	if err := one.start(); err != nil {
		return err
	}
	return errors.Join(one.await(ready), n.world.cluster.whole())
}
