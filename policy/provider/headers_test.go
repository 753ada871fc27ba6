package provider_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/policy/provider"
)

func TestSignatureHeaders(t *testing.T) {
	headers, err := provider.SignatureHeaders()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"github":            {"x-hub-signature-256"},
		"stripe":            {"stripe-signature"},
		"slack":             {"x-slack-request-timestamp", "x-slack-signature"},
		"standard-webhooks": {"webhook-id", "webhook-signature", "webhook-timestamp"},
	} {
		if got := headers[name]; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for name, list := range headers {
		for _, h := range list {
			if h != strings.ToLower(h) || strings.ContainsAny(h, " :") {
				t.Errorf("%s: %q is no name of a header", name, h)
			}
		}
	}
}
