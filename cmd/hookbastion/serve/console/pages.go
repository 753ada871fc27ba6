package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/keylist"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// view is what a template gets.
type view struct {
	Page, Title      string
	Status           int
	Live             bool // the script keeps it up to date
	Now              time.Time
	Version, Replica string
	Condition        []string // empty: all is well
	// HasAnomalies and HasRanges say which pages there are, Alarms how much is unusual now.
	HasAnomalies, HasRanges bool
	Alarms                  int
	Window, Slot            string // in words
	window                  *window
	Windows                 []choice
	Data                    any
}

// choice is a link to the same page with one thing chosen.
type choice struct {
	Word, Title, URL string
	Chosen           bool
}

// newView is what all pages have.
func (c *Console) newView(r *http.Request) *view {
	v := &view{
		Status: http.StatusOK, Live: true, Now: c.config.Now().UTC(),
		Version: c.config.Version, Replica: c.config.Replica, window: &windows[0],
	}
	for _, line := range c.config.Condition() {
		if line != "ok" {
			v.Condition = append(v.Condition, strings.TrimPrefix(line, "ok, "))
		}
	}
	current, _ := c.alarms("")
	v.HasAnomalies, v.Alarms, v.HasRanges = c.config.Anomalies != nil, len(current), len(c.lists()) > 0
	for i := range windows {
		if windows[i].word == r.URL.Query().Get("window") {
			v.window = &windows[i]
		}
	}
	for i := range windows {
		v.Windows = append(v.Windows, choice{windows[i].word, windows[i].title, with(r, "window", windows[i].word), v.window == &windows[i]})
	}
	v.Window, v.Slot = v.window.title, inWords(v.window.slot)
	return v
}

// With is one value beside the time, for templates that need both.
func (v *view) With(name string, value any) map[string]any {
	return map[string]any{name: value, "Now": v.Now}
}

// Alarmed is a list of alarms for a template.
func (v *view) Alarmed(title string, list []monitor.Alarm, past bool) map[string]any {
	return map[string]any{"Title": title, "List": list, "Past": past}
}

// which is the index of the window.
func (v *view) which() int {
	return slices.IndexFunc(windows[:], func(w window) bool { return w.word == v.window.word })
}

// with is the page's own address with one parameter set, or without it.
func with(r *http.Request, name, value string) string {
	query := r.URL.Query()
	query.Del("before")
	if query.Set(name, value); value == "" {
		query.Del(name)
	}
	return r.URL.EscapedPath() + "?" + query.Encode()
}

// decisionsURL is the list of the decisions that are meant.
func decisionsURL(webhook, reason string) string {
	query := url.Values{}
	if webhook != "" {
		query.Set("webhook", webhook)
	}
	if reason != "" {
		query.Set("reason", reason)
	}
	return "/decisions?" + query.Encode()
}

func webhookURL(name string) string { return "/webhook?" + url.Values{"name": {name}}.Encode() }

// nothing is the page of what is not there.
func (c *Console) nothing(_ *http.Request, v *view) error {
	v.Page, v.Title, v.Status, v.Live = "nothing", "Not found", http.StatusNotFound, false
	return nil
}

// webhookRow is a webhook in the table of all.
type webhookRow struct {
	Name, URL string // without a URL it is not one webhook
	Tally     counts
	Spark     *chart
	Reason    string // the most frequent of denials
	Last      time.Time
}

// counts are numbers as templates read them.
type counts struct {
	Allowed, Denied, WouldDeny, Total int
	P50, P99                          time.Duration
}

func countsOf(t *tally) counts {
	return counts{int(t.allowed), int(t.denied), int(t.wouldDeny), t.total(), t.quantile(0.5), t.quantile(0.99)}
}

// reasonRow is a reason, with how many denials had it.
type reasonRow struct {
	Reason, URL string
	Count       int
	Share       int // percent of the most frequent
}

