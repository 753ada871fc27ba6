package oracle

import "time"

// allowed are the reasons that an answer may have.
func (j *Judge) allowed(c *Case, a Answer) map[string]bool {
	set := map[string]bool{}
	for _, r := range c.Reasons {
		set[r] = true
	}
	w, e := j.Weather, c.Endpoint
	near := a.Sent.Add(-slack)
	if a.Done.Sub(a.Sent) > 400*time.Millisecond || !w.Calm(near, a.Done) {
		set["timeout"] = true // of a busy machine, too
	}
	if w.Broken(near, a.Done, Service, Proxy, Store, Busy) {
		set["overloaded"], set["not_ready"] = true, true
	}
	passes := c.Honest && c.Reasons[0] == "ok" || c.Copy != nil
	if !passes {
		if c.Honest && e.Ring != nil && e.Ring.State(c.Key, a.Sent) == Either {
			set["signature_invalid"], set["token_invalid"] = true, true
		}
		return set
	}
	if e.Ring != nil && e.Rotates() {
		switch e.Ring.State(c.Key, a.Sent) {
		case Counts:
		case Either:
			set["signature_invalid"], set["token_invalid"] = true, true
		case Gone:
			return map[string]bool{"signature_invalid": true, "token_invalid": true, "timeout": set["timeout"], "overloaded": set["overloaded"], "not_ready": set["not_ready"]}
		}
	}
	if e.Timed {
		age := a.Done.Sub(time.Unix(c.Request.Signed, 0))
		if age > e.Old-slack {
			set["timestamp_too_old"], set["token_expired"] = true, true // which is said first is nobody's promise
		}
	}
	if e.Copies == Unknown { // there is no nonce
		return set
	}
	if w.Broken(near, a.Done, Store, Service, Busy) {
		set["store_unavailable"] = true
	}
	from := j.remembers(c, a)
	if (e.Timed || j.Pause > 0) && (w.broken(from, a.Done, false, Forgot, Store) || w.Broken(near, a.Done, Part) || w.Began(from, a.Done)) {
		set["replay_uncertain"] = true
	}
	if c.Copy != nil {
		j.again(c, a, set)
	}
	return set
}

// remembers is since when a store must remember everything for it to know that something
// is new.
func (j *Judge) remembers(c *Case, a Answer) time.Time {
	if c.Endpoint.Timed { // what counts is when it was signed
		return time.Unix(c.Request.Signed, 0).Add(-Future - clocks - slack)
	}
	return a.Sent.Add(-j.Pause - clocks - slack)
}

// lost reports whether nobody may know what became of what was forwarded last.
func (j *Judge) lost(x *Content, a Answer) bool {
	return j.Weather.Broken(x.Began.Add(-time.Second), a.Done, Service, Proxy, Store, Log, Forgot, Busy)
}

// again narrows what a copy meets, by what became of what came before.
func (j *Judge) again(c *Case, a Answer, set map[string]bool) {
	x, e := c.Copy, c.Endpoint
	if x.Outcome == None {
		return
	}
	lease := j.Lease + slack
	if !j.Alone {
		lease += clocks
	}
	lost := j.lost(x, a)
	if a.Sent.Before(x.Ended.Add(slack)) || lost && a.Sent.Before(x.Ended.Add(lease)) || x.Outcome == Uncertain {
		set["in_flight"] = true
	}
	delete(set, "ok")
	switch x.Outcome {
	case Refused, Perhaps:
		set["ok"] = true
		if lost && (!e.Release || j.unproven(x, a)) {
			set["replayed"] = true // an entry that did not come: taken
		}
	case Rejected, Half:
		if e.Release {
			set["ok"] = true
		}
		if !e.Release || lost {
			set["replayed"] = true
		}
	case Uncertain:
		set["ok"], set["replayed"] = true, true
	default:
		set["replayed"] = true
		if e.Copies == Marked || lost && j.forgiven(x, a) {
			set["ok"] = true
		}
		if e.Copies == Marked && !lost {
			delete(set, "replayed")
		}
	}
}

// unproven reports whether the service may not have known yet that an access log comes:
// until then the end of a lease means taken, whatever the policy says.
func (j *Judge) unproven(x *Content, a Answer) bool {
	return x.Began.Before(j.Since.Add(20*time.Second)) || j.Weather.Broken(x.Began.Add(-j.Lease-clocks), a.Done, Service, Forgot, Store)
}

// forgiven reports whether what the application took may come once more, marked.
func (j *Judge) forgiven(x *Content, a Answer) bool {
	e := x.Case.Endpoint
	if !e.Timed && j.Weather.Broken(x.Began.Add(-time.Second), a.Done, Forgot) {
		return true
	}
	return e.Release && j.Weather.Broken(x.Began.Add(-time.Second), x.Ended.Add(j.Lease+slack), Service, Proxy, Store, Log, Busy)
}

// marks reports whether what is forwarded must have a mark, and which it may have.
func (j *Judge) marks(c *Case, a Answer) (must bool, may []string) {
	e, x := c.Endpoint, c.Copy
	if e.Shadow {
		return false, []string{"possible", "copy"}
	}
	if e.Copies == Unknown {
		return false, nil
	}
	if !e.Timed && j.Weather.Doubtful(a.Done) {
		may = append(may, "possible")
	}
	if x == nil || x.Outcome == None {
		return false, may
	}
	if e.Copies == Marked {
		may = append(may, "copy")
	}
	switch x.Outcome {
	case Refused:
		if x.Doubt || x.Marked || j.lost(x, a) {
			may = append(may, "possible")
		}
		return x.Arrived, may // of an earlier one, which is marked for as long as it fails
	case Rejected:
		return false, append(may, "possible")
	case Uncertain:
		return x.Arrived, append(may, "possible")
	default:
		return true, append(may, "possible")
	}
}
