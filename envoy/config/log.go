package config

import "slices"

// The two kinds of access logs that the service reads.
const openTelemetryLog, grpcLog = "OpenTelemetryAccessLogConfig", "HttpGrpcAccessLogConfig"

// likeTheirs returns in place of the access log that is written the other kind, where the files
// have that alone.
func (c *comparison) likeTheirs(want piece) (piece, error) {
	has := func(short string) bool {
		return slices.ContainsFunc(c.pieces, func(p piece) bool { return p.short() == short })
	}
	if want.short() != grpcLog || has(grpcLog) || !has(openTelemetryLog) {
		return want, nil
	}
	text, err := part("linelog", view{Cluster: "hookbastion"})
	if err != nil {
		return want, err
	}
	other := &comparison{}
	if err := other.read(File{Data: []byte(text)}); err != nil {
		return want, err
	}
	return other.pieces[0], nil
}
