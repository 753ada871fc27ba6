package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
)

// Format is what a message looks like.
type Format uint8

// The formats.
const (
	// Standard is an event of Standard Webhooks.
	Standard Format = iota
	// Slack is a message for an incoming webhook of Slack.
	Slack
	// Alertmanager is what Alertmanager sends to webhook receivers, version 4.
	Alertmanager
)

func phase(a *monitor.Alarm) string {
	if a.Ended != nil {
		return "ended"
	}
	return "raised"
}

func (s *Sender) body(a *monitor.Alarm) ([]byte, error) {
	switch s.config.Format {
	case Slack:
		return json.Marshal(map[string]string{"text": slackText(a, s.config.Replica)})
	case Alertmanager:
		return json.Marshal(group(a, s.config.Replica))
	default:
		at := a.Time
		if a.Ended != nil {
			at = *a.Ended
		}
		return json.Marshal(event{Type: "hookbastion.anomaly." + phase(a), Timestamp: at, Data: data{Alarm: *a, Replica: s.config.Replica}})
	}
}

// event is one of Standard Webhooks.
type event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	monitor.Alarm
	Replica string `json:"replica"`
}

// slackEscaper is what Slack asks for. Names and messages could be links else.
var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func slackText(a *monitor.Alarm, replica string) string {
	text := fmt.Sprintf("%s at webhook %s: %s", a.Kind, name(a.Webhook), a.Message)
	if a.Ended != nil {
		text = fmt.Sprintf("ended: %s at webhook %s, after %s", a.Kind, name(a.Webhook), a.Ended.Sub(a.Time))
	}
	if a.Source != "" {
		text += " (mostly from " + a.Source + ")"
	}
	return slackEscaper.Replace(text + " [" + replica + "]")
}

func name(webhook string) string {
	if webhook == "" {
		return "(none)"
	}
	return webhook
}

// alertGroup is version 4 of Alertmanager's message, with one alert.
type alertGroup struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []alert           `json:"alerts"`
}

type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // zero while it goes on, as there
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

func group(a *monitor.Alarm, replica string) alertGroup {
	labels := map[string]string{"alertname": "HookbastionAnomaly", "kind": a.Kind.String(), "webhook": a.Webhook, "instance": replica, "severity": "warning"}
	notes := map[string]string{
		"summary": a.Message, "baseline": fmt.Sprint(a.Baseline), "value": fmt.Sprint(a.Value), "unit": a.Unit, "samples": fmt.Sprint(a.Samples), "source": a.Source,
	}
	one := alert{Status: "firing", Labels: labels, Annotations: notes, StartsAt: a.Time, Fingerprint: strings.TrimPrefix(idOf(&monitor.Alarm{Kind: a.Kind, Webhook: a.Webhook}, replica), "msg_")[:16]}
	if a.Ended != nil {
		one.Status, one.EndsAt = "resolved", *a.Ended
	}
	return alertGroup{
		// A group is resolved as a whole, so that each alarm is one of its own.
		Version: "4", GroupKey: fmt.Sprintf("{}:{instance=%q, kind=%q, webhook=%q}", replica, a.Kind, a.Webhook), Status: one.Status, Receiver: "hookbastion",
		GroupLabels: map[string]string{"instance": replica, "kind": a.Kind.String(), "webhook": a.Webhook}, CommonLabels: labels, CommonAnnotations: notes, Alerts: []alert{one},
	}
}