// maxRows is how many webhooks, reasons and others a page shows unless all are asked for.
const (
	maxRows    = 50
	maxReasons = 12
)

// noWebhook names requests that matched none.
const noWebhook = "(no webhook)"

func reasonRows(t *traffic, webhook string) (rows []reasonRow) {
	for _, r := range t.reasons[:min(len(t.reasons), maxReasons)] {
		rows = append(rows, reasonRow{r.reason.String(), decisionsURL(webhook, r.reason.String()), int(r.count), max(int(100*r.count/t.reasons[0].count), 1)})
	}
	return rows
}

// overview is the first page.
func (c *Console) overview(r *http.Request, v *view) error {
	which := v.which()
	total, since, missed := c.history.total(which, v.Now)
	list := c.history.webhooks(which, v.Now)
	sort := r.URL.Query().Get("sort")
	slices.SortFunc(list, func(a, b traffic) int {
		byName := strings.Compare(a.webhook, b.webhook)
		switch sort {
		case "name":
			return byName
		case "denied":
			return cmp.Or(cmp.Compare(b.tally.denied+b.tally.wouldDeny, a.tally.denied+a.tally.wouldDeny), byName)
		case "last":
			return cmp.Or(b.last.Compare(a.last), byName)
		default:
			return cmp.Or(cmp.Compare(b.tally.total(), a.tally.total()), byName)
		}
	})
	d := struct {
		Tally     counts
		Chart     *chart
		Rows      []webhookRow
		Hidden    int
		All       string
		Sort      map[string]string
		Sorted    string
		Reasons   []reasonRow
		Denials   []record.Record
		Since     time.Time
		Missed    uint64
		PerSecond float64
		Policy    Policy
		KeysToDo  int
		Current   []monitor.Alarm
	}{
		Tally: countsOf(&total.tally), Chart: draw(&total, v.window, false), Reasons: reasonRows(&total, ""),
		Since: since, Missed: missed, Policy: c.config.Policy(), Sort: map[string]string{}, Sorted: cmp.Or(sort, "total"),
		Denials: c.config.Decisions.Query(recent.Query{Verdict: authz.Deny.String(), Limit: 8}).Decisions,
	}
	for _, by := range []string{"name", "total", "denied", "last"} {
		d.Sort[by] = with(r, "sort", by)
	}
	for _, k := range c.config.Keys("").List {
		if len(k.Advice) > 0 {
			d.KeysToDo++
		}
	}
	current, _ := c.alarms("")
	d.Current = current[:min(len(current), maxFirstAlarms)]
	most := maxRows
	if r.URL.Query().Get("all") == "1" {
		most = len(list)
	}
	for i := range list[:min(len(list), most)] {
		d.Rows = append(d.Rows, webhookRowOf(&list[i], v.window))
	}
	if d.Hidden = len(list) - len(d.Rows); d.Hidden > 0 {
		d.All = with(r, "all", "1")
	}
	covered := min(max(v.Now.Sub(since), time.Second), v.window.length())
	d.PerSecond = float64(total.tally.total()) / covered.Seconds()
	v.Page, v.Title, v.Data = "overview", "Overview", &d
	return nil
}

func webhookRowOf(t *traffic, w *window) webhookRow {
	row := webhookRow{Name: t.webhook, URL: webhookURL(t.webhook), Tally: countsOf(&t.tally), Spark: draw(t, w, true), Last: t.last}
	switch t.webhook {
	case "":
		row.Name, row.URL = noWebhook, decisionsURL("", authz.NoWebhook.String())
	case others:
		row.URL = ""
	}
	if len(t.reasons) > 0 {
		row.Reason = t.reasons[0].reason.String()
	}
	return row
}

