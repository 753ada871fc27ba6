// Package published finds the public keys that providers publish: in a set at one
// URL, or one by one, by the id that a delivery names.
//
// A [Format] says how an answer holds keys: as a key or a set of them in one of the
// usual forms, inside other JSON, or as certificates, whose chain, names and times are
// then checked. What is fetched, when, and what it means that a server is away is
// package fetch's; a request never waits.
//
// It does not protect against a provider that publishes a stranger's key, and does not
// ask whether a certificate was revoked.
package published

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/publickey"
)

// Errors of Format.Parse.
var (
	ErrPath = errors.New("the answer is not the JSON that is expected, or the key is not where it should be")
	ErrIDs  = errors.New("an item of the list has no id, or two have the same")
)

// Keys are what one answer holds. They are immutable.
type Keys struct {
	All []publickey.Key
	// chain is that of a certificate; nil for a bare key.
	chain *fetch.Chain
}

// validAt reports whether the keys may be used at a time.
func (k *Keys) validAt(now time.Time) bool { return k.chain == nil || k.chain.ValidAt(now) }

// Format says how an answer holds keys.
type Format struct {
	// Reader says which keys the scheme verifies with.
	Reader publickey.Reader
	// Key is where the key is in an answer of JSON, with dots between; empty: the
	// answer is the key, or a set.
	Key string
	// List is where a list of keys is, in whose items Key and ID are.
	List, ID string
	// Trust, if it is not nil: the answer is certificates, which it must trust.
	Trust *fetch.Trust
}

