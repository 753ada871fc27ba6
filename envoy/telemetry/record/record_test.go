package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// line is a record as the service writes it.
const line = `{"time":"2026-11-24T06:00:00.123456Z","decision_id":"0123456789abcdef0123456789abcdef","trace_id":"","request_id":"4a4dd1a5","webhook":"payments","tenant":"acme","provider":"stripe","mode":"ENFORCE","verdict":"deny","reason":"replayed","status":409,"key_id":"2026-10","source":"198.51.100.7","method":"POST","path":"/a\u003cb\u2028","body_bytes":11,"skew_ms":-1500,"checks":[{"check":"limits","reason":"ok"},{"check":"replay","reason":"replayed"}],"redeliver":"ticket","duration_us":42,"policy_digest":"d1gest","replica":"replica-1"}`

func with(old, new string) string { //nolint:predeclared // what strings.Replace calls it
	if !strings.Contains(line, old) {
		panic(old)
	}
	return strings.Replace(line, old, new, 1)
}

func TestParse(t *testing.T) {
	got, fault := record.Parse([]byte(line))
	if fault != nil {
		t.Fatal(fault)
	}
	want := &record.Record{}
	if err := json.Unmarshal([]byte(line), want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	copied := got.Clone()
	copied.Checks[0].Check = "another"
	if got.Checks[0].Check != "limits" {
		t.Error("a clone shares its checks")
	}
	for name, text := range map[string]string{
		"later fields":   with(`"mode"`, `"new":{"a":[1,-2.5e3,true,false,null,"x\"",{}],"b":[]},"mode"`),
		"white space":    " {\t" + line[1:len(line)-1] + " } \r\n",
		"a later mode":   with(`ENFORCE`, `WATCH`),
		"a later reason": with(`"reason":"replayed"`, `"reason":"something_new"`),
		"what matters":   `{"time":"2026-11-24T06:00:00Z","decision_id":"1","verdict":"allow","reason":"ok"}`,
		"left out":       `{"time":"2026-11-24T06:00:10Z","from":"2026-11-24T06:00:00Z","left_out":99990,"webhook":"payments","verdict":"deny","reason":"signature_invalid","because":"limit"}`,
	} {
		if _, fault := record.Parse([]byte(text)); fault != nil {
			t.Errorf("%s: %v", name, fault)
		}
	}
}

// What is no record is said with its place.
func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		`hello`:                                  `f:1:1: expected a JSON object`,
		`[]`:                                     `f:1:1: expected a JSON object`,
		`{}`:                                     `f:1:1: time: is missing: this is no decision record`,
		`{"time":"2026-11-24T06:00:00Z"}`:        `f:1:1: decision_id: is missing: this is no decision record`,
		`{"level":"info","msg":"serving"}`:       `f:1:1: time: is missing: this is no decision record`,
		line[:60]:                                `f:1:53: decision_id: the text has no end`,
		line[:len(line)-1]:                       fmt.Sprintf(`f:1:%d: expected a comma or }`, len(line)),
		line + line:                              fmt.Sprintf(`f:1:%d: something follows the record`, len(line)+1),
		with(`"verdict":"deny"`, `"verdict":""`): `f:1:1: verdict: must be allow or deny, not ""`,
		with(`"reason":"replayed","status"`, `"status"`):                   `f:1:1: reason: is missing: this is no decision record`,
		with(`409`, `"409"`):                                               `status: must be a whole number from 0 to 999`,
		with(`409`, `409.0`):                                               `status: must be a whole number from 0 to 999`,
		with(`409`, `0409`):                                                `status: must be a whole number from 0 to 999`,
		with(`409`, `4096`):                                                `status: must be a whole number from 0 to 999`,
		with(`:11,`, `:-11,`):                                              `body_bytes: must be a whole number`,
		with(`:11,`, `:9223372036854775808,`):                              `body_bytes: must be a whole number`,
		with(`"payments"`, `null`):                                         `webhook: expected text in double quotes`,
		with(`"payments"`, `["payments"]`):                                 `webhook: expected text in double quotes`,
		with(`"payments"`, "\"pay\tments\""):                               `webhook: a control character in a text`,
		with(`"payments"`, `"\x"`):                                         `webhook: is no text`,
		with(`2026-11-24T06`, `2026-11-24 06`):                             `f:1:9: time: must be a time in RFC 3339`,
		with(`"provider":"stripe"`, `"webhook":"payments"`):                `webhook: stands there twice`,
		with(`[{"check":"limits","reason":"ok"},`, `["limits",`):           `checks: expected a JSON object`,
		with(`[{"check":"limits","reason":"ok"},`, `{"check":"limits"},[`): `checks: expected a list`,
		with(`{"check":"limits",`, `{"check":1,`):                          `checks.check: expected text in double quotes`,
		with(`"mode"`, `"new":nil,"mode"`):                                 `expected a value`,
		with(`"mode"`, `"new":01,"mode"`):                                  `expected a number`,
		with(`"mode"`, `"new":`+strings.Repeat("[", 40)+`,"mode"`):         `is nested too deeply`,
		with(`"stripe"`, `"`+strings.Repeat("x", 70_000)+`"`):              `is longer than a record can be`,
		`{"time":"2026-11-24T06:00:10Z","left_out":0,"reason":"replayed"}`: `left_out: must be a whole number from 1`,
		`{"time":"2026-11-24T06:00:10Z","left_out":1,"from":"yesterday"}`:  `from: must be a time in RFC 3339`,
	} {
		rec, err := record.NewReader(strings.NewReader(text+"\n"), "f").Next()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "f:1:") {
			t.Errorf("%s:\ngot  %v %+v\nwant %s", text[:min(len(text), 300)], err, rec, want)
		}
	}
}

