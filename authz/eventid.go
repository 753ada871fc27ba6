package authz

// EventID is a header with the sender's own id of an event or a delivery. It is for
// records alone and decides nothing.
type EventID struct {
	Header string // in lower case
	// Covered says whether a signature that holds covers it.
	Covered Covered
}

// Covered says whether a signature that holds covers a header.
type Covered uint8

// The zero value is never.
const (
	CoveredNever Covered = iota
	// CoveredAlone: if none of the webhook's other ids is there.
	CoveredAlone
	// CoveredAlways: whichever of the webhook's schemes has held.
	CoveredAlways
)

// EventID returns the sender's own id of the request, if the webhook knows where it
// stands and it stands there once, and whether a signature that held covers it. Of
// a request whose signature did not hold, none is covered.
func (d *Decision) EventID(req *Request) (id View, signed bool) {
	if d.Webhook == nil {
		return nil, false
	}
	covered, there := CoveredNever, 0
	for _, e := range d.Webhook.EventIDs {
		value, count := req.Headers.Lookup(e.Header)
		if count == 0 {
			continue
		}
		if there++; there == 1 && count == 1 {
			id, covered = value, e.Covered
		}
	}
	if covered == CoveredNever || covered == CoveredAlone && there > 1 {
		return id, false
	}
	for _, o := range d.Checks() {
		if o.Stage == StageSignature && o.Reason == OK {
			return id, true
		}
	}
	return id, false
}
