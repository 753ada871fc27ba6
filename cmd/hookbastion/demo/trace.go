package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// shownRow is the request whose trace the demo shows.
const shownRow = "Stripe delivery"

// traceTimeout is how long the demo waits for the last span.
const traceTimeout = 10 * time.Second

// exportTo returns a processor that sends spans to a collector soon.
func exportTo(ctx context.Context, collector net.Addr) (sdktrace.SpanProcessor, error) {
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(collector.String()), otlptracegrpc.WithInsecure())
	if err != nil {
		return nil, err
	}
	return sdktrace.NewBatchSpanProcessor(exporter, sdktrace.WithBatchTimeout(50*time.Millisecond)), nil
}

// printTrace waits for the whole trace of the shown row and prints it with the
// decision record.
func (d *demo) printTrace(ctx context.Context, out io.Writer, results []result) error {
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	i := slices.IndexFunc(results, func(r result) bool { return r.Name == shownRow })
	record := d.records.record(ctx, results[i].decisionID)
	var fields struct {
		Trace string `json:"trace_id"`
	}
	if err := json.Unmarshal(record, &fields); err != nil || fields.Trace == "" {
		return errors.Join(fmt.Errorf("the record of the %s has no trace id", shownRow), err)
	}
	spans, ok := d.collector.AwaitSpans(ctx, fields.Trace, isWholeTrace)
	if !ok {
		return fmt.Errorf("only %d spans of trace %s arrived", len(spans), fields.Trace)
	}
	fmt.Fprintf(out, "\nThe trace of the %s, received over OTLP from Envoy and Hookbastion:\n\n", shownRow)
	printSpans(out, spans, nil, "  ", "  ")
	fmt.Fprintf(out, "\nIts decision record, one line:\n\n")
	_, err := out.Write(brokenRecord(record))
	return err
}

// isWholeTrace waits for Envoy's span of the request, those of its calls of the
// service and of the application, and ours.
func isWholeTrace(spans []envoytest.Span) bool {
	roots, ours := 0, 0
	for _, s := range spans {
		if len(s.GetParentSpanId()) == 0 {
			roots++
		}
		if s.GetName() == telemetry.SpanName {
			ours++
		}
	}
	return roots == 1 && ours == 1 && len(spans) == 4
}

// nameWidth is where the column of services begins.
const nameWidth = 66

// printSpans prints the children of a span, earliest first, and theirs. first
// stands before a name, rest before what belongs to it.
func printSpans(out io.Writer, spans []envoytest.Span, parent []byte, first, rest string) {
	var children []envoytest.Span
	for _, s := range spans {
		if bytes.Equal(s.GetParentSpanId(), parent) {
			children = append(children, s)
		}
	}
	slices.SortFunc(children, func(a, b envoytest.Span) int {
		return int(int64(a.GetStartTimeUnixNano() - b.GetStartTimeUnixNano())) //nolint:gosec // less than centuries apart
	})
	for i, s := range children {
		branch, below := first, rest
		if parent != nil {
			branch, below = first+"├─ ", rest+"│  "
			if i == len(children)-1 {
				branch, below = first+"└─ ", rest+"   "
			}
		}
		took := time.Duration(s.GetEndTimeUnixNano() - s.GetStartTimeUnixNano())
		kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
		label := branch + s.GetName()
		fmt.Fprintf(out, "%s%s %-12s%-7s %8.1f µs\n", label, pad(label, nameWidth), s.Service, kind, float64(took.Nanoseconds())/1000)
		for _, e := range s.GetEvents() {
			name := strings.TrimPrefix(e.GetName(), telemetry.SpanName+".")
			seconds := envoytest.Value(e.GetAttributes(), "hookbastion.check.duration").GetDoubleValue()
			label := below + "· " + name + pad(name, 10) + envoytest.Text(e.GetAttributes(), "hookbastion.check.reason")
			fmt.Fprintf(out, "%s%s %19s %8.1f µs\n", label, pad(label, nameWidth), "", seconds*1e6)
		}
		printSpans(out, spans, s.GetSpanId(), below, below)
	}
}

func pad(text string, width int) string {
	return strings.Repeat(" ", max(1, width-utf8.RuneCountInString(text)))
}

// brokenRecord breaks the line where a screen would, at the same fields always.
func brokenRecord(record []byte) []byte {
	for _, field := range []string{"request_id", "webhook", "status", "checks", "duration_us"} {
		record = bytes.Replace(record, []byte(`,"`+field+`":`), []byte(",\n   \""+field+`":`), 1)
	}
	return append([]byte("  "), append(record, '\n')...)
}
