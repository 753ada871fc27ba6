package authz

// CheckID tells Envoy's repetitions of one check from a second delivery: the
// stream's number, the time of the request and the sender's port, which
// together are the same in each attempt and in nothing else. Envoy makes all
// three; a sender has no say. The zero value is known to nobody.
type CheckID struct {
	Stream uint64
	// Time is in nanoseconds since 1970.
	Time int64
	Port uint32
}

// Reservation names what a check holds in the replay store. It is a value that
// may be kept. The zero value names nothing.
type Reservation struct {
	Fingerprint Fingerprint
	// Partition says, in a way that only the store knows, whose room it takes.
	Partition uint64
	// ID tells this reservation from others of the same content; 0 if nothing
	// was reserved and only the content is named.
	ID uint64
	// Owner is the attempt that made or adopted it.
	Owner uint64
	// Ends is the end of its lease in nanoseconds since 1970; 0 if nobody will
	// say what became of the delivery.
	Ends int64
	// Rules is what the policy wants for each outcome.
	Rules uint8
}
