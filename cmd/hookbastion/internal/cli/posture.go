package cli

import (
	"context"
	"time"

	"github.com/hookbastion/hookbastion/policy/posture"
)

// Posture asks what a report of the policies' posture says of a running service, besides
// its keys: which policy it serves, and what was unusual.
func (c *Admin) Posture(ctx context.Context) (*posture.Live, error) {
	type alarm struct {
		Webhook string     `json:"webhook"`
		Time    time.Time  `json:"time"`
		Kind    string     `json:"kind"`
		Message string     `json:"message"`
		Ended   *time.Time `json:"ended"`
	}
	var policy struct {
		Digest string `json:"digest"`
	}
	if err := c.get(ctx, "/api/v1/policy", &policy); err != nil {
		return nil, err
	}
	var anomalies struct {
		Watched bool    `json:"watched"`
		Current []alarm `json:"current"`
		Past    []alarm `json:"past"`
	}
	if err := c.get(ctx, "/api/v1/anomalies", &anomalies); err != nil {
		return nil, err
	}
	live := &posture.Live{Digest: policy.Digest, Monitored: anomalies.Watched}
	for _, a := range append(anomalies.Current, anomalies.Past...) {
		live.Anomalies = append(live.Anomalies, posture.Anomaly(a))
	}
	return live, nil
}