// all reads to the end, and says what was read in a few words.
func all(r *record.Reader) (said []string) {
	for {
		rec, err := r.Next()
		var fault *record.Fault
		switch {
		case err == nil:
			said = append(said, rec.Webhook)
		case errors.As(err, &fault):
			said = append(said, fmt.Sprintf("fault in %d", fault.Line))
		default:
			return append(said, err.Error())
		}
	}
}

func TestReaderGoesOnAfterFaultsAndWhereTheInputGrew(t *testing.T) {
	var in bytes.Buffer
	r := record.NewReader(&in, "f")
	in.WriteString(line + "\n\n\r\nhello\n" + with("payments", "second") + "\r\n" + line[:50])
	if got := fmt.Sprint(all(r)); got != "[payments fault in 4 second EOF]" {
		t.Error(got)
	}
	in.WriteString(line[50:300])
	if got := fmt.Sprint(all(r)); got != "[EOF]" {
		t.Error(got)
	}
	in.WriteString(line[300:] + "\n" + strings.Repeat("x", 300_000) + "\n" + with("payments", "third"))
	if got := fmt.Sprint(all(r)); got != "[payments fault in 7 EOF]" {
		t.Error(got)
	}
	if rec, err := r.Rest(); err != nil || rec.Webhook != "third" {
		t.Errorf("%+v, %v", rec, err)
	}
	if _, err := r.Rest(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	in.WriteString(line[:50])
	_ = all(r)
	if _, err := r.Rest(); err == nil || !strings.Contains(err.Error(), "f:9:") || !strings.Contains(err.Error(), "may not be whole") {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestReaderTellsAFaultOfTheInputApart(t *testing.T) {
	var fault *record.Fault
	if _, err := record.NewReader(failing{}, "f").Next(); err == nil || errors.As(err, &fault) || errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// FuzzParse: what is accepted is JSON and says what any other reader of JSON finds in it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(line))
	f.Add([]byte(`{"time":"2026-11-24T06:00:10Z","left_out":5,"new":[{"a":1e3}],"webhook":"\ud800x\xff"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, fault := record.Parse(text)
		if fault != nil {
			if fault.Column < 1 || fault.Column > len(text)+1 || fault.Message == "" {
				t.Fatalf("%+v", fault)
			}
			return
		}
		var other map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // what is not known may be larger than any float64
		if err := d.Decode(&other); err != nil || !json.Valid(text) {
			t.Fatalf("accepted, but no JSON: %v", err)
		}
		v := reflect.ValueOf(*got)
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			want, there := other[name]
			switch x := v.Field(i).Interface().(type) {
			case string:
				if there && want != x {
					t.Fatalf("%s is %q, want %q", name, x, want)
				}
			case int64:
				number, _ := want.(json.Number)
				if f, err := number.Float64(); there && (err != nil || f != float64(x)) {
					t.Fatalf("%s is %d, want %v", name, x, want)
				}
			}
		}
		again, err := json.Marshal(got)
		if err != nil {
			return // a year that JSON cannot write
		}
		if second, fault := record.Parse(again); fault != nil || !second.Time.Equal(got.Time) || second.Webhook != got.Webhook {
			t.Fatalf("written again: %v: %s", fault, again)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	text := strings.Repeat(line+"\n", 1000)
	b.SetBytes(int64(len(line) + 1))
	b.ReportAllocs()
	in := strings.NewReader(text)
	r := record.NewReader(in, "f")
	for range b.N {
		if _, err := r.Next(); err != nil {
			in.Reset(text)
		}
	}
}
