package netflow

import (
	"time"
)

var flowDay = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