// webhook is the page of one webhook.
func (c *Console) webhook(r *http.Request, v *view) error {
	name := r.URL.Query().Get("name")
	t, counted := c.history.webhook(name, v.which(), v.Now)
	page := c.config.Decisions.Query(recent.Query{Webhook: name, Limit: 20})
	inPolicy := c.config.Policy().has(name)
	if name == "" || !counted && !inPolicy && len(page.Decisions) == 0 {
		return c.nothing(r, v)
	}
	current, past := c.alarms(name)
	v.Page, v.Title = "webhook", name
	v.Data = &struct {
		Current, Past     []monitor.Alarm
		Name              string
		InPolicy, Counted bool
		Tally             counts
		Chart             *chart
		Reasons           []reasonRow
		Decisions         []record.Record
		More              string
		Durations         []durationRow
		Keys              []keylist.Key
	}{
		Current: current, Past: past,
		Name: name, InPolicy: inPolicy, Counted: counted, Tally: countsOf(&t.tally), Chart: draw(&t, v.window, false),
		Reasons: reasonRows(&t, name), Decisions: page.Decisions, More: decisionsURL(name, ""),
		Durations: durationRows(&t.tally), Keys: c.config.Keys(name).List,
	}
	return nil
}

// durationRow is a bucket of durations.
type durationRow struct {
	To    string
	Count int
	Share int // percent of the largest
}

// durationRows are the buckets from the first to the last that has something.
func durationRows(t *tally) (rows []durationRow) {
	most := slices.Max(t.durations[:])
	first, last := -1, -1
	for i, n := range t.durations {
		if n > 0 {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	for i := max(first, 0); i <= last; i++ {
		to := "≤ " + micros(firstBucket<<i)
		if i == buckets-1 {
			to = "> " + micros(firstBucket<<(i-1))
		}
		rows = append(rows, durationRow{to, int(t.durations[i]), int(100 * uint64(t.durations[i]) / uint64(most))})
	}
	return rows
}

// decisions is the list with its filters.
func (c *Console) decisions(r *http.Request, v *view) error {
	query := r.URL.Query()
	if id := strings.TrimSpace(query.Get("id")); id != "" {
		r.SetPathValue("id", id)
		return c.decision(r, v)
	}
	d := struct {
		Webhook, Verdict, Reason, Since string
		Problem                         string
		Reasons, Webhooks               []string
		Decisions                       []record.Record
		Older, Newest                   string
		Held                            int
		MiB                             int
	}{
		Webhook: query.Get("webhook"), Verdict: query.Get("verdict"), Reason: query.Get("reason"), Since: query.Get("since"),
		Reasons: reasonWords, Webhooks: c.known(),
	}
	q := recent.Query{Webhook: d.Webhook, Verdict: d.Verdict, Reason: d.Reason, Limit: 50}
	var err error
	if d.Since != "" {
		q.Since, err = cli.ParseSince(d.Since, v.Now)
	}
	if before := query.Get("before"); before != "" && err == nil {
		q.Before, err = c.cursor(before)
		v.Live, d.Newest = false, with(r, "before", "")
	}
	if err != nil {
		d.Problem, v.Live = err.Error(), false
	} else {
		page := c.config.Decisions.Query(q)
		if d.Decisions = page.Decisions; page.Next != 0 {
			d.Older = with(r, "before", c.cursorOf(page.Next))
		}
	}
	held, bytes := c.config.Decisions.Held()
	d.Held, d.MiB = held, bytes>>20
	v.Page, v.Title, v.Data = "decisions", "Decisions", &d
	return nil
}

// reasonWords are all reasons that a decision can have.
var reasonWords = func() (all []string) {
	for r := authz.OK; int(r) < authz.ReasonCount; r++ {
		all = append(all, r.String())
	}
	return all
}()

// maxKnown is how many names a list offers.
const maxKnown = 500

// known are webhooks to choose from; none where there are too many to choose.
func (c *Console) known() (names []string) {
	p := c.config.Policy()
	if p.Table == nil || len(p.Table.Webhooks()) > maxKnown {
		return nil
	}
	for _, w := range p.Table.Webhooks() {
		names = append(names, w.Name)
	}
	slices.Sort(names)
	return names
}
