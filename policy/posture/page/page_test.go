package page_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/policy/posture"
	"github.com/hookbastion/hookbastion/policy/posture/page"
)

// hostile is a text that would do something on a page that does not escape it.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`

// fill puts the text into every field of a value that takes text, with one element in
// each list.
func fill(v reflect.Value, text string) (filled int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return 1
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return 0
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				filled += fill(v.Field(i), text)
			}
		}
	default: // takes no text
	}
	return filled
}

// TestHostileTexts: whatever text is in a report, it stays text, and no link leads to a
// script.
func TestHostileTexts(t *testing.T) {
	for _, text := range []string{hostile, "javascript:alert(1)", "</style><script>", "\x00\xff\u2028]]>-->"} {
		r := &posture.Report{}
		if filled := fill(reflect.ValueOf(r).Elem(), text); filled < 40 {
			t.Fatalf("only %d fields", filled)
		}
		var out bytes.Buffer
		if err := page.Write(&out, r); err != nil {
			t.Fatal(err)
		}
		html := strings.ToLower(out.String())
		for _, bad := range []string{"<script", "<img", `href="javascript`, "onerror=alert(2)>"} {
			if strings.Contains(html, bad) {
				t.Errorf("%q: the page has %s", text, bad)
			}
		}
		if strings.Count(html, "</style>") != 1 {
			t.Errorf("%q ends the style", text)
		}
	}
}

// TestMany: of many webhooks those with the worst grades are shown, and it is said how many
// are not.
func TestMany(t *testing.T) {
	r := &posture.Report{Grade: posture.GradeF}
	for i := range page.MaxWebhooks + 7 {
		r.Webhooks = append(r.Webhooks, posture.Webhook{Name: fmt.Sprintf("w%d", i), Grade: posture.GradeA})
	}
	r.Webhooks[page.MaxWebhooks+6] = posture.Webhook{Name: "the-worst", Grade: posture.GradeF}
	var out bytes.Buffer
	if err := page.Write(&out, r); err != nil {
		t.Fatal(err)
	}
	html := out.String()
	if n := strings.Count(html, `<section class="webhook">`); n != page.MaxWebhooks {
		t.Errorf("%d webhooks", n)
	}
	if !strings.Contains(html, "with grades as good or better: 7.") || !strings.Contains(html, "the-worst") {
		t.Error("it does not say what is left out, or leaves out the worst")
	}
}
