package ranges

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hookbastion/hookbastion/authz/fetch"
)

// Errors of Service.Parse. Nothing that the server sent is in them.
var (
	ErrJSON    = errors.New("is not JSON")
	ErrText    = errors.New("is not a list of lines")
	ErrPath    = errors.New("has no list where one is expected")
	ErrItem    = errors.New("has an item of another kind than is expected")
	ErrAddress = errors.New("has an item that is no address or network")
	ErrPrivate = errors.New("names a network that is not on the public internet, or holds one")
	ErrWide    = errors.New("names a network wider than /8 (IPv4) or /19 (IPv6)")
	ErrWorld   = errors.New("names networks that together are too much of the world")
	ErrNothing = errors.New("names no network")
	ErrMany    = errors.New("names more than 200,000 networks")
)

// Kind says what a document is made of.
type Kind string

// The kinds. The empty one is a page that somebody has read.
const (
	// JSON (RFC 8259).
	JSON Kind = "json"
	// Lines: one address or network in each; what follows a # is left out.
	Lines Kind = "lines"
)

// Take is a place of networks in JSON.
type Take struct {
	// List is the path of a list, with dots between keys; * stands for each key. Empty:
	// the document is the list.
	List string
	// Where says which items count: all of it must hold.
	Where []Where
	// Field is the path of the network within an item, or of a list of them; empty: the
	// item is the network. An item without it has none.
	Field string
}

// Where asks for a field of an item: it is one of those texts, or a list that has one.
type Where struct {
	Field string
	Any   []string
}

// Parse reads a list out of a document, or refuses it whole.
func (s *Service) Parse(kind Kind, body []byte) (*Set, error) {
	texts, err := s.texts(kind, body)
	if err == nil && len(texts) > MaxNetworks {
		err = ErrMany
	}
	var networks []netip.Prefix
	if err == nil {
		networks, err = parseAll(texts)
	}
	if err != nil {
		return nil, fmt.Errorf("the document %w", err)
	}
	return NewSet(networks), nil
}

func (s *Service) texts(kind Kind, body []byte) (all []string, err error) {
	if kind != JSON {
		return lines(body)
	}
	var tree any
	if json.Unmarshal(body, &tree) != nil {
		return nil, ErrJSON
	}
	for _, take := range s.Takes {
		found := false
		err := walk(tree, take.List, func(value any) error {
			list, ok := value.([]any)
			if !ok {
				return ErrPath
			}
			found = true
			for _, item := range list {
				texts, err := take.texts(item)
				if err != nil {
					return err
				}
				all = append(all, texts...)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, ErrPath
		}
	}
	return all, nil
}

// lines are those of a text with something in them. Markup is refused here and not as an
// address, since that is what a page of errors is.
func lines(body []byte) ([]string, error) {
	if bytes.ContainsAny(body, "<>{}\x00") {
		return nil, ErrText
	}
	var all []string
	for line := range strings.Lines(string(body)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all, nil
}

// walk calls f with each value at a path. A key that is not there is an error.
func walk(value any, path string, f func(any) error) error {
	if path == "" {
		return f(value)
	}
	key, rest, _ := strings.Cut(path, ".")
	object, ok := value.(map[string]any)
	if !ok {
		return ErrPath
	}
	if key != "*" {
		next, ok := object[key]
		if !ok {
			return ErrPath
		}
		return walk(next, rest, f)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if err := walk(object[name], rest, f); err != nil {
			return err
		}
	}
	return nil
}

// texts are the networks of an item; none if it does not count.
func (t *Take) texts(item any) ([]string, error) {
	for _, w := range t.Where {
		has, err := textsAt(item, w.Field)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(has, func(text string) bool { return slices.Contains(w.Any, text) }) {
			return nil, nil
		}
	}
	return textsAt(item, t.Field)
}

// textsAt is the text, or the list of texts, at a path of an item; none if it is not there.
func textsAt(item any, path string) (texts []string, err error) {
	for path != "" {
		var key string
		key, path, _ = strings.Cut(path, ".")
		object, ok := item.(map[string]any)
		if !ok {
			return nil, ErrItem
		}
		if item, ok = object[key]; !ok || item == nil {
			return nil, nil
		}
	}
	switch item := item.(type) {
	case string:
		return []string{item}, nil
	case []any:
		for _, one := range item {
			text, ok := one.(string)
			if !ok {
				return nil, ErrItem
			}
			texts = append(texts, text)
		}
		return texts, nil
	default:
		return nil, ErrItem
	}
}

// parseAll reads networks and refuses a list that must never count.
func parseAll(texts []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := ParsePrefix(text)
		if err != nil {
			return nil, ErrAddress
		}
		networks = append(networks, p)
	}
	return networks, Bounded(networks)
}

// Bounded says why networks must never count, whoever says so: one of the errors of
// Service.Parse, or nil.
func Bounded(networks []netip.Prefix) error {
	if len(networks) == 0 {
		return ErrNothing
	}
	for _, p := range networks {
		if p.Addr().Is4() && p.Bits() < WidestIPv4 || p.Addr().Is6() && p.Bits() < WidestIPv6 {
			return ErrWide
		}
		if !fetch.PublicNetwork(p) {
			return ErrPrivate
		}
	}
	var most amount
	most.add(netip.PrefixFrom(netip.IPv4Unspecified(), mostIPv4))
	most.add(netip.PrefixFrom(netip.IPv6Unspecified(), mostIPv6))
	if all := amountOf(disjoint(networks)); all.v4 >= most.v4 || all.v6 >= most.v6 {
		return ErrWorld
	}
	return nil
}
