package main

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// slotMoves moves a slot to another master while it is used, mostly back where it was
// moved last, and now and then back at once.
func (n *nemesis) slotMoves() error {
	c := n.world.cluster
	if err := c.look(); err != nil {
		return err
	}
	slot := c.used[n.random.IntN(len(c.used))]
	to := n.some()
	if last := len(c.moved) - 1; last >= 0 && n.random.IntN(2) == 0 {
		slot, to = c.moved[last].slot, c.moved[last].home
		c.moved = c.moved[:last]
	}
	from := c.owner[slot]
	if from == to {
		to = c.after(from)
	}
	if err := n.moveSlot(slot, from, to, n.migrate); err != nil {
		return err
	}
	if n.random.IntN(4) == 0 { // before anybody may have looked
		return n.moveSlot(slot, to, from, n.migrate)
	}
	c.moved = append(c.moved, move{slot, from})
	return nil
}

// moveSlot does what the manual of Redis says of a move, slowly. What becomes of the keys
// is what the last argument does.
func (n *nemesis) moveSlot(slot int, from, to *node, keys func(slot string, from, to *node) error) error {
	c := n.world.cluster
	end := n.world.weather.Away(1)
	name := strconv.Itoa(slot)
	if err := setSlot(name, from, to); err != nil {
		return err
	}
	if n.random.IntN(2) == 0 {
		time.Sleep(n.upTo(500 * time.Millisecond))
	}
	if err := keys(name, from, to); err != nil {
		return err
	}
	told := []*node{to, from}
	for _, other := range c.nodes {
		if other != from && other != to {
			told = append(told, other)
		}
	}
	for _, one := range told {
		if _, err := redis(one.socket, "CLUSTER", "SETSLOT", name, "NODE", to.id); err != nil {
			return err
		}
		if n.random.IntN(3) == 0 {
			time.Sleep(n.upTo(300 * time.Millisecond))
		}
	}
	c.owner[slot] = to
	end(true)
	return nil
}

// setSlot has both masters know that a slot is on its way.
func setSlot(slot string, from, to *node) error {
	if _, err := redis(to.socket, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id); err != nil {
		return err
	}
	_, err := redis(from.socket, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
	return err
}

// migrate moves the keys of a slot one after the other, in any order, with pauses. In
// between the target may stand still for a while, or a replica of the service start anew.
func (n *nemesis) migrate(slot string, from, to *node) error {
	const pauses = 8
	held, killed := n.random.IntN(4) == 0, n.random.IntN(5) == 0
	for first := true; ; first = false {
		keys, err := keysIn(from, slot)
		if err != nil || len(keys) == 0 {
			return err
		}
		n.random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for i, key := range keys {
			if first && i == len(keys)/2 {
				if held {
					if err := n.holdWhile(from, to, key); err != nil {
						return err
					}
				}
				if killed {
					if err := n.killWhile(); err != nil {
						return err
					}
				}
			}
			if err := migrateKey(from, to, key, 5*time.Second); err != nil {
				return err
			}
			if n.random.IntN(len(keys)) < pauses {
				time.Sleep(n.upTo(300 * time.Millisecond))
			}
		}
	}
}

func keysIn(from *node, slot string) ([]string, error) {
	text, err := redis(from.socket, "CLUSTER", "GETKEYSINSLOT", slot, "100000")
	return strings.Fields(text), err
}

// migrateKey moves one key, whether the target has it from a try that came to nothing or not.
func migrateKey(from, to *node, key string, limit time.Duration) error {
	_, err := redis(from.socket, "MIGRATE", host(), to.port, key, "0", strconv.FormatInt(limit.Milliseconds(), 10), "REPLACE")
	return err
}

// holdWhile tries to move a key to a master that stands still. The other stands still as well
// until it gives up.
func (n *nemesis) holdWhile(from, to *node, key string) error {
	c := n.world.cluster
	end := n.world.weather.Away(c.has(from) + c.has(to))
	defer func() { end(false) }()
	to.signal(sigStop)
	err := migrateKey(from, to, key, 100*time.Millisecond+n.upTo(200*time.Millisecond))
	time.Sleep(n.upTo(700 * time.Millisecond))
	to.signal(sigContinue)
	if err == nil || strings.HasPrefix(err.Error(), "IOERR") {
		return nil // it has gone, or goes with the next try
	}
	return err
}

// killWhile starts a replica of the service anew.
func (n *nemesis) killWhile() error {
	defer n.world.weather.Begin(oracle.Service)()
	return n.restart(n.world.replicas[len(n.world.replicas)-1], syscall.SIGKILL)
}

// someSlot returns a slot that has nonces, its master and another one.
func (n *nemesis) someSlot() (slot int, from, to *node, err error) {
	c := n.world.cluster
	if err := c.look(); err != nil {
		return 0, nil, nil, err
	}
	slot = c.used[n.random.IntN(len(c.used))]
	from = c.owner[slot]
	return slot, from, c.after(from), nil
}

// slotEmptied gives a slot to another master without its keys, as is done when a master does
// not come back.
func (n *nemesis) slotEmptied() error {
	slot, from, to, err := n.someSlot()
	if err != nil {
		return err
	}
	err = n.moveSlot(slot, from, to, func(slot string, from, _ *node) error {
		for {
			keys, err := keysIn(from, slot)
			if err != nil || len(keys) == 0 {
				return err
			}
			for _, key := range keys {
				if _, err := redis(from.socket, "DEL", key); err != nil && !strings.HasPrefix(err.Error(), "ASK") { // it has ended by itself
					return err
				}
			}
		}
	})
	n.forgot(loss{what: "slot emptied", at: time.Now()})
	return err
}

// slotBroken begins to move a slot, thinks better of it when half of the nonces have gone,
// and throws those away.
func (n *nemesis) slotBroken() error {
	slot, from, to, err := n.someSlot()
	if err != nil {
		return err
	}
	end := n.world.weather.Away(1)
	name := strconv.Itoa(slot)
	if err := setSlot(name, from, to); err != nil {
		return err
	}
	keys, err := keysIn(from, name)
	if err != nil {
		return err
	}
	n.random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	commands := [][]string{}
	for _, key := range keys[:len(keys)/2] {
		if err := migrateKey(from, to, key, 5*time.Second); err != nil {
			return err
		}
		commands = append(commands, []string{"ASKING"}, []string{"DEL", key})
	}
	time.Sleep(time.Second + n.upTo(time.Second)) // in which somebody asks
	if _, err := redisAll(to.socket, commands...); err != nil {
		return err
	}
	for _, one := range []*node{to, from} {
		if _, err := redis(one.socket, "CLUSTER", "SETSLOT", name, "STABLE"); err != nil {
			return err
		}
	}
	n.forgot(loss{what: "slot broken", at: time.Now()})
	end(true)
	return nil
}
