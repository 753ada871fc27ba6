package console

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/policy/posture"
	"github.com/hookbastion/hookbastion/policy/posture/page"
)

// postureSample is the mixed set of the judgement's tests, with what a service and an
// earlier report would add.
func postureSample(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../../policy/posture/testdata/mixed.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := posture.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	at, count := r.Time.Add(-3*time.Hour), int64(12)
	r.Live = &posture.Live{Digest: "994896bb6e2c9d7e", Since: at, Monitored: true}
	of := func(name string) *posture.Webhook {
		return &r.Webhooks[slices.IndexFunc(r.Webhooks, func(w posture.Webhook) bool { return w.Name == name })]
	}
	chat := of("chat")
	chat.Anomalies = []posture.Anomaly{{Webhook: "chat", Time: at, Kind: "silence", Message: "nothing came for three hours"}}
	chat.Keys[0].Matches, chat.Keys[0].LastMatch = &count, &at
	of("code").Findings[0].Suppressed = "the application knows the ids"
	r.Changes = &posture.Changes{Since: at.AddDate(0, -3, 0), Better: []string{"code: grade A, was B"}, Worse: []string{"forgotten: grade C, was A"}, Other: []string{"token is new, with grade C"}}
	var html bytes.Buffer
	if err := page.Write(&html, r); err != nil {
		t.Fatal(err)
	}
	return html.Bytes()
}

// The page of a posture report, which looks as the console does, on a desk and on a phone,
// in light and dark, and on paper: axe-core finds nothing, the browser complains of nothing
// and asks for nothing but the page. The pictures are kept where HOOKBASTION_SCREENSHOTS
// names a directory.
func TestPostureInABrowser(t *testing.T) {
	html := postureSample(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(html)
	}))
	t.Cleanup(server.Close)
	b := startBrowser(t)
	keep := func(name string, data []byte) {
		if dir := os.Getenv("HOOKBASTION_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, screen := range screens {
		for _, scheme := range []string{"light", "dark"} {
			tab, name := b.tab(screen.width, screen.height, scheme), "posture-"+screen.name+"-"+scheme
			tab.open(server.URL + "/posture.html")
			judgePicture(t, name, tab.screenshot(false), screen.width, scheme == "dark")
			keep(name+".png", tab.screenshot(true))
			var wide bool
			if tab.eval(`document.documentElement.scrollWidth > innerWidth`, &wide); wide {
				t.Errorf("%s is wider than the screen", name)
			}
			for _, found := range tab.axe() {
				t.Errorf("%s: %s", name, found)
			}
			requests, troubles := tab.seen()
			for _, r := range requests {
				if r != server.URL+"/posture.html" && r != "data:," {
					t.Errorf("%s asks for %s", name, r)
				}
			}
			if len(requests) == 0 || len(troubles) > 0 {
				t.Errorf("%s: requests %q, troubles %q", name, requests, troubles)
			}
			paper(t, tab, name, keep)
		}
	}
}

// paper prints the page: on A4, dark on white whatever the screen has, and nothing cut off
// at the right.
func paper(t *testing.T, tab *tab, name string, keep func(string, []byte)) {
	t.Helper()
	var printed struct{ Data string }
	tab.must("Page.printToPDF", map[string]any{"preferCSSPageSize": true, "printBackground": true}, &printed)
	pdf, err := base64.StdEncoding.DecodeString(printed.Data)
	if err != nil {
		t.Fatal(err)
	}
	keep(name+".pdf", pdf)
	if pages := len(regexp.MustCompile(`/Type\s*/Page\b`).FindAll(pdf, -1)); pages < 2 || pages > 8 {
		t.Errorf("%s has %d pages", name, pages)
	}
	if !regexp.MustCompile(`/MediaBox\s*\[0 0 59[45]\S* 84[12]`).Match(pdf) {
		t.Errorf("%s is not on A4", name)
	}
	tab.must("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
	tab.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": 688, "height": 1000, "deviceScaleFactor": 1, "mobile": false}, nil) // A4 without its margins
	var seen struct {
		Background, Text string
		Hidden           int
	}
	tab.eval(`({background: getComputedStyle(document.body).backgroundColor, text: getComputedStyle(document.body).color,
		hidden: [...document.querySelectorAll(".wide")].filter(e => e.scrollWidth > e.clientWidth).length})`, &seen)
	keep(name+"-paper.png", tab.screenshot(true))
	if seen.Background != "rgb(255, 255, 255)" || seen.Text != "rgb(0, 0, 0)" || seen.Hidden > 0 {
		t.Errorf("%s on paper: %+v", name, seen)
	}
}
