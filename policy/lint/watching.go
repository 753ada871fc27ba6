package lint

import (
	"slices"
	"strconv"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/policy/finding"
	"github.com/hookbastion/hookbastion/policy/strictyaml"
)

// Watching is what the settings let people see of deliveries.
type Watching struct {
	// File is that of the settings; empty for none.
	File string
	// DenialsPerSecond are records of denials at most; 0: nobody has said.
	DenialsPerSecond int
	// LeftOut are reasons whose decisions get no record.
	LeftOut []authz.Reason
	// OnlyErrors says that the log has nothing below errors.
	OnlyErrors bool
}

// ofAttacks are reasons that tell of somebody who tries, and not of a sender that is set up
// wrongly alone.
var ofAttacks = []authz.Reason{
	authz.SignatureInvalid, authz.SignatureMissing, authz.SignatureMalformed, authz.TokenInvalid, authz.TokenMissing, authz.Replayed,
	authz.SourceDenied, authz.TimestampTooOld, authz.TimestampInFuture, authz.BodyAltered, authz.TenantUnknown, authz.ConditionFailed,
	authz.KeyNotValidNow, authz.TokenExpired, authz.ClientCertificate,
}

func (p *pass) reportSetting(message string) {
	if p.Watching.File != "" {
		p.reportAs(p.rule.Severity, strictyaml.Error{File: p.Watching.File, Message: message})
	}
}

var attacksUnrecorded = Rule{
	Rule: finding.Rule{
		ID: "HB140", Severity: finding.Warning,
		Title: "denials that tell of an attack get no record",
		Risk:  "Somebody tries signatures and copies for weeks, and nobody can see from where, at what and since when. Afterwards there is nothing to look it up in.",
		Fix:   "Take the reason out of records.leave_out. records.denials_per_second bounds how many there are.",
		Link:  "telemetry.md#what-has-no-record",
	},
	set: func(p *pass) {
		for _, reason := range p.Watching.LeftOut {
			if slices.Contains(ofAttacks, reason) {
				p.reportSetting("records.leave_out has " + reason.String() + ", by which attacks are seen")
			}
		}
	},
}

var fewRecords = Rule{
	Rule: finding.Rule{
		ID: "HB141", Severity: finding.Info,
		Title: "hardly any denial is recorded",
		Risk:  "An attacker begins with a few requests that fail for another reason, uses up the records of the second, and tries what he wants unseen.",
		Fix:   "Let records.denials_per_second be at least ten.",
		Link:  "telemetry.md#what-has-no-record",
	},
	set: func(p *pass) {
		const least = 10
		if n := p.Watching.DenialsPerSecond; n > 0 && n < least {
			p.reportSetting("records.denials_per_second is " + strconv.Itoa(n) + ": of the denials of a second the others are counted only")
		}
	},
}

var warningsUnseen = Rule{
	Rule: finding.Rule{
		ID: "HB142", Severity: finding.Warning,
		Title: "the log leaves warnings out",
		Risk:  "That a new policy was refused and the old one serves, that a secret cannot be read, that a list of addresses waits: the log says it once, as a warning, and nobody sees it until deliveries fail.",
		Fix:   "Leave log.level out, or say warn.",
		Link:  "settings.md#log",
	},
	set: func(p *pass) {
		if p.Watching.OnlyErrors {
			p.reportSetting("log.level is error: warnings are not written")
		}
	},
}
