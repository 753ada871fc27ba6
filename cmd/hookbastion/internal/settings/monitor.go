package settings

import (
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"

	"github.com/hookbastion/hookbastion/authz/monitor/notify"
	"github.com/hookbastion/hookbastion/authz/secret"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// Monitor is what watches the decisions.
type Monitor struct {
	Off bool
	// File keeps what was learned; empty: nothing does.
	File string
	// Webhook is where alarms are sent; nil: nowhere.
	Webhook *notify.Config
}

// stateName is the monitor's file beside the nonces.
const stateName = "monitor"

// monitoring reads the settings of the monitor. nonces is the directory of the nonce
// store, or nil.
func monitoring(m *settingsv1.Monitor, nonces *File, fail failer) Monitor {
	s := Monitor{Off: m.GetOff(), File: m.GetFile()}
	if s.File == "" && nonces != nil && nonces.Path != "" {
		s.File = filepath.Join(nonces.Path, stateName)
	}
	if m.GetFile() != "" {
		if info, err := os.Stat(filepath.Dir(s.File)); err != nil || !info.IsDir() {
			fail("its directory is not there", "monitor", "file")
		}
	}
	w := m.GetWebhook()
	if w == nil {
		return s
	}
	if s.Off {
		fail("contradicts monitor.off", "monitor", "webhook")
	}
	s.Webhook = alarmWebhook(w, fail)
	return s
}

// alarmWebhook reads where alarms are sent. No error repeats the URL: there may be a
// token in it.
func alarmWebhook(w *settingsv1.AlarmWebhook, fail failer) *notify.Config {
	c := &notify.Config{URL: w.GetUrl(), Format: notify.Standard}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		fail("must be an address such as https://alerts.example.com/hook, without a user", "monitor", "webhook", "url")
	}
	switch w.GetFormat() {
	case settingsv1.AlarmWebhook_SLACK:
		c.Format = notify.Slack
	case settingsv1.AlarmWebhook_ALERTMANAGER:
		c.Format = notify.Alertmanager
	default:
	}
	if file := w.GetCa(); file != "" {
		text, err := os.ReadFile(file)
		c.Roots = x509.NewCertPool()
		switch {
		case err != nil:
			fail(err.Error(), "monitor", "webhook", "ca")
		case !c.Roots.AppendCertsFromPEM(text):
			fail(file+": has no certificate in PEM form", "monitor", "webhook", "ca")
		}
	}
	of := w.GetSecret()
	switch {
	case of == nil && c.Format == notify.Standard:
		fail("is missing: format STANDARD signs each message", "monitor", "webhook", "secret")
	case of == nil:
	case (of.GetFile() == "") == (of.GetEnv() == ""):
		fail("must have either file or env", "monitor", "webhook", "secret")
	default:
		c.Secret = &secret.Ref{File: of.GetFile(), Env: of.GetEnv()} // which the start reads
	}
	return c
}
