package authz

import (
	"bytes"
	"fmt"
	"strings"
)

// Limits bounds a request before anything in it is believed.
type Limits struct {
	// MaxBodyBytes and MaxHeaderBytes are inclusive.
	MaxBodyBytes   int64
	MaxHeaderBytes int
	// ContentTypes are media types in lower case without parameters. Empty
	// means any.
	ContentTypes []string
	// BodySigned says that a later check relies on the body, so that it must
	// be the body that the upstream gets.
	BodySigned bool
}

// Stage returns StageLimits.
func (l *Limits) Stage() Stage { return StageLimits }

// Run checks sizes, the content type and, where the body is signed, that it is
// whole. A body that cannot be trusted is named as such, not as a bad signature.
func (l *Limits) Run(call *Call) Reason {
	req := call.Request
	size := max(req.Body.Size, int64(req.Body.Len()))
	if size > l.MaxBodyBytes {
		call.Explain(fmt.Sprintf("a body of at most %d bytes", l.MaxBodyBytes), fmt.Sprintf("%d bytes", size))
		return BodyTooLarge
	}
	headerBytes := 0
	for i := range req.Headers {
		headerBytes += len(req.Headers[i].Name) + len(req.Headers[i].Value)
	}
	if headerBytes > l.MaxHeaderBytes {
		call.Explain(fmt.Sprintf("headers of at most %d bytes", l.MaxHeaderBytes), fmt.Sprintf("%d bytes", headerBytes))
		return MalformedRequest
	}
	if call.Asking == AsksUnproven { // which looks itself at what it reads of the body
		call.Explain("sizes within limits", fmt.Sprintf("%d bytes of body, %d bytes of headers", size, headerBytes))
		return OK
	}
	if len(l.ContentTypes) > 0 && call.Asking == AsksNothing && !l.contentTypeAllowed(req) {
		if call.Explanation != nil {
			value, _ := req.Headers.Lookup("content-type")
			call.Explain("content type "+strings.Join(l.ContentTypes, " or "), fmt.Sprintf("%.100q", value))
		}
		return ContentType
	}
	if l.BodySigned && req.Body.State != BodyWhole {
		reason, found := req.Body.State.fault()
		call.Explain("the whole body, unaltered", found)
		return reason
	}
	if call.Explanation != nil {
		call.Explain("sizes within limits and a whole body", fmt.Sprintf("%d bytes of body, %d bytes of headers", size, headerBytes))
	}
	return OK
}

func (s BodyState) fault() (Reason, string) {
	switch s {
	case BodyCut:
		return BodyTruncated, "only a part of the body reached us; the upstream would get all of it"
	case BodyChanged:
		return BodyAltered, "the body came as text, in which Envoy may have replaced bytes"
	default:
		return BodyNotForwarded, "no body reached us"
	}
}

// contentTypeAllowed refuses a doubled header: Envoy joins the two with a comma.
func (l *Limits) contentTypeAllowed(req *Request) bool {
	value, count := req.Headers.Lookup("content-type")
	if count != 1 || bytes.IndexByte(value, ',') >= 0 {
		return false
	}
	media, _, _ := bytes.Cut(value, []byte{';'})
	media = bytes.TrimSpace(media)
	for _, allowed := range l.ContentTypes {
		if len(media) == len(allowed) && strings.EqualFold(string(media), allowed) {
			return true
		}
	}
	return false
}
