package serve

import (
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// complainEvery is how often the log says that an exporter fails.
const complainEvery = time.Minute

// complaints is OpenTelemetry's error handler: it logs the first error and then
// at most one a minute, since a collector that is down fails all the time. It is
// safe for concurrent use.
type complaints struct {
	log   *slog.Logger
	now   func() time.Time
	lines lineLimit
}

func newComplaints(log *slog.Logger, now func() time.Time) *complaints {
	return &complaints{log: log, now: now, lines: lineLimit{most: 1, period: complainEvery}}
}

// Handle logs the error, or counts it.
func (c *complaints) Handle(err error) {
	if err == nil {
		return
	}
	if ok, suppressed, _ := c.lines.allow(c.now()); ok {
		c.log.Warn("telemetry is not exported", "error", err.Error(), "suppressed", suppressed)
	}
}

// logSDK sends what the SDK has to say to the log. The SDK keeps both per
// process.
func logSDK(log *slog.Logger) {
	otel.SetErrorHandler(newComplaints(log, time.Now))
	otel.SetLogger(logr.New(sdkLog{log}))
}

// sdkLog takes the SDK's complaints about its settings, without the values,
// which may be keys.
type sdkLog struct{ log *slog.Logger }

func (sdkLog) Init(logr.RuntimeInfo)            {}
func (sdkLog) Enabled(int) bool                 { return false } // of what is no error
func (sdkLog) Info(int, string, ...any)         {}
func (l sdkLog) WithValues(...any) logr.LogSink { return l }
func (l sdkLog) WithName(string) logr.LogSink   { return l }

// Error logs what the SDK was about to do.
func (l sdkLog) Error(_ error, what string, _ ...any) {
	l.log.Warn("a setting of OpenTelemetry is wrong", "failed", what)
}