// Parse reads an answer that came at a time.
func (f *Format) Parse(body []byte, at time.Time) (any, error) {
	keys := &Keys{}
	var err error
	switch {
	case f.Trust != nil:
		keys.chain, keys.All, err = f.certificates(body, at)
	case f.List != "":
		keys.All, err = f.list(body)
	default:
		var text []byte
		if text, err = f.text(body); err == nil {
			keys.All, err = f.Reader.Read(text)
		}
	}
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func (f *Format) certificates(body []byte, at time.Time) (*fetch.Chain, []publickey.Key, error) {
	text, err := f.text(body)
	if err != nil {
		return nil, nil, err
	}
	certificates, err := fetch.ParseCertificates(text)
	if err != nil {
		return nil, nil, err
	}
	chain, err := f.Trust.Check(certificates, at)
	if err != nil {
		return nil, nil, err
	}
	reader := f.Reader
	reader.Format = publickey.DER
	keys, err := reader.Read(chain.Leaf.Raw)
	return chain, keys, err
}

// list reads the keys of a list that the scheme could use; it may hold others.
func (f *Format) list(body []byte) ([]publickey.Key, error) {
	raw, ok := find(body, f.List)
	var items []json.RawMessage
	if !ok || json.Unmarshal(raw, &items) != nil {
		return nil, ErrPath
	}
	if len(items) > publickey.MaxKeys {
		return nil, publickey.ErrTooMany
	}
	var all []publickey.Key
	var unused error
	seen := map[string]bool{}
	for _, item := range items {
		id, ok := scalar(item, f.ID)
		if !ok || id == "" || seen[id] {
			return nil, ErrIDs
		}
		seen[id] = true
		text, err := f.text(item)
		var keys []publickey.Key
		if err == nil {
			keys, err = f.Reader.Read(text)
		}
		switch {
		case errors.Is(err, publickey.ErrPrivate), errors.Is(err, ErrPath):
			return nil, err
		case err != nil:
			unused = err
			continue
		}
		keys[0].ID = id
		all = append(all, keys[0])
	}
	if len(all) == 0 {
		return nil, errors.Join(publickey.ErrNone, unused)
	}
	return all, nil
}

// text returns the text of the key: of a JSON text what it says, of an object the
// object.
func (f *Format) text(body []byte) ([]byte, error) {
	if f.Key == "" {
		return lined(body), nil
	}
	raw, ok := find(body, f.Key)
	if !ok {
		return nil, ErrPath
	}
	if bytes.HasPrefix(raw, []byte("{")) {
		return raw, nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || text == "" {
		return nil, ErrPath
	}
	return lined([]byte(text)), nil
}

// lined gives PEM that was written in one line its line breaks back.
func lined(text []byte) []byte {
	text = bytes.TrimSpace(text)
	const dashes = "-----"
	if !bytes.HasPrefix(text, []byte(dashes+"BEGIN ")) || bytes.ContainsAny(text, "\r\n") {
		return text
	}
	parts := strings.Split(string(text), dashes) // "", BEGIN X, base64, END X, ""
	if len(parts) != 5 || parts[0]+parts[4] != "" {
		return text
	}
	return []byte(dashes + parts[1] + dashes + "\n" + parts[2] + "\n" + dashes + parts[3] + dashes + "\n")
}

// find returns the value at a path of keys. Letter case counts, and a key that stands
// there twice is none.
func find(raw []byte, path string) (json.RawMessage, bool) {
	value := json.RawMessage(raw)
	for key := range strings.SplitSeq(path, ".") {
		members, ok := object(value)
		if value, ok = members[key], ok && members[key] != nil; !ok {
			return nil, false
		}
	}
	return bytes.TrimSpace(value), true
}

func object(raw []byte) (map[string]json.RawMessage, bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		key, isText := token.(string)
		var value json.RawMessage
		if err != nil || !isText || decoder.Decode(&value) != nil || members[key] != nil {
			return nil, false
		}
		members[key] = value
	}
	if _, err := decoder.Token(); err != nil || decoder.More() {
		return nil, false
	}
	return members, true
}

func scalar(raw []byte, path string) (string, bool) {
	value, ok := find(raw, path)
	var text string
	if !ok || json.Unmarshal(value, &text) != nil {
		return "", false
	}
	return text, true
}

// Set is the keys at one URL. It is safe for concurrent use.
type Set struct{ Document *fetch.Document }

// Find returns the keys of an id, or all if it is nil or the one key has none. Where the set that is there has
// no such key, it may be older than the key: the reason is KeysUnavailable while a
// refresh is due.
func (s *Set) Find(call *authz.Call, id authz.View) ([]publickey.Key, authz.Reason) {
	version := s.Document.Load(call.Now)
	if version == nil {
		return nil, unavailable(call, "the keys of "+s.Document.URL())
	}
	keys, _ := version.Value.(*Keys)
	switch {
	case !keys.validAt(call.Now):
		return nil, authz.SignatureInvalid
	case id == nil, len(keys.All) == 1 && keys.All[0].ID == "":
		return keys.All, authz.OK // a key without an id stands alone, and every id means it
	}
	for i := range keys.All {
		if keys.All[i].ID == string(id) {
			return keys.All[i : i+1], authz.OK
		}
	}
	if !fetch.IsID(id) || s.Document.Wanted(call.Now) == fetch.Missing {
		return nil, authz.SignatureInvalid
	}
	return nil, unavailable(call, fmt.Sprintf("a set at %s that is not older than the key %.80q", s.Document.URL(), id))
}

// ByID is the keys that are fetched by their ids. It is safe for concurrent use.
type ByID struct{ Asker *fetch.Asker }

// Find returns the key of an id. One that is not known yet is asked for.
func (b *ByID) Find(call *authz.Call, id authz.View) ([]publickey.Key, authz.Reason) {
	version, state, err := b.Asker.Look(id, call.Now)
	switch {
	case err != nil:
		call.Explain("a key's id of the provider's form", err.Error())
		return nil, authz.SignatureInvalid
	case state == fetch.Missing:
		call.Explain("a key that exists", fmt.Sprintf("nothing, or no key that counts, behind %.80q", id))
		return nil, authz.SignatureInvalid
	case version == nil:
		return nil, unavailable(call, fmt.Sprintf("the key %.80q", id))
	}
	keys, _ := version.Value.(*Keys)
	if !keys.validAt(call.Now) {
		call.Explain("a certificate that is valid", "one that is over")
		return nil, authz.SignatureInvalid
	}
	return keys.All, authz.OK
}

// Proved notes that the signature by a key held.
func (b *ByID) Proved(id authz.View, now time.Time) { b.Asker.Proved(id, now) }

func unavailable(call *authz.Call, what string) authz.Reason {
	call.Explain(what, "none yet: it is fetched in the background, which only the service does")
	return authz.KeysUnavailable
}
