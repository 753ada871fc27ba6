package main

import "github.com/hookbastion/hookbastion/authz"

// hint adds what a captured request does not hold and the command line could
// have said.
func (o *explainOptions) hint(e *explained) {
	switch {
	case o.now == "" && e.Reason == authz.TimestampTooOld.String():
		e.Warnings = append(e.Warnings, "the request was judged as if it came now; say with --now when it came")
	case o.source == "" && e.Reason == authz.SourceDenied.String():
		e.Warnings = append(e.Warnings, "a captured request has no sender's address; give it with --source-ip")
	}
}
