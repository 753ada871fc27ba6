package telemetry

import (
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

// Settled counts an entry of the access log, and how long after the request's
// end it came.
func (r *Recorder) Settled(_ replay.Settlement, _ replay.Result, _ time.Duration) {
}
