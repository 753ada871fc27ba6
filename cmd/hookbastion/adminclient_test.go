package main

import (
	"os"
	"strings"
	"testing"
)

func TestAdminClientFlags(t *testing.T) {
	for name, c := range map[string]struct {
		client adminClient
		scheme string
		want   string
	}{
		"no TLS":           {adminClient{ca: "x"}, "http", "https://"},
		"half a pair":      {adminClient{cert: "x"}, "https", "--cert and --key need each other"},
		"the other half":   {adminClient{key: "x"}, "https", "--cert and --key need each other"},
		"no such file":     {adminClient{ca: "none"}, "https", "no such file"},
		"not an authority": {adminClient{ca: os.Args[0]}, "https", os.Args[0] + ": "},
		"not a pair":       {adminClient{cert: os.Args[0], key: os.Args[0]}, "https", os.Args[0] + " and "},
	} {
		if _, err := c.client.tls(c.scheme); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
