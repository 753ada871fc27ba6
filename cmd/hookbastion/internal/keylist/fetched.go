package keylist

import (
	"fmt"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/policy/keys"
)

// describeFetched says how it goes with keys that the service fetches: their age is
// that of the oldest that is in use.
func (l *Key) describeFetched(k *keys.Key, live *cli.LiveKeys) {
	if live == nil {
		l.Advice = append(l.Advice, "fetched by the service; --admin tells how that goes")
		return
	}
	for _, f := range live.Fetched {
		if f.Source != k.URL {
			continue
		}
		l.Fetched = append(l.Fetched, f)
		if f.Confirmed != nil && (l.Modified == nil || f.Confirmed.Before(*l.Modified)) {
			l.Modified = f.Confirmed
		}
		switch {
		case f.State == "missing" && f.Confirmed == nil:
			l.Advice = append(l.Advice, f.URL+" could not be fetched yet: "+f.Failure)
		case f.State == "missing":
			l.Advice = append(l.Advice, f.URL+" is older than fetch.max_stale and counts no more: "+f.Failure)
		case f.State == "failing":
			l.Advice = append(l.Advice, fmt.Sprintf("%s was good last at %s, and stays: %s", f.URL, f.Confirmed.Format(time.RFC3339), f.Failure))
		}
	}
	if len(l.Fetched) == 0 {
		l.Advice = append(l.Advice, "no delivery has named a key yet")
	}
}
