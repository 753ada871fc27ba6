// Package secret is imported by a probe.
package secret
