package cli

import (
	"os"
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
		"not an authority": {Admin{CA: os.Args[0]}, "https", os.Args[0] + ": "},
		"not a pair":       {Admin{Cert: os.Args[0], Key: os.Args[0]}, "https", os.Args[0] + " and "},
	} {
		if _, err := c.client.TLS(c.scheme); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
