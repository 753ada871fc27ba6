package keys

import (
	"fmt"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/publickey"
	"github.com/hookbastion/hookbastion/authz/published"
	"github.com/hookbastion/hookbastion/authz/signature"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// PublishedID is the id of the keys that a provider publishes where its scheme says.
const PublishedID = "published"

// source returns the keys at a secret's URL. After an error there are none.
func (l *Loader) source(k *Loaded, reader *publickey.Reader) signature.Source {
	pattern, err := fetch.ParsePattern(k.url)
	switch {
	case err != nil:
		l.Faults.Fail(k.At.At("url"), err.Error())
		return nil
	case !pattern.Fixed():
		l.Faults.Fail(k.At.At("url"), "must be one URL; keys by id are published of the scheme")
		return nil
	case k.KID != "":
		l.Faults.Fail(k.At.At("kid"), "has no use: what is at the url says how its keys are named")
		return nil
	}
	l.tell(k, func(*Key) {})
	format := published.Format{Reader: *reader}
	return &published.Set{Document: l.Use.Document(fetch.Source{URL: k.url, Kind: fmt.Sprintf("%+v", format), Parse: format.Parse})}
}

// NotePublished tells of keys that the provider publishes.
func (l *Loader) NotePublished(webhook, url string, at strictyaml.Place) {
	if l.OnKey != nil {
		l.OnKey(Key{Webhook: webhook, ID: PublishedID, Kind: "published", URL: url, Place: at.Error("")})
	}
}
