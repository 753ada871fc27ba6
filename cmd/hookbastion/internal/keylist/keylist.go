// Package keylist says of secrets, tokens and public keys where they are, how old and how
// strong, when they matched, and what to do about them. It prints nothing of a secret.
package keylist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// rotateAfter is the age from which on `keys` advises another secret.
const rotateAfter = 90 * 24 * time.Hour

// retireAfter is how long after its last match a key can be retired if another
// one matches meanwhile: some providers repeat a delivery for days, as it was
// signed.
const retireAfter = 72 * time.Hour

// Key is one key in `keys --output json`, and in the console.
type Key struct {
	Webhook string `json:"webhook"`
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	// Reference is a file, $ and a variable, a URL or a digest.
	Reference string     `json:"reference"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	// Modified is when the file was written; of tenants' the oldest. Of a URL it is
	// when its server was last asked with success, of several the oldest.
	Modified *time.Time `json:"modified,omitempty"`
	Bytes    int        `json:"bytes,omitempty"`
	// Strength is good, weak, published, public or unknown.
	Strength string `json:"strength"`
	// Public are public keys, which are no secrets.
	Public    []Public           `json:"public,omitempty"`
	AllowWeak string             `json:"allow_weak,omitempty"`
	Tenants   *Tenants           `json:"tenants,omitempty"`
	Fetched   []cli.Fetched      `json:"fetched,omitempty"`
	Matches   *telemetry.KeyStat `json:"matches,omitempty"`
	Advice    []string           `json:"advice"`
}

// Public is a public key.
type Public struct {
	KID  string `json:"kid,omitempty"`
	Kind string `json:"kind"`
	// Thumbprint is that of RFC 7638: SHA-256 in base64url.
	Thumbprint string `json:"thumbprint"`
}

// Tenants sums up the files of tenants.
type Tenants struct {
	Files    int `json:"files"`
	Weak     int `json:"weak"`
	Unusable int `json:"unusable"`
	// Examples are those that are weak or unusable, the first five by name.
	Examples []string `json:"examples,omitempty"`
}

// Describe says what is known of a key, and what to do about it. Without live, nobody has
// asked the service. The files of tenants are looked at where tenants is true, each of them.
func Describe(k *keys.Key, now time.Time, live *cli.LiveKeys, tenants bool) Key {
	l := Key{
		Webhook: k.Webhook, Kind: k.Kind, ID: k.ID, Reference: reference(k), NotBefore: timeOrNil(k.NotBefore), NotAfter: timeOrNil(k.NotAfter),
		Bytes: k.Bytes, Strength: strength(k), AllowWeak: k.AllowWeak, Advice: []string{},
	}
	advise := func(text string) { l.Advice = append(l.Advice, text) }
	over := !k.NotAfter.IsZero() && !now.Before(k.NotAfter)
	if over {
		advise("safe to retire: not accepted since " + k.NotAfter.Format(time.RFC3339))
	}
	if now.Before(k.NotBefore) {
		advise("starts at " + k.NotBefore.Format(time.RFC3339))
	}
	if k.Kind == keys.KindLearnt {
		l.describeWaiting(k)
		return l
	}
	if k.URL != "" {
		l.describeFetched(k, live)
	} else if k.PerTenant() {
		if tenants {
			l.describeTenants(k)
		}
	} else if info, err := os.Stat(k.File); k.File != "" && err == nil {
		l.Modified = timeOrNil(info.ModTime().UTC())
	}
	for _, public := range k.Public {
		l.Public = append(l.Public, Public(public))
	}
	if l.Modified != nil && now.Sub(*l.Modified) > rotateAfter && !over && !k.IsPublic() {
		advise("older than 90 days: rotate")
	}
	if advice := k.Advice(); advice != "" {
		advise(advice)
	}
	if l.Tenants != nil && len(l.Tenants.Examples) > 0 {
		advise(fmt.Sprintf("%d tenants weak, %d unusable: look at %s", l.Tenants.Weak, l.Tenants.Unusable, strings.Join(l.Tenants.Examples, ", ")))
	}
	if live != nil && k.Kind != keys.KindVerifyToken { // which is no key of deliveries
		l.Matches = statOf(live, k)
		if never := neverSeen(live, k, l.Matches); never && !over && !now.Before(k.NotBefore) {
			advise("never seen since " + live.Since.Format(time.RFC3339))
		}
		if other := successor(live, k, l.Matches, now); other != "" && !over {
			advise("safe to retire: no match for " + Age(&l.Matches.Last, now) + ", and " + other + " matches since")
		}
	}
	return l
}

func reference(k *keys.Key) string {
	switch {
	case k.File != "":
		return k.File
	case k.Env != "":
		return "$" + k.Env
	case k.URL != "":
		return k.URL
	default:
		return k.Digest
	}
}

func strength(k *keys.Key) string {
	switch {
	case errors.Is(k.Weakness, keys.ErrPublished):
		return "published"
	case k.Weakness != nil:
		return "weak"
	case k.IsPublic():
		return "public"
	case k.Bytes == 0:
		return "unknown" // a digest, or another for each tenant
	default:
		return "good"
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// describeTenants looks at the file of every tenant.
func (l *Key) describeTenants(k *keys.Key) {
	l.Tenants = &Tenants{}
	// The first five by name: the order of a directory is another on each file system.
	example := func(name string) {
		at, _ := slices.BinarySearch(l.Tenants.Examples, name)
		l.Tenants.Examples = slices.Insert(l.Tenants.Examples, at, name)
		l.Tenants.Examples = l.Tenants.Examples[:min(5, len(l.Tenants.Examples))]
	}
	err := tenant.List(k.File, func(name string, info fs.FileInfo) {
		l.Tenants.Files++
		if at := info.ModTime().UTC(); l.Modified == nil || at.Before(*l.Modified) {
			l.Modified = &at
		}
		own, err := k.Of(name)
		switch {
		case err != nil:
			l.Tenants.Unusable++
			example(name)
		case own.Weakness != nil:
			l.Tenants.Weak++
			if k.AllowWeak == "" {
				example(name)
			}
		}
	})
	if err != nil {
		l.Advice = append(l.Advice, "the directory cannot be read")
	}
}

func statOf(l *cli.LiveKeys, k *keys.Key) *telemetry.KeyStat {
	for i := range l.Keys {
		if l.Keys[i].Webhook == k.Webhook && l.Keys[i].KeyID == k.ID {
			return &l.Keys[i].KeyStat
		}
	}
	return nil
}

// neverSeen reports whether the key is known not to have matched.
func neverSeen(l *cli.LiveKeys, k *keys.Key, found *telemetry.KeyStat) bool {
	if found != nil {
		return false
	}
	for i := range l.Keys {
		if l.Keys[i].Webhook == k.Webhook {
			return true // the webhook is counted, and this key not
		}
	}
	return l.Complete
}

// successor returns the id of a key that has begun to match since this one
// stopped; empty if there is none, or the time since is short.
func successor(l *cli.LiveKeys, k *keys.Key, found *telemetry.KeyStat, now time.Time) string {
	if found == nil || now.Sub(found.Last) < retireAfter {
		return ""
	}
	for i := range l.Keys {
		if l.Keys[i].Webhook == k.Webhook && l.Keys[i].First.After(found.Last) {
			return l.Keys[i].KeyID
		}
	}
	return ""
}

// Age is how many days ago a time was; - for none.
func Age(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return fmt.Sprintf("%dd", int(max(0, now.Sub(*t))/(24*time.Hour)))
}
