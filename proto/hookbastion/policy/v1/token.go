package policyv1

// CoversBody reports whether a token that holds covers the body.
func (j *Jws) CoversBody() bool {
	return j.GetBody() != nil || j.GetDetached() != nil || j.GetWholeBody() || j.GetAlone()
}

// CoversURL reports whether it covers the path, at least.
func (j *Jws) CoversURL() bool {
	return j.GetUrl() != nil || j.GetQueryHash() || j.GetAudienceUrl() && !j.GetAudienceOptional() || j.GetDetached().GetRequestLine()
}

// stamp is that of the signed time; false if there is none.
func (j *Jws) stamp() (Stamp, bool) {
	switch {
	case j.GetTime() != "":
		return j, true
	case j.GetDetached().GetTimestamp() != nil:
		return j.GetDetached().GetTimestamp(), true
	default:
		return nil, false
	}
}
