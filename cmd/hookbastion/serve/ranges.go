package serve

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

// rangesOf says what is known of the lists that a table names, in the order of their
// names.
func rangesOf(table *authz.Table, now time.Time) []ranges.Status {
	if table == nil {
		return nil
	}
	all := make([]ranges.Status, 0, len(table.Ranges))
	for _, list := range table.Ranges {
		all = append(all, list.Status(now))
	}
	slices.SortFunc(all, func(a, b ranges.Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// oldRanges names those of which what was good last counts. What is missing is told with
// other documents, and what is in the program alone by validate.
func oldRanges(table *authz.Table, now time.Time) (names []string) {
	for _, s := range rangesOf(table, now) {
		if s.URL != "" && !s.Healthy() && s.State != ranges.Missing {
			names = append(names, s.Name+" ("+string(s.State)+")")
		}
	}
	return names
}

func (c *counted) Ranges() []*ranges.List {
	if table := c.watcher.Table(); table != nil {
		return table.Ranges
	}
	return nil
}

// listRanges says what is known of the lists in use.
func (a *admin) listRanges(w http.ResponseWriter, _ *http.Request) {
	all := []cli.Range{}
	for _, s := range rangesOf(&authz.Table{Ranges: a.facts.Ranges()}, time.Now()) {
		all = append(all, cli.RangeOf(&s))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // the client is gone
}

// rangeNamed finds a list in use; nil if there is none.
func (a *admin) rangeNamed(name string) *ranges.List {
	for _, list := range a.facts.Ranges() {
		if list.Name == name {
			return list
		}
	}
	return nil
}

const noSuchRange = "no policy of the service names that list in source_ip.ranges"

// showRange says what is known of one list, and its networks.
func (a *admin) showRange(w http.ResponseWriter, r *http.Request) {
	list := a.rangeNamed(r.PathValue("name"))
	if list == nil {
		http.Error(w, noSuchRange, http.StatusNotFound)
		return
	}
	now := time.Now()
	s := list.Status(now)
	answer := cli.RangeOf(&s)
	if set := list.Set(now); set != nil {
		answer.In = cli.Texts(set.Networks())
	}
	if s.Held != nil && s.Held.Set != nil {
		answer.Next = cli.Texts(s.Held.Set.Networks())
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone
}

// acceptRange lets a change that is held count. The digest says which: another one may
// have come since an operator looked.
func (a *admin) acceptRange(w http.ResponseWriter, r *http.Request) {
	if !a.mayOperate(w, r) {
		return
	}
	var wanted struct {
		Name   string `json:"name"`
		Digest string `json:"digest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil || wanted.Name == "" || wanted.Digest == "" {
		http.Error(w, `the body must be {"name": "…", "digest": "…"} with those of a list whose change is held`, http.StatusBadRequest)
		return
	}
	list := a.rangeNamed(wanted.Name)
	if list == nil {
		http.Error(w, noSuchRange, http.StatusNotFound)
		return
	}
	switch err := list.Accept(wanted.Digest, time.Now()); {
	case errors.Is(err, ranges.ErrNotHeld):
		http.Error(w, err.Error()+": ask for the list again", http.StatusConflict)
		return
	case err != nil:
		a.log.Error("that a change of addresses was accepted could not be noted: a restart forgets it", "list", wanted.Name, "error", err)
	}
	a.log.Info("a change of addresses is accepted", "list", wanted.Name, "digest", wanted.Digest, "by", r.RemoteAddr, "certificate", clientName(r))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"name": wanted.Name, "digest": wanted.Digest}) // the client is gone
}
