package main

import (
	"fmt"
	"regexp"

	"github.com/hookbastion/hookbastion/authz"
)

// truerReasons are reasons that say more than the word of the vector does.
var truerReasons = map[string]authz.Reason{
	"discord-split-shift":     authz.TimestampMalformed, // the time has nine digits, since one was moved into the body
	"stdwh-v1a-wrong-version": authz.SignatureMissing,   // there is none of the version v1a
}

// ids are the texts that may be the id of a secret; other names of keys are its kid.
var ids = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// policyFields say what each word of a vector's policy is in a policy file; nil for
// those that the catalogue's entry says by itself.
var policyFields = map[string]func(hook map[string]any, value any){
	"tolerance_seconds":    freshness("tolerance"),
	"max_age_seconds":      freshness("tolerance"),
	"future_skew_seconds":  freshness("future"),
	"recipient_client_id":  parameter("recipient_client_id"),
	"broadcaster_user_ids": parameter("broadcaster_user_ids"),
	"topic_arns":           parameter("topic_arns"),
	"signature_versions":   parameter("signature_versions"),
	"webhook_id":           parameter("webhook_id"),
	"cert_hosts":           nil, // the keys are given with the URLs that they stand at
	"parameters":           parameters,
	"client_state":         clientState,
	"sig_header":           nil,
	"kid_header":           nil,
}

// freshness sets a bound of the signed time, if the vector has one.
func freshness(name string) func(map[string]any, any) {
	return func(hook map[string]any, value any) {
		if value == nil {
			return
		}
		bounds, ok := hook["freshness"].(map[string]any)
		if !ok {
			bounds = map[string]any{}
		}
		bounds[name] = fmt.Sprintf("%vs", value)
		hook["freshness"] = bounds
	}
}

// parameter gives what the operator knows.
func parameter(name string) func(map[string]any, any) {
	return func(hook map[string]any, value any) {
		given, ok := hook["parameters"].(map[string]any)
		if !ok {
			given = map[string]any{}
		}
		given[name] = value
		hook["parameters"] = given
	}
}

// families are names of schemes that vectors from elsewhere use for the one scheme that
// an entry has.
var families = map[string]bool{
	"adobe": true, "alexa": true, "aws-sns": true, "paypal": true, "discord": true, "ecdsa-body-der": true, "rsa-sha256-body": true,
	"sendgrid": true, "standard-webhooks-v1a": true, "telnyx": true,
}

// scheme is the entry's scheme; "" for those that are not optional.
func (v *vector) scheme() string {
	if families[v.Scheme] {
		return ""
	}
	return v.Scheme
}
