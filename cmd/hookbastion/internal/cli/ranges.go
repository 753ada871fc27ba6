package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/hookbastion/hookbastion/authz/ranges"
)

// Range is a list of published addresses in `ranges list --output json`, and in what the
// admin listener says of it: GET /api/v1/ranges.
type Range struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	// URL is where it is fetched, or would be; empty for networks that were read on a
	// page, and for documents that are elsewhere for each customer.
	URL string `json:"url"`
	// Format is json, lines or page.
	Format string `json:"format"`
	// Networks is their number.
	Networks int `json:"networks"`
	// Fetched is when they were said to be so: the last answer of the server, or the day on
	// which those in the program were read; null: there are none.
	Fetched *time.Time `json:"fetched"`
	// State is current, snapshot, failing, held, stale or missing, and refresh_needed where
	// nobody fetches what is not in the program.
	State string `json:"state"`
	// Detail says why the last fetch failed, or what is held.
	Detail string `json:"detail,omitempty"`
	// Ends is the last day of the URL, where one is known.
	Ends string `json:"ends,omitempty"`
	// Held is the change that waits.
	Held *HeldRange `json:"held,omitempty"`
	// In and Next are the networks in force and those that wait; in answers about one list.
	In   []string `json:"in_force,omitempty"`
	Next []string `json:"held_networks,omitempty"`
}

// HeldRange is a change that waits.
type HeldRange struct {
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	// Lost and Added are how many networks go and come; both 0 where the service was
	// restarted and has not seen them again.
	Lost     int  `json:"lost"`
	Added    int  `json:"added"`
	Accepted bool `json:"accepted,omitempty"`
}

// RangeOf describes a list by its status.
func RangeOf(s *ranges.Status) Range {
	r := Range{Name: s.Name, Provider: s.Of.Provider, URL: s.URL, Format: string(s.Of.Kind), Networks: s.Networks, State: string(s.State), Detail: s.Detail}
	if r.URL == "" {
		r.URL = s.Of.URL
	}
	if s.Of.Kind == "" {
		r.Format = "page"
	}
	if !s.At.IsZero() {
		at := s.At.UTC()
		r.Fetched = &at
	}
	if !s.Of.Ends.IsZero() {
		r.Ends = s.Of.Ends.Format(time.DateOnly)
	}
	if h := s.Held; h != nil {
		r.Held = &HeldRange{Digest: h.Digest, Since: h.Since.UTC(), Until: h.Until.UTC(), Lost: h.Change.Lost, Added: h.Change.Added, Accepted: h.Accepted}
	}
	return r
}

// Texts are networks as people write them: a single address without its length.
func Texts(networks []netip.Prefix) []string {
	texts := make([]string, len(networks))
	for i, p := range networks {
		texts[i] = p.String()
		if p.IsSingleIP() {
			texts[i] = p.Addr().String()
		}
	}
	return texts
}

// Ranges asks for the lists that the service's policies name.
func (c *Admin) Ranges(ctx context.Context) (all []Range, err error) {
	err = c.get(ctx, "/api/v1/ranges", &all)
	return all, err
}

// Range asks for one of them, with its networks.
func (c *Admin) Range(ctx context.Context, name string) (*Range, error) {
	r := &Range{}
	return r, c.get(ctx, "/api/v1/ranges/"+url.PathEscape(name), r)
}

// AcceptRange lets the change of that digest count.
func (c *Admin) AcceptRange(ctx context.Context, name, digest string) error {
	body, err := json.Marshal(map[string]string{"name": name, "digest": digest})
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, http.MethodPost, "/api/v1/ranges/accept", bytes.NewReader(body))
	return err
}
