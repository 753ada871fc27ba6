package replay

import "time"

// Stats is what a store has done and holds.
type Stats struct {
	// Nonces are those held, expired ones that were not swept yet included;
	// Pending are those whose outcome is open; Bytes is the size of the slots.
	Nonces, Pending, Bytes int64
	// Reserved counts reservations, Possible those of them that followed an
	// unknown outcome or may have been forgotten, Adopted the repetitions by Envoy, Redelivered the copies
	// that an operator let through.
	Reserved, Possible, Adopted, Redelivered int64
	// Copies counts second deliveries, InFlight those of open ones. A check may ask the
	// store several times for one of these, so that a [Settler] counts them.
	Copies, InFlight int64
	// Hurried counts how often a copy of what is on its way was answered at once, since 64
	// others waited for its outcome.
	Hurried int64
	// Delivered, Released and Unknown count how reservations ended by the
	// access log; LeaseTaken and LeaseReleased those whose lease ended without
	// a word; GivenBack those of cancelled checks.
	Delivered, Released, Unknown, LeaseTaken, LeaseReleased, GivenBack int64
	// Evicted counts nonces that had to make room, Full refusals for want of it,
	// Uncertain refusals of what may have been forgotten.
	Evicted, Full, Uncertain int64
	// Watermark is the latest time at which an evicted nonce would have
	// expired; zero if nothing was evicted.
	Watermark time.Time
	// LogBytes is the size of the log on disk, LogFailures how often it could
	// not be written; 0 where there is none.
	LogBytes, LogFailures int64
}

// Remote is what a store that lies elsewhere has met since the start.
type Remote struct {
	// Up: calls are made.
	Up bool
	// Opened counts how often calls were stopped since they failed, Refused the
	// calls that were not made then, Busy those that were not made since too many
	// were on their way, Abandoned the reservations whose answer did not come in
	// time.
	Opened, Refused, Busy, Abandoned int64
	// Near counts copies that were known without a call, Local the deliveries
	// that were decided without the store while it was away.
	Near, Local int64
	// Lost counts parts of the store that were empty, Restarted those that may
	// have forgotten, Evicted those that have.
	Lost, Restarted, Evicted int64
	// Elsewhere counts entries of the access log for reservations that another
	// replica made while the store was away, Told those that it could be told.
	Elsewhere, Told int64
	// Dropped counts what was not remembered to be done later, or told to others, since
	// there was too much of it: those reservations end with their leases.
	Dropped int64
}
