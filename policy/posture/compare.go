package posture

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Changes are what differs from an earlier report, a line for each.
type Changes struct {
	// Since is the time of the earlier report.
	Since  time.Time `json:"since"`
	Better []string  `json:"better"`
	Worse  []string  `json:"worse"`
	// Other is neither: webhooks that came or went, another policy.
	Other []string `json:"other"`
}

// MaxBytes is how large a report is that is read: one of a hundred thousand webhooks has
// about 290 MB.
const MaxBytes = 512 << 20

// Parse reads a report as it was written in JSON. One that this program could not have
// written is an error.
func Parse(text []byte) (*Report, error) {
	r := &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("is no report: %w", err)
	}
	if r.Version != Version {
		return nil, fmt.Errorf("has version %d, and this program reads version %d", r.Version, Version)
	}
	good := func(g Grade) bool { return slices.ContainsFunc(Rules(), func(r Rule) bool { return r.Grade == g }) }
	if !good(r.Grade) || r.Time.IsZero() {
		return nil, errors.New("is no report: it has no grade, or no time")
	}
	for i := range r.Webhooks {
		w := &r.Webhooks[i]
		for _, p := range w.Practices {
			if !slices.Contains(states, p.State) {
				return nil, fmt.Errorf("is no report: %q of webhook %q is no state", p.State, w.Name)
			}
		}
		if !good(w.Grade) || w.Name == "" {
			return nil, fmt.Errorf("is no report: webhook %q has no grade or no name", w.Name)
		}
	}
	return r, nil
}

// Compare says what became better or worse since an earlier report.
func Compare(before, now *Report) *Changes {
	c := &Changes{Since: before.Time, Better: []string{}, Worse: []string{}, Other: []string{}}
	c.grade("all webhooks", before.Grade, now.Grade)
	if before.Digest != now.Digest {
		c.Other = append(c.Other, "the policy was "+before.Digest+", and is "+now.Digest)
	}
	old := map[string]*Webhook{}
	for i := range before.Webhooks {
		old[before.Webhooks[i].Name] = &before.Webhooks[i]
	}
	for i := range now.Webhooks {
		w := &now.Webhooks[i]
		if was := old[w.Name]; was != nil {
			c.webhook(was, w)
			delete(old, w.Name)
		} else {
			c.Other = append(c.Other, fmt.Sprintf("%s is new, with grade %s", w.Name, w.Grade))
		}
	}
	for i := range before.Webhooks {
		if w := &before.Webhooks[i]; old[w.Name] != nil {
			c.Other = append(c.Other, fmt.Sprintf("%s is gone, with grade %s", w.Name, w.Grade))
		}
	}
	c.findings("the settings", before.Findings, now.Findings)
	c.controls(before.Controls, now.Controls)
	return c
}

func (c *Changes) better(format string, args ...any) {
	c.Better = append(c.Better, fmt.Sprintf(format, args...))
}

func (c *Changes) worse(format string, args ...any) {
	c.Worse = append(c.Worse, fmt.Sprintf(format, args...))
}

func (c *Changes) grade(of string, before, now Grade) {
	switch strings.Compare(string(before), string(now)) {
	case 1:
		c.better("%s: grade %s, was %s", of, now, before)
	case -1:
		c.worse("%s: grade %s, was %s", of, now, before)
	}
}

func (c *Changes) webhook(before, now *Webhook) {
	c.grade(now.Name, before.Grade, now.Grade)
	for _, p := range now.Practices {
		i := slices.IndexFunc(before.Practices, func(q Practice) bool { return q.Name == p.Name })
		if i < 0 {
			continue
		}
		switch was := before.Practices[i].State; {
		case slices.Index(states, was) > slices.Index(states, p.State):
			c.better("%s: %s: %s, was %s", now.Name, p.Name, p.State, was)
		case slices.Index(states, was) < slices.Index(states, p.State):
			c.worse("%s: %s: %s, was %s", now.Name, p.Name, p.State, was)
		}
	}
	c.findings(now.Name, before.Findings, now.Findings)
}

// findings compares how many there are of each rule: places move with each edit.
func (c *Changes) findings(of string, before, now []Finding) {
	count := func(list []Finding) (map[string]int, []string) {
		n, ids := map[string]int{}, []string{}
		for i := range list {
			if n[list[i].ID]++; n[list[i].ID] == 1 {
				ids = append(ids, list[i].ID)
			}
		}
		return n, ids
	}
	old, oldIDs := count(before)
	next, ids := count(now)
	for _, id := range ids {
		if next[id] > old[id] {
			c.worse("%s: %s found, %d times, was %d", of, id, next[id], old[id])
		}
	}
	for _, id := range oldIDs {
		switch {
		case next[id] == 0:
			c.better("%s: %s no longer found", of, id)
		case next[id] < old[id]:
			c.better("%s: %s found %d times, was %d", of, id, next[id], old[id])
		}
	}
}

func (c *Changes) controls(before, now []Control) {
	for i := range now {
		j := slices.IndexFunc(before, func(was Control) bool { return was.Standard == now[i].Standard && was.ID == now[i].ID })
		switch {
		case j < 0 || before[j].Evidence == now[i].Evidence:
		case now[i].Evidence:
			c.better("%s %s: evidence for, was not covered", now[i].Standard, now[i].ID)
		default:
			c.worse("%s %s: not covered, had evidence", now[i].Standard, now[i].ID)
		}
	}
}
