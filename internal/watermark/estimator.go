package watermark

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
)

// Estimator is embedded in a splittable DoFn that sets its watermark itself. The state that
// a runner keeps is milliseconds since the epoch.
type Estimator struct{}

// CreateWatermarkEstimator goes on from a state.
func (Estimator) CreateWatermarkEstimator(ms int64) *sdf.ManualWatermarkEstimator {
	return &sdf.ManualWatermarkEstimator{State: mtime.FromMilliseconds(ms).ToTime()}
}

// WatermarkEstimatorState is the state to keep.
func (Estimator) WatermarkEstimatorState(we *sdf.ManualWatermarkEstimator) int64 {
	return mtime.FromTime(we.State).Milliseconds()
}
