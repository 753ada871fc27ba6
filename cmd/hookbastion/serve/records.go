package serve

import (
	"os"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// openRecords opens where decision records go.
func openRecords(s *settings.Settings, o Options) (*telemetry.Writer, func(), error) {
	switch {
	case o.Records != nil:
		w := telemetry.NewWriter(o.Records)
		return w, w.Close, nil
	case s.Records == "-":
		w := telemetry.NewWriter(os.Stdout)
		return w, w.Close, nil
	}
	file, err := os.OpenFile(s.Records, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	endLastLine(file)
	w := telemetry.NewWriter(file)
	return w, func() { w.Close(); _ = file.Close() }, nil
}

// endLastLine ends a line that a crash has cut, so that it does not spoil the first new
// record as well. What is no file, or cannot be read, has none.
func endLastLine(file *os.File) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return
	}
	old, err := os.Open(file.Name())
	if err != nil {
		return
	}
	defer func() { _ = old.Close() }() // only read
	last := []byte{'\n'}
	if _, err := old.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
		_, _ = file.WriteString("\n") // if it fails, so do the records, which are counted
	}
}

// decisionMemory bounds the last decisions that are kept for operators: 200,000 of
// ordinary size. It is used as they come.
const decisionMemory = 64 << 20

// keepDecisions makes where the last decisions are kept; nil where nobody could ask
// for them.
func keepDecisions(s *settings.Settings) *recent.Ring {
	if s.Admin.Listen == "" {
		return nil
	}
	return recent.New(decisionMemory, replicaName())
}

func replicaName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
