// Package examples holds the deployments that the documentation shows. The
// demo and the tests run these very files.
package examples

import "embed"

// Quickstart is Envoy's configurations and the policies of examples/quickstart.
//
//go:embed quickstart/envoy.yaml quickstart/plain.yaml quickstart/policies/*.yaml
var Quickstart embed.FS
