package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
)

// recordBook keeps the records of decisions by their ids.
type recordBook struct {
	mu      sync.Mutex
	changed *sync.Cond
	rest    []byte
	records map[string][]byte
}

func newRecordBook() *recordBook {
	b := &recordBook{records: map[string][]byte{}}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// Write takes decision records.
func (b *recordBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest = append(b.rest, p...)
	for {
		line, rest, ok := bytes.Cut(b.rest, []byte{'\n'})
		if !ok {
			break
		}
		var record struct {
			ID string `json:"decision_id"`
		}
		if err := json.Unmarshal(line, &record); err != nil {
			return 0, err
		}
		b.records[record.ID] = bytes.Clone(line)
		b.rest = rest
	}
	b.changed.Broadcast()
	return len(p), nil
}

// record waits for the record of a decision; nil if the context ends first.
func (b *recordBook) record(ctx context.Context, id string) []byte {
	stop := context.AfterFunc(ctx, b.changed.Broadcast)
	defer stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.records[id] == nil && ctx.Err() == nil {
		b.changed.Wait()
	}
	return b.records[id]
}

// reason waits for the record of a decision and returns its reason.
func (b *recordBook) reason(ctx context.Context, id string) string {
	var record struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(b.record(ctx, id), &record) != nil {
		return "" // there is none
	}
	return record.Reason
}
