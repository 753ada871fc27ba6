package convert

// What other gateways call providers, where it is not our name with _ in place of -. Several
// of ours have | between them: whoever imports must say which is meant.

// ngrokNames are those of verify-webhook.
// Source: ngrok.com/docs/traffic-policy/actions/verify-webhook, read on 2026-11-29.
var ngrokNames = map[string]string{
	"coinbase":           "coinbase-commerce",
	"facebook_graph_api": "meta",
	"facebook_messenger": "meta",
	"frameio":            "frame-io",
	"graphcms":           "hygraph",
	"hubspot":            "hubspot-v3|hubspot-v2|hubspot-v1",
	"instagram":          "meta",
	"launch_darkly":      "launchdarkly",
	"mailchimp":          "mandrill|mailchimp-marketing",
	"microsoft_teams":    "ms-teams-outgoing",
	"mongodb":            "mongodb-atlas",
	"plivo":              "plivo-v3|plivo-v2",
	"sns":                "aws-sns",
	"terraform":          "terraform-cloud",
	"twitter":            "x-twitter",
	"whatsapp":           "meta",
}

// hookdeckNames are types of sources.
// Source: Hookdeck's OpenAPI description of 2025-07-01, read on 2026-11-29.
var hookdeckNames = map[string]string{
	"COMMERCELAYER": "commercelayer",
	"CUSTOMERIO":    "customer-io",
	"FACEBOOK":      "meta",
	"FRONTAPP":      "front",
	"HUBSPOT":       "hubspot-v3|hubspot-v2|hubspot-v1",
	"MAILCHIMP":     "mandrill|mailchimp-marketing",
	"OKTA":          "okta-event-hooks",
	"PADDLE":        "paddle|paddle-classic",
	"TWITTER":       "x-twitter",
	"WHATSAPP":      "meta",
	"FIREBLOCKS":    "fireblocks|fireblocks-legacy",
}
