package cli

import (
	"strings"
	"testing"
)

func TestAdminClientFlags(t *testing.T) {
	for name, c := range map[string]struct {
		client Admin
		scheme string
		want   string
	}{
		"no TLS":           {Admin{CA: "x"}, "http", "https://"},
		"half a pair":      {Admin{Cert: "x"}, "https", "--cert and --key need each other"},
		"the other half":   {Admin{Key: "x"}, "https", "--cert and --key need each other"},
		"no such file":     {Admin{CA: "none"}, "https", "no such file"},
		"not an authority": {Admin{CA: "admin_test.go"}, "https", "admin_test.go" + ": "},
		"not a pair":       {Admin{Cert: "admin_test.go", Key: "admin_test.go"}, "https", "admin_test.go" + " and "},
	} {
		if _, err := c.client.TLS(c.scheme); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
