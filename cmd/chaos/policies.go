package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// settle is how long after a change of files the old state may still be right on a busy
// machine.
const settle = 8 * time.Second

// reload writes policies that differ in a comment alone.
func (n *nemesis) reload() error {
	n.version++
	return n.world.policies(n.version)
}

// badPolicies has files for a moment that cannot serve: the last good ones do.
func (n *nemesis) badPolicies() error {
	n.version++
	w := n.world
	good := w.policyText(n.version)
	lacking := "webhooks:\n- name: timed\n  match: {path: /timed}\n  provider: stripe\n  secrets: [{file: ../secret}]\n"
	bad := []string{
		good + "- name: [\n",
		good + "  unknown: true\n",
		"webhooks: []\n",
		lacking,
		good + "- name: weak\n  match: {path: /weak}\n  provider: github\n  secrets: [{file: ../nothing}]\n",
		good + "- name: again\n  match: {path: /stripe}\n  provider: stripe\n  secrets: [{file: ../secret}]\n",
	}[n.random.IntN(6)]
	if bad == lacking { // good in form: what protects less waits until its files have been still
		defer time.Sleep(200 * time.Millisecond)
		if err := w.place("policies/webhooks.yaml", bad); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
		return w.policies(n.version)
	}
	if err := w.place("policies/webhooks.yaml", bad); err != nil {
		return err
	}
	time.Sleep(time.Second + n.upTo(time.Second))
	return w.policies(n.version)
}

// halfPolicies writes the file in place, with a pause in the middle.
func (n *nemesis) halfPolicies() error {
	n.version++
	name, text := n.world.path("policies/webhooks.yaml"), n.world.policyText(n.version)
	half := len(text) - 40 - n.random.IntN(len(text)/2)
	if err := os.WriteFile(name, []byte(text[:half]), 0o600); err != nil {
		return err
	}
	time.Sleep(n.upTo(1500 * time.Millisecond))
	return os.WriteFile(name, []byte(text), 0o600)
}

// rotations changes keys, one after the other, until it is told to stop.
func (w *world) rotations(stop <-chan struct{}, failed func(error)) {
	r := newRandom(w.seed, "rotations")
	var able []*oracle.Endpoint
	for _, e := range w.endpoints {
		if e.Rotates() {
			able = append(able, e)
		}
	}
	for {
		if err := w.rotate(able[r.IntN(len(able))], stop); err != nil {
			failed(err)
			return
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}

// rotate changes a key: for a while both count, then the old one is taken away.
func (w *world) rotate(e *oracle.Endpoint, stop <-chan struct{}) error {
	change := func(id string) error {
		name := e.Name + "." + id
		return w.place(filepath.Join("secrets", name), e.Files()[name])
	}
	e.Ring.Begin(time.Now().Add(settle))
	if err := change("current"); err != nil {
		return err
	}
	select {
	case <-stop:
		return nil
	case <-time.After(settle + time.Second):
	}
	e.Ring.End(time.Now().Add(settle))
	if err := change("previous"); err != nil {
		return err
	}
	select {
	case <-stop:
	case <-time.After(settle):
	}
	return nil
}

// badSecret empties the file of a key for a moment: the last good one stays.
func (n *nemesis) badSecret() error {
	w := n.world
	e := w.endpoints[n.random.IntN(len(w.endpoints))]
	for !e.Rotates() {
		e = w.endpoints[n.random.IntN(len(w.endpoints))]
	}
	name := filepath.Join("secrets", e.Name+".current")
	if err := w.place(name, []string{"", "short\n", "${SECRET}"}[n.random.IntN(3)]); err != nil {
		return err
	}
	time.Sleep(500*time.Millisecond + n.upTo(time.Second))
	return w.place(name, e.Files()[e.Name+".current"])
}
