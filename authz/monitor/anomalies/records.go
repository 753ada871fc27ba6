package anomalies

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/hookbastion/hookbastion/authz/monitor"
)

// Records writes decision records.
type Records struct {
	out *bufio.Writer
	n   int
}

// NewRecords returns a writer of records. Close writes what is left.
func NewRecords(out io.Writer) *Records { return &Records{out: bufio.NewWriterSize(out, 1<<20)} }

// Write writes the record of a decision, as the service would.
func (r *Records) Write(e *monitor.Event) {
	r.n++
	verdict, status, source, path := "deny", 401, "", string(e.Path)
	if e.Allowed {
		verdict, status = "allow", 200
	}
	if e.Source.IsValid() {
		source = e.Source.String()
	}
	if path == "" {
		path = "/webhooks/" + e.Webhook
	}
	fmt.Fprintf(r.out, `{"time":%q,"decision_id":"%032x","trace_id":"","request_id":"","webhook":%q,"tenant":"","provider":"","mode":"ENFORCE","verdict":%q,"reason":%q,"status":%d,"key_id":%q`,
		e.Time.Format("2006-01-02T15:04:05.000000Z07:00"), r.n, e.Webhook, verdict, e.Reason.String(), status, e.KeyID)
	if mark := e.Mark.String(); mark != "" {
		fmt.Fprintf(r.out, `,"replay":%q`, mark)
	}
	fmt.Fprintf(r.out, `,"source":%q,"method":"POST","path":%q,"body_bytes":%d`, source, path, e.BodyBytes)
	if e.HasSkew {
		fmt.Fprintf(r.out, `,"skew_ms":%d`, e.Skew.Milliseconds())
	}
	fmt.Fprintf(r.out, `,"checks":[],"duration_us":60,"policy_digest":"0","replica":"made"}`+"\n")
}

// Close writes what is left.
func (r *Records) Close() error { return r.out.Flush() }

// WriteLabels writes labels as a list in JSON.
func WriteLabels(out io.Writer, labels []Label) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(labels)
}
