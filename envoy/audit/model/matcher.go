package model

import (
	"slices"
	"strings"
)

// Matcher is a tree of xDS matchers that ends in actions.
type Matcher struct {
	// List is tried in order; Tree looks a value up.
	List []Branch
	Tree *Tree
	// Else is taken where nothing matches; nil: nothing is.
	Else *Branch
	// Opaque says that it is of a kind that is not known.
	Opaque bool
}

// Branch is a condition and what follows from it: more matching, or an action.
type Branch struct {
	If     Condition
	Then   *Matcher
	Action any
}

// Tree looks the value of a header up. Where Header is "", the input is not known.
type Tree struct {
	Header         string
	Exact, Longest map[string]*Branch
}

// Actions are those that a request may lead to; nil among them stands for none.
func (m *Matcher) Actions(v View) []any {
	if m == nil {
		return []any{nil}
	}
	var found []any
	if m.Opaque {
		found = append(found, nil)
	}
	for _, branch := range m.List {
		t := branch.If.Holds(v)
		if t == No {
			continue
		}
		then := branch.actions(v)
		some := without(then)
		found = append(found, some...)
		if t == Yes && len(some) == len(then) {
			return found
		}
	}
	if m.Tree != nil {
		then, sure := m.Tree.actions(v)
		found = append(found, without(then)...)
		if sure && len(without(then)) == len(then) {
			return found
		}
	}
	if m.Else == nil {
		return append(found, nil)
	}
	return append(found, m.Else.actions(v)...)
}

func without(actions []any) []any {
	return slices.DeleteFunc(slices.Clone(actions), func(a any) bool { return a == nil })
}

func (b *Branch) actions(v View) []any {
	if b.Then != nil {
		return b.Then.Actions(v)
	}
	return []any{b.Action}
}

// actions are those of the value; sure tells that there is one, and that it is known.
func (t *Tree) actions(v View) (found []any, sure bool) {
	if t.Header == "" {
		for _, branches := range []map[string]*Branch{t.Exact, t.Longest} {
			for _, key := range sortedKeys(branches) {
				found = append(found, branches[key].actions(v)...)
			}
		}
		return found, false
	}
	value, ok := v.Get(t.Header)
	if !ok {
		return nil, false
	}
	if branch := t.Exact[value]; branch != nil {
		return branch.actions(v), true
	}
	var best *Branch
	longest := -1
	for prefix, branch := range t.Longest {
		if strings.HasPrefix(value, prefix) && len(prefix) > longest {
			best, longest = branch, len(prefix)
		}
	}
	if best == nil {
		return nil, false
	}
	return best.actions(v), true
}

// All calls f with each action, and with what leads there from the top: conditions to
// meet.
func (m *Matcher) All(f func(action any, meet []func(*Request))) { m.all(nil, f) }

func (m *Matcher) all(meet []func(*Request), f func(any, []func(*Request))) {
	if m == nil {
		return
	}
	next := func(b *Branch, how func(*Request)) {
		path := meet[:len(meet):len(meet)]
		if how != nil {
			path = append(path, how)
		}
		if b.Then != nil {
			b.Then.all(path, f)
			return
		}
		f(b.Action, path)
	}
	for i := range m.List {
		next(&m.List[i], m.List[i].If.Meet)
	}
	if m.Tree != nil {
		for _, branches := range []map[string]*Branch{m.Tree.Exact, m.Tree.Longest} {
			for _, key := range sortedKeys(branches) {
				next(branches[key], func(r *Request) {
					if m.Tree.Header != "" {
						r.Set(m.Tree.Header, key)
					}
				})
			}
		}
	}
	if m.Else != nil {
		next(m.Else, nil)
	}
}
