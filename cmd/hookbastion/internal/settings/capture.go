package settings

import (
	"cmp"
	"time"

	"filippo.io/age"

	"github.com/hookbastion/hookbastion/envoy/captures"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// capturing reads what is kept of denied requests; nil: nothing.
func capturing(m *settingsv1.Capture, admin string, fail failer) *captures.Config {
	if len(m.GetRecipients()) == 0 {
		if m != nil {
			fail("has no use without recipients: nothing is kept that nobody can read", "capture")
		}
		return nil
	}
	if admin == "" {
		fail("needs admin.listen, where captures are asked for", "capture", "recipients")
	}
	c := &captures.Config{Keep: time.Hour, Every: time.Minute, MaxBody: int(cmp.Or(m.GetMaxBodyBytes(), 64<<10))} //nolint:gosec // the message bounds it
	for i, text := range m.GetRecipients() {
		r, err := recipient(text)
		if err != nil {
			fail("is no recipient of age, such as age-keygen prints: age1…", "capture", "recipients", i)
			continue
		}
		c.Recipients = append(c.Recipients, r)
	}
	if keep := m.GetKeep(); keep != nil {
		c.Keep = keep.AsDuration()
	}
	if every := m.GetInterval(); every != nil {
		c.Every = every.AsDuration()
	}
	return c
}

// recipient reads one of either kind that has no plug-in.
func recipient(text string) (age.Recipient, error) {
	if r, err := age.ParseHybridRecipient(text); err == nil {
		return r, nil
	}
	return age.ParseX25519Recipient(text)
}
