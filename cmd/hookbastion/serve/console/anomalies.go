package console

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

// alarms are what is unusual now and what was, the newest first; of one webhook, or of all
// if it is empty.
func (c *Console) alarms(webhook string) (current, past []monitor.Alarm) {
	if c.config.Anomalies == nil {
		return nil, nil
	}
	current, past = c.config.Anomalies()
	of := func(list []monitor.Alarm) (chosen []monitor.Alarm) {
		for _, a := range list {
			if webhook == "" || a.Webhook == webhook {
				chosen = append(chosen, a)
			}
		}
		slices.SortStableFunc(chosen, func(a, b monitor.Alarm) int { return b.Time.Compare(a.Time) })
		return chosen
	}
	return of(current), of(past)
}

// How many alarms a page shows: many webhooks may have one at once.
const (
	maxAlarms      = 200
	maxFirstAlarms = 5
)

// anomalies is the page of what is unusual.
func (c *Console) anomalies(r *http.Request, v *view) error {
	if c.config.Anomalies == nil {
		return c.nothing(r, v)
	}
	d := struct {
		Current, Past []monitor.Alarm
		More          int
	}{}
	current, past := c.alarms("")
	d.Current, d.Past = current[:min(len(current), maxAlarms)], past[:min(len(past), maxAlarms)]
	d.More = len(current) - len(d.Current) + len(past) - len(d.Past)
	v.Page, v.Title, v.Data = "anomalies", "Anomalies", &d
	return nil
}

// ranges is the page of the lists of addresses.
func (c *Console) ranges(r *http.Request, v *view) error {
	list := c.lists()
	if len(list) == 0 {
		return c.nothing(r, v)
	}
	v.Page, v.Title, v.Data = "ranges", "Ranges", list
	return nil
}

func (c *Console) lists() []cli.Range {
	if c.config.Ranges == nil {
		return nil
	}
	return c.config.Ranges()
}

// amount writes a measured number with as many digits as say something.
func amount(n float64) string {
	if n >= 1000 && n < 1e12 {
		return number(int(n))
	}
	return strconv.FormatFloat(n, 'g', 3, 64)
}
