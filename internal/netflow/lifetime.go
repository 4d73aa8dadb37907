package netflow

import "github.com/flowbeam/flowbeam/flow"

// outlived says whether what was said then holds no more.
func (s *Session) outlived(said flow.Time) bool {
	return s.config.Lifetime > 0 && s.now-said > flow.Time(s.config.Lifetime)
}
