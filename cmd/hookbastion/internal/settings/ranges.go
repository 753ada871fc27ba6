package settings

import (
	"strconv"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/policy/provider"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// DefaultInterval is the time between two fetches of a document of addresses.
const DefaultInterval = 6 * time.Hour

// publishedRanges is what becomes of addresses that providers publish.
func publishedRanges(m *settingsv1.Ranges, directory string, fail failer) ranges.Config {
	c := ranges.Config{Directory: directory, URLs: map[string]string{}}
	if m.GetRefresh() {
		c.Every = DefaultInterval
		if m.GetInterval() != nil {
			c.Every = m.GetInterval().AsDuration()
		}
	}
	for i, text := range m.GetUrls() {
		name, url, _ := strings.Cut(text, "=")
		switch d, err := provider.Ranges(name); {
		case err != nil:
			fail(err.Error(), "ranges", "urls", i)
		case d == nil || d.Kind == "":
			fail(strconv.Quote(name)+" is no document of published addresses"+strictyaml.Suggest(name, documents()), "ranges", "urls", i)
		case c.URLs[name] != "":
			fail("names "+name+" a second time", "ranges", "urls", i)
		}
		c.URLs[name] = url
	}
	return c
}

// documents are the names of all that can be fetched.
func documents() (names []string) {
	all, err := provider.RangeDocuments()
	if err != nil {
		return nil // the caller has it
	}
	for _, d := range all {
		if d.Kind != "" {
			names = append(names, d.Name)
		}
	}
	return names
}
